"""Add-ons through the API: the catalog, and adding, previewing and removing them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Invoice
from customers.models import SubscriptionAddon
from tests.api import Api
from tests.factories import make_customer, make_feature, make_plan

pytestmark = pytest.mark.django_db
FEE = {
    "type": "FIXED", "billing_model": "FLAT_FEE", "billing_period": "MONTHLY", "invoice_cadence": "ADVANCE",
    "currency": "USD", "amount": "30", "entity_type": "ADDON",
}  # fmt: skip


@pytest.fixture
def support(api: Api) -> Any:
    """Create an add-on of $30 a month with 500 calls, which a subscription can have twice."""
    addon = api.post("addons", {"name": "Support", "lookup_key": "support", "maximum": 2}, status=201)
    api.post("prices", FEE | {"entity_id": addon["id"]}, status=201)
    granted = {"entity_type": "ADDON", "entity_id": addon["id"], "feature_id": make_feature().public_id}
    api.post("entitlements", granted | {"feature_type": "metered", "usage_limit": 500}, status=201)
    return addon


def subscribe(api: Api, *, status: int = 201, **values: Any) -> Any:
    make_customer(external_id="acme")
    body = {
        "external_customer_id": "acme", "plan_id": make_plan().public_id, "currency": "USD",
        "billing_period": "MONTHLY", "start_date": (timezone.now() - timedelta(days=3)).isoformat(),
    }  # fmt: skip
    return api.post("subscriptions", body | values, status=status)


def test_an_add_on_has_prices_entitlements_and_versions_of_its_own(api, support):
    assert support["id"].startswith("addon_")
    shown = api.get("addons/lookup/support")
    assert [(price["entity_type"], price["entity_id"], price["display_name"]) for price in shown["prices"]] == [
        ("ADDON", support["id"], "Support")
    ]
    assert [row["usage_limit"] for row in api.get(f"addons/{support['id']}/entitlements")["items"]] == [500]
    assert api.get("plans")["items"] == []
    assert [row["id"] for row in api.post("addons/search", {"addon_ids": [support["id"]]})["items"]] == [support["id"]]
    assert api.get("prices", entity_type="ADDON")["pagination"]["total"] == 1
    assert api.post(f"addons/{support['id']}/publish", {"reason": "First"})["state"] == "published"
    assert [row["version"] for row in api.get(f"addons/{support['id']}/versions")["items"]] == [1]

    plan = make_plan().public_id
    changed = api.put(f"addons/{support['id']}", {"plan_ids": [plan], "maximum": None})
    assert (changed["plan_ids"], changed["maximum"]) == ([plan], None)
    assert "plan_ids[0]" in api.put(f"addons/{support['id']}", {"plan_ids": ["plan_x"]}, status=400)["details"]
    api.post("plans", {"name": "Other", "lookup_key": "support"}, status=409)
    api.delete(f"addons/{support['id']}")
    assert api.post(f"addons/{support['id']}/activate", {})["status"] == "published"


def test_a_subscription_starts_with_add_ons(api, support):
    made = subscribe(api, addons=[{"addon_id": support["id"]}, {"addon_id": support["id"], "metadata": {"order": "7"}}])
    items = {item["display_name"]: item for item in made["line_items"]}
    assert [(items[name]["quantity"], items[name]["entity_type"]) for name in ("Recurring fee", "Support")] == [
        ("1", "plan"), ("2", "addon"),
    ]  # fmt: skip
    assert items["Support"]["entity_id"] == support["id"]
    # $10 of the plan and 2 × $30, from the start on.
    assert Invoice.objects.get().total == Decimal("70.00")
    [feature] = api.get(f"subscriptions/{made['id']}/entitlements")["features"]
    assert feature["entitlement"]["usage_limit"] == 1000


def test_an_add_on_is_previewed_added_and_removed(api, support):
    made = subscribe(api)
    add = {"type": "addon", "addon_params": {"action": "add", "add": {"addon_id": support["id"]}}}
    preview = api.post(f"subscriptions/{made['id']}/modify/preview", add)
    assert not SubscriptionAddon.objects.exists()
    added = api.post("subscriptions/addon", {"subscription_id": made["id"], "addon_id": support["id"]})
    assert (added["addon_status"], added["addon_id"], added["end_date"]) == ("active", support["id"], None)
    invoice = Invoice.objects.order_by("pk").last()
    assert Decimal(preview["immediate_invoice"]["total"]) == invoice.total
    [association] = api.get(f"subscriptions/{made['id']}/addons/associations")["items"]
    assert (association["id"], association["addon"]["name"]) == (added["id"], "Support")

    removed = api.post(
        f"subscriptions/{made['id']}/modify/execute",
        {"type": "addon", "addon_bulk_params": {"removes": [{"addon_association_id": added["id"]}]}},
    )
    [change] = removed["changed_resources"]["addon_associations"]
    assert (change["id"], change["change_action"]) == (added["id"], "ended")
    assert SubscriptionAddon.objects.get().removed_at is not None
    removal = {"addon_association_id": added["id"], "change_at": "end_of_period"}
    assert "ends on" in api.delete("subscriptions/addon", removal, status=400)["message"]


def test_an_add_on_has_agreed_prices(api, support):
    """Twice at $20 instead of $30, and once at the list price."""
    [price] = api.get("prices", entity_type="ADDON")["items"]
    cheap = {"addon_id": support["id"], "override_line_items": [{"price_id": price["id"], "amount": "20"}]}
    api.put(f"addons/{support['id']}", {"maximum": None})
    made = subscribe(api, addons=[cheap, cheap, {"addon_id": support["id"]}])
    items = [item for item in made["line_items"] if item["entity_type"] == "addon"]
    assert sorted((item["price"]["amount"], item["quantity"]) for item in items) == [("20", "2"), ("30", "1")]
    assert {item["entity_id"] for item in items} == {support["id"]}
    # $10 of the plan, 2 × $20 and $30.
    assert Invoice.objects.get().total == Decimal("80.00")


def test_what_an_add_on_can_not_have_is_refused(api, support):
    made = subscribe(api)
    body = {"subscription_id": made["id"], "addon_id": support["id"]}
    for field, value in (
        ("override_line_items[0].price_id", [{"price_id": "p", "amount": "1"}]), ("cadence", "onetime"),
        ("start_date", (timezone.now() - timedelta(days=1)).isoformat()),
    ):  # fmt: skip
        refused = api.post("subscriptions/addon", body | {field.partition("[")[0]: value}, status=400)
        assert field in refused["details"] or "reason" in refused["details"]
    api.post("subscriptions/addon", body | {"addon_id": "addon_x"}, status=404)
    assert "addons[0].start_date" in subscribe_again(api, made, support)["details"]


def subscribe_again(api: Api, made: dict[str, Any], support: dict[str, Any]) -> Any:
    early = {"addon_id": support["id"], "start_date": "2020-01-01T00:00:00Z"}
    body = {
        "customer_id": made["customer_id"], "plan_id": made["plan_id"], "currency": "USD",
        "billing_period": "MONTHLY", "addons": [early],
    }  # fmt: skip
    return api.post("subscriptions", body, status=400)
