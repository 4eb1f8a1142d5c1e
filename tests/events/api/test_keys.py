"""API keys through the API: shown once, listed, limited to the creator's scopes, rotated and revoked."""

import json
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from config.api.models import KeptAnswer
from events.access.keys import make_key
from events.models import ApiKey
from tests.api import Api

pytestmark = pytest.mark.django_db
KEYS = "secrets/api/keys"


def works(api: Api, secret: str) -> bool:
    return api.client.get("/v1/plans", headers={"x-api-key": secret}).status_code == 200


def test_a_new_key_is_shown_once_and_works(api):
    created = api.post(KEYS, {"name": "Reports", "type": "private_key", "scopes": ["read"]}, 201)
    assert created["api_key"].startswith("sk_")
    secret = created["secret"]
    assert (secret["name"], secret["scopes"], secret["status"]) == ("Reports", ["read"], "published")
    assert works(api, created["api_key"])
    assert created["api_key"] not in json.dumps(api.get(f"{KEYS}/{secret['id']}"), default=str)
    assert "secret_hash" not in api.get(f"{KEYS}/{secret['id']}")
    entry = LogEntry.objects.filter(object_pk=str(ApiKey.objects.get(name="Reports").pk)).latest("pk")
    assert entry.additional_data["api_key"].startswith("Test (sk_")


def test_a_repeated_request_makes_one_key_and_does_not_show_the_secret_again(api):
    def send() -> Any:
        body, headers = json.dumps({"name": "Once"}), {"Idempotency-Key": "k-1"}
        response = api.client.post(f"/v1/{KEYS}", body, content_type="application/json", headers=headers)
        assert response.status_code == 201
        return response.json()

    first, second = send(), send()
    assert first["secret"] == second["secret"]
    assert (first["api_key"][:3], second["api_key"]) == ("sk_", None)
    assert first["api_key"].encode() not in bytes(KeptAnswer.objects.get().body)
    assert ApiKey.objects.filter(name="Once").count() == 1


def test_a_key_gives_only_scopes_that_it_has(db):
    limited = Api("read", "keys:write")
    refusal = limited.post(KEYS, {"name": "More", "scopes": ["read", "billing:write"]}, 403)
    assert refusal["message"] == "The API key lacks the scope billing:write."
    limited.post(KEYS, {"name": "More", "scopes": ["all"]}, 403)
    same = limited.post(KEYS, {"name": "Same"}, 201)
    assert same["secret"]["scopes"] == ["keys:write", "read"]
    Api("read", "events:write").post(KEYS, {"name": "No", "scopes": ["read"]}, 403)


def test_a_key_does_not_change_rotate_or_revoke_a_stronger_key(db):
    strong, _ = make_key("Strong")
    limited = Api("read", "keys:write")
    limited.post(f"{KEYS}/{strong.public_id}/rotate", {}, 403)
    limited.put(f"{KEYS}/{strong.public_id}", {"name": "Mine"}, 403)
    limited.delete(f"{KEYS}/{strong.public_id}", status=403)


def test_a_key_that_expires_makes_no_key_that_outlives_it(db):
    end = timezone.now() + timedelta(days=1)
    api = Api()
    ApiKey.objects.update(expires_at=end)
    created = api.post(KEYS, {"name": "Child"}, 201)
    assert ApiKey.objects.get(public_id=created["secret"]["id"]).expires_at == end


def test_a_rotated_key_works_until_the_overlap_ends(api):
    created = api.post(KEYS, {"name": "Shop", "scopes": ["read"], "bulk_per_minute": 7}, 201)
    address = f"{KEYS}/{created['secret']['id']}"
    rotated = api.post(f"{address}/rotate", {"overlap_hours": 24}, 201)
    assert rotated["secret"]["replaces_id"] == created["secret"]["id"]
    assert (rotated["secret"]["scopes"], rotated["secret"]["bulk_per_minute"]) == (["read"], 7)
    assert works(api, created["api_key"])
    assert works(api, rotated["api_key"])
    assert api.post(f"{address}/rotate", {}, 400)["code"] == "invalid_operation"


def test_a_revoked_key_is_refused_and_listed_as_archived(api):
    created = api.post(KEYS, {"name": "Lost", "scopes": ["read"]}, 201)
    address = f"{KEYS}/{created['secret']['id']}"
    for _ in range(2):
        api.delete(address, {"reason": "Laptop lost"}, 204)
    assert not works(api, created["api_key"])
    archived = api.client.get(f"/v1/{KEYS}?status=archived").json()["items"]
    assert [(key["name"], key["status"]) for key in archived] == [("Lost", "archived")]
    reason = LogEntry.objects.filter(object_pk=str(ApiKey.objects.get(name="Lost").pk)).latest("pk")
    assert reason.additional_data["reason"] == "Laptop lost"


def test_name_and_limits_of_a_key_change(api):
    created = api.post(KEYS, {"name": "Old", "scopes": ["read"]}, 201)
    changed = api.put(f"{KEYS}/{created['secret']['id']}", {"name": "New", "single_per_minute": 60})
    assert (changed["name"], changed["single_per_minute"]) == ("New", 60)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "A", "scopes": []}, "scopes"),
        ({"name": "A", "scopes": ["everything"]}, "scopes[0]"),
        ({"name": "A", "type": "publishable_key"}, "type"),
        ({"name": "A", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_wrong_keys_are_refused(api, body, field):
    assert field in api.post(KEYS, body, 400)["details"]
