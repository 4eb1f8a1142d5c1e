"""API keys in the admin: shown once, rotated, revoked, never deleted."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.access.keys import KeyRefused, authenticate, make_key, revoke
from events.models import ApiKey
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/events/apikey/"


def secret_in(response):
    return re.search(r'value="(sk_[^"]+)"', response.content.decode())[1]


def act(client, key, action, **data):
    url = reverse(f"admin:events_apikey_{action}", args=[key.pk])
    return client.post(url, {"_form_submitted": "1"} | data, headers={"HX-Request": "true"})


def test_a_new_key_is_shown_once_and_works(staff_client, staff_user):
    response = staff_client.post(f"{LIST}add/", {"name": "Gateway", "scopes": ["events:write", "read"]})
    secret = secret_in(response)
    caller = authenticate(secret, now=timezone.now())
    assert (caller.name, caller.scopes) == ("Gateway", {"events:write", "read"})
    assert "no-store" in response.headers["Cache-Control"]
    key = ApiKey.objects.get()
    assert key.created_by == staff_user
    for page in (LIST, f"{LIST}{key.pk}/change/", f"{LIST}{key.pk}/history/"):
        content = staff_client.get(page).content.decode()
        assert secret not in content
        assert key.secret_hash not in content


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"},
        {"single_per_minute": "-1"},
    ],
)
def test_an_invalid_key_is_not_created(staff_client, wrong):
    response = staff_client.post(f"{LIST}add/", {"name": "Gateway", "scopes": ["read"]} | wrong)
    assert response.status_code == 200
    assert not ApiKey.objects.exists()


def test_rotating_shows_the_new_key_and_expires_the_old(staff_client):
    key, old_secret = make_key("Gateway", scopes=["events:write"])
    new_secret = secret_in(act(staff_client, key, "rotate_key", overlap="24"))
    assert authenticate(new_secret, now=timezone.now()).scopes == {"events:write"}
    assert authenticate(old_secret, now=timezone.now() + timedelta(hours=23))
    with pytest.raises(KeyRefused):
        authenticate(old_secret, now=timezone.now() + timedelta(hours=25))
    assert "already replaced" in act(staff_client, key, "rotate_key", overlap="0").content.decode()  # only once
    assert ApiKey.objects.count() == 2


def test_revoking_requires_a_reason_and_is_recorded(staff_client):
    key, secret = make_key("Gateway")
    act(staff_client, key, "revoke_key", reason="")
    assert authenticate(secret, now=timezone.now())
    act(staff_client, key, "revoke_key", reason="Laptop stolen")
    with pytest.raises(KeyRefused):
        authenticate(secret, now=timezone.now())
    assert "Laptop stolen" in staff_client.get(f"{LIST}{key.pk}/history/").content.decode()


def test_a_revoked_key_offers_no_action(staff_client):
    key, _ = make_key("Gateway")
    revoke(key, now=timezone.now())
    assert "Revoke this key" not in staff_client.get(f"{LIST}{key.pk}/change/").content.decode()
    assert act(staff_client, key, "rotate_key", overlap="0").status_code == 403


def test_only_name_and_limits_are_edited(staff_client):
    key, _ = make_key("Gateway", scopes=["read"])
    staff_client.post(
        f"{LIST}{key.pk}/change/",
        {"name": "Gate", "single_per_minute": "5", "bulk_per_minute": "", "scopes": ["all"], "secret_hash": "x"},
    )
    changed = ApiKey.objects.get()
    assert (changed.name, changed.single_per_minute, changed.scopes) == ("Gate", 5, ["read"])
    assert changed.secret_hash == key.secret_hash


def test_keys_are_never_deleted(staff_client):
    key, _ = make_key("Gateway")
    assert staff_client.post(f"{LIST}{key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.exists()


@pytest.mark.parametrize("role", ["Viewer", "Finance"])
def test_viewers_neither_create_nor_revoke_keys(role):
    key, secret = make_key("Gateway")
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    assert "Gateway" in client.get(LIST).content.decode()
    assert client.post(f"{LIST}add/", {"name": "Mine", "scopes": ["all"]}).status_code == 403
    for action in ("rotate_key", "revoke_key"):
        assert act(client, key, action, reason="x", overlap="0").status_code == 403
    assert authenticate(secret, now=timezone.now())
    assert ApiKey.objects.count() == 1


def test_the_list_shows_which_keys_work(staff_client, django_assert_num_queries):
    now = timezone.now()
    for number in range(3):
        make_key(f"Active {number}", created_by=make_user(is_superuser=True))
    make_key("Past", expires_at=now - timedelta(days=1))
    revoke(make_key("Closed")[0], now=now)

    def names(**asked):
        return {key.name for key in staff_client.get(LIST, asked).context_data["cl"].result_list}

    assert names(state="expired") == {"Past"}
    assert names(state="revoked") == {"Closed"}
    assert names(state="active") == {"Active 0", "Active 1", "Active 2"}
    with django_assert_num_queries(7):  # session, user, company, two counts of this short table, the page, badges
        assert len(names()) == 5


def test_without_keys_the_list_shows_what_to_do(staff_client):
    assert "Client systems need an API key" in staff_client.get(LIST).content.decode()


def test_a_keys_history_shows_who_changed_what(staff_client):
    key, _ = make_key("Gateway")
    key.name = "Gateway, Berlin"
    key.save()
    page = staff_client.get(f"/admin/events/apikey/{key.pk}/history/").content.decode()
    assert "Gateway, Berlin" in page
