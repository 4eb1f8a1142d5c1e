"""The self-test's API key follows SECRET_KEY, and no one can take it away from the self-test."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.access.grants import SelfTestKeyRefused, take_responsibility
from events.access.keys import authenticate, revoke, rotate
from events.access.self_test import get_self_test_key
from events.models import ApiKey
from tests.api import Api
from tests.factories import make_user

pytestmark = pytest.mark.django_db
REFUSAL = (
    "belongs to the self-test, which replaces it when SECRET_KEY changes. To stop the self-test, set SELF_TEST=off."
)


def test_a_new_secret_key_replaces_the_key_and_the_old_one_brings_it_back(settings):
    now, original = timezone.now(), settings.SECRET_KEY
    first, secret = get_self_test_key(now=now)
    assert get_self_test_key(now=now) == (first, secret)
    settings.SECRET_KEY = "another-key-of-this-installation"
    second, other = get_self_test_key(now=now)
    assert other != secret
    assert list(ApiKey.objects.filter(revoked_at=None)) == [second]
    settings.SECRET_KEY = original
    assert get_self_test_key(now=now) == (first, secret)
    assert list(ApiKey.objects.filter(revoked_at=None)) == [first]
    assert authenticate(secret, now=now).key_id == first.pk


def test_a_key_that_was_rotated_or_taken_over_by_an_earlier_release_works_again():
    now = timezone.now()
    key, secret = get_self_test_key(now=now)
    ApiKey.objects.update(expires_at=now - timedelta(days=1), responsible=make_user())
    get_self_test_key(now=now)
    caller = authenticate(secret, now=now)
    assert (caller.key_id, caller.expires_at, caller.responsible_id) == (key.pk, None, None)


def test_the_key_isnt_rotated_revoked_or_taken_over():
    key, secret = get_self_test_key(now=timezone.now())
    with pytest.raises(SelfTestKeyRefused):
        rotate(key, now=timezone.now())
    with pytest.raises(SelfTestKeyRefused):
        revoke(key, now=timezone.now())
    with pytest.raises(SelfTestKeyRefused):
        take_responsibility(key, by=make_user())
    assert ApiKey.objects.count() == 1
    assert authenticate(secret, now=timezone.now()).responsible_id is None


def test_the_api_says_why(api: Api):
    key, _ = get_self_test_key(now=timezone.now())
    assert REFUSAL in api.post(f"secrets/api/keys/{key.public_id}/rotate", {}, 400)["message"]
    assert REFUSAL in api.delete(f"secrets/api/keys/{key.public_id}", status=400)["message"]


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("rotate_key", {"overlap": "0"}),
        ("revoke_key", {"reason": "A leak"}),
        ("take_over", {"reason": "No one is responsible"}),
    ],
)
def test_the_admin_says_why(staff_client: Client, action: str, data: dict[str, str]):
    key, _ = get_self_test_key(now=timezone.now())
    url = reverse(f"admin:events_apikey_{action}", args=[key.pk])
    answer = staff_client.post(url, {"_form_submitted": "1", **data}, headers={"HX-Request": "true"})
    assert REFUSAL in answer.content.decode()
