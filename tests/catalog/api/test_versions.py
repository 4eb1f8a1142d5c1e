"""Plan versions and event name aliases through the API."""

import pytest

from catalog.models import EventNameAlias
from tests.api import Api
from tests.factories import make_feature, make_plan

pytestmark = pytest.mark.django_db


def test_a_draft_is_opened_and_published(api):
    plan = make_plan()
    address = f"plans/{plan.public_id}"
    refusal = api.post(f"{address}/publish", {}, 400)
    assert "has no draft" in refusal["message"]
    draft = api.post(f"{address}/versions", {})
    assert (draft["version"], draft["state"], draft["is_held"]) == (2, "draft", True)
    assert api.post(f"{address}/versions", {})["version"] == 2
    published = api.post(f"{address}/publish", {"reason": "Prices of 2026"})
    assert (published["state"], published["note"]) == ("published", "Prices of 2026")
    assert [row["version"] for row in api.get(f"{address}/versions")["items"]] == [2, 1]
    assert api.get(f"{address}/versions", state="draft")["items"] == []
    Api("read", "billing:write").post(f"{address}/publish", {}, 403)


def test_an_event_name_is_mapped_and_unmapped(api):
    make_feature(name="Calls")
    mapping = {"alias": "api/call", "event_name": "api.calls", "reason": "Old app"}
    for _ in range(2):
        assert api.post("event-names/aliases", mapping)["event_name"] == "api.calls"
    assert [row["alias"] for row in api.get("event-names/aliases", event_name="api.calls")["items"]] == ["api/call"]
    api.post("event-names/aliases", {"alias": "api.calls", "event_name": "other"}, 400)
    api.delete("event-names/aliases/api/call", status=204)
    api.delete("event-names/aliases/api/call", status=404)
    assert not EventNameAlias.objects.exists()
