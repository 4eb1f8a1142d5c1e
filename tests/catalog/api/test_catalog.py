"""Features, plans, prices and entitlements through the API. Changes are made in the plan's draft."""

from decimal import Decimal
from typing import Any

import pytest

from catalog.models import Feature, Plan, Price
from catalog.publishing import publish
from tests.api import Api
from tests.factories import NOW, make_feature, make_plan

pytestmark = pytest.mark.django_db

METER = {"name": "Tokens", "event_name": "tokens.used", "aggregation": {"type": "SUM", "field": "tokens"}}
TOKENS = {"name": "Tokens", "type": "metered", "lookup_key": "tokens", "meter": METER | {"reset_usage": "NEVER"}}


def price(plan: Any, **values: Any) -> dict[str, Any]:
    """Return the body of a monthly fee of $49 in advance, as the client sends it."""
    fee = {
        "entity_type": "PLAN", "entity_id": plan["id"], "type": "FIXED", "billing_model": "FLAT_FEE",
        "billing_period": "MONTHLY", "billing_period_count": 1, "invoice_cadence": "ADVANCE",
        "price_unit_type": "FIAT", "currency": "usd", "amount": "49.00",
    }  # fmt: skip
    return fee | values


def usage(plan: Any, feature: Any, **values: Any) -> dict[str, Any]:
    return price(plan, type="USAGE", invoice_cadence="ARREAR", meter_id=feature["meter_id"], amount="0.0025") | values


@pytest.fixture
def feature(api: Api) -> Any:
    return api.post("features", TOKENS, status=201)


@pytest.fixture
def plan(api: Api) -> Any:
    return api.post("plans", {"name": "Growth", "lookup_key": "growth"}, status=201)


# --- Features -----------------------------------------------------------------------------------------


def test_a_feature_is_created_with_its_meter(api, feature):
    assert feature["status"] == "published"
    aggregation = feature["meter"]["aggregation"]
    assert (aggregation["type"], aggregation["field"], aggregation["multiplier"]) == ("SUM", "tokens", None)
    assert feature["meter"]["reset_usage"] == "NEVER"
    stored = Feature.objects.get(public_id=feature["id"])
    assert (stored.aggregation, stored.reset, stored.key) == ("sum", "cumulative", "tokens")
    assert api.get(f"meters/{feature['meter_id']}") == feature["meter"]
    assert api.get(f"features/{feature['id']}") == feature


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"meter": None}, "meter"),
        ({"type": "config"}, "type"),
        ({"meter": METER | {"aggregation": {"type": "MEDIAN"}}}, "meter.aggregation.type"),
        ({"meter": METER | {"aggregation": {"type": "MAX", "field": "a", "bucket_size": "DAY"}}},
         "meter.aggregation.bucket_size"),
        ({"meter": METER | {"filters": [{"key": "model", "values": []}]}}, "meter.filters[0].values"),
        ({"metadata": {"a": {"b": 1}}}, "metadata.a"),
    ],
)  # fmt: skip
def test_an_invalid_feature_is_refused_by_field(api, change, field):
    refused = api.post("features", TOKENS | change, status=400)
    assert refused["code"] == "validation_error"
    assert field in refused["details"]
    assert field in refused["message"]


def test_a_lookup_key_is_unique(api, feature):
    assert api.post("features", TOKENS, status=409)["code"] == "already_exists"


def test_a_feature_is_updated_and_archived(api, feature):
    changed = api.put(f"features/{feature['id']}", {"name": "T", "filters": [{"key": "model", "values": ["x"]}]})
    assert (changed["name"], changed["meter"]["filters"]) == ("T", [{"key": "model", "values": ["x"]}])
    assert api.delete(f"features/{feature['id']}") == {"message": "Feature archived"}
    assert api.get(f"features/{feature['id']}")["status"] == "archived"
    assert api.put("features/feat_none", {"name": "T"}, status=404)["message"] == "There is no feature “feat_none”."


def test_a_feature_is_copied(api, feature):
    copy = api.post(f"features/{feature['id']}/clone", {"name": "Other", "lookup_key": "other"}, status=201)
    assert copy["meter"]["event_name"] == "tokens.used"
    assert copy["id"] != feature["id"]


def test_features_are_searched_with_the_filters_of_the_list(api, feature):
    make_feature(name="Calls")
    body = {"feature_ids": [feature["id"], "feat_none"], "limit": 10}
    assert [item["name"] for item in api.post("features/search", body)["items"]] == ["Tokens"]
    assert [item["name"] for item in api.get("features", name_contains="call")["items"]] == ["Calls"]
    assert api.post("features/search", {"status": "archived"})["items"] == []
    by_name = api.post("features/search", {"sort": [{"field": "name", "direction": "asc"}]})["items"]
    assert [item["name"] for item in by_name] == ["Calls", "Tokens"]
    page = api.get("features", limit=1, offset=1)
    assert (len(page["items"]), page["pagination"]) == (1, {"total": 2, "limit": 1, "offset": 1})
    assert "limit" in api.get("features", limit=0, status=400)["details"]
    assert "sort" in api.post("features/search", {"sort": [{"field": "pk"}]}, status=400)["details"]
    assert "start_time" in api.get("features", start_time="yesterday", status=400)["details"]


# --- Plans --------------------------------------------------------------------------------------------


def test_prices_are_added_to_a_draft_and_returned_exactly(api, plan, feature):
    fee = api.post("prices", price(plan), status=201)
    per_unit = api.post("prices", usage(plan, feature, lookup_key="tokens-usd"), status=201)
    assert (fee["amount"], fee["currency"], fee["billing_cadence"]) == ("49", "USD", "RECURRING")
    assert (per_unit["amount"], per_unit["meter"]["id"], per_unit["plan_version"]) == ("0.0025", feature["id"], 1)
    assert [item["id"] for item in api.get(f"plans/{plan['id']}")["prices"]] == [fee["id"], per_unit["id"]]
    assert api.get("prices/lookup/tokens-usd")["id"] == per_unit["id"]
    assert not Price.objects.get(public_id=fee["id"]).version.is_published


def test_tiers_and_packages_are_returned_as_sent(api, plan, feature):
    tiers = [{"up_to": 1000, "unit_amount": "0.8", "flat_amount": "5"}, {"up_to": None, "unit_amount": "0.4"}]
    tiered = usage(plan, feature, billing_model="TIERED", tier_mode="SLAB", tiers=tiers, amount=None)
    made = api.post("prices", tiered, status=201)
    assert (made["billing_model"], made["tier_mode"], made["amount"]) == ("TIERED", "SLAB", None)
    assert made["tiers"] == [
        {"up_to": 1000, "unit_amount": "0.8", "flat_amount": "5", "rate_percent": "0"},
        {"up_to": None, "unit_amount": "0.4", "flat_amount": "0", "rate_percent": "0"},
    ]
    package = {"billing_model": "PACKAGE", "transform_quantity": {"divide_by": 100, "round": "up"}, "amount": "5"}
    made = api.post("prices", usage(plan, feature, billing_period="ANNUAL", **package), status=201)
    assert made["transform_quantity"] == {"divide_by": 100, "round": "up"}


@pytest.mark.parametrize("bounds", [(1000, 500, None), (500, 500, None), (500, 1000), (None, 500), (None, None)])
def test_unsorted_tiers_are_refused(api, plan, feature, bounds):
    tiers = [{"up_to": up_to, "unit_amount": "0.01"} for up_to in bounds]
    tiered = usage(plan, feature, billing_model="TIERED", tier_mode="SLAB", tiers=tiers, amount=None)
    refused = api.post("prices", tiered, status=400)
    assert list(refused["details"]) == ["tiers"]
    assert not Price.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": None}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"currency": "DOLLAR"}, "currency"),
        ({"billing_period": "HOURLY"}, "billing_period"),
        ({"billing_period_count": 0}, "billing_period_count"),
        ({"billing_model": "TIERED"}, "billing_model"),
        ({"type": "USAGE"}, "meter_id"),
        ({"type": "USAGE", "meter_id": "feat_none"}, "invoice_cadence"),
        ({"type": "USAGE", "meter_id": "feat_none", "invoice_cadence": "ARREAR"}, "meter_id"),
        ({"entity_type": "SUBSCRIPTION"}, "entity_type"),
    ],
)
def test_an_invalid_price_is_refused_by_field(api, plan, change, field):
    assert field in api.post("prices", price(plan, **change), status=400)["details"]
    assert Price.objects.count() == 0


def test_bulk_creates_all_prices_or_none(api, plan):
    api.post("prices/bulk", {"items": [price(plan), price({"id": "plan_none"})]}, status=404)
    assert Price.objects.count() == 0
    made = api.post("prices/bulk", {"items": [price(plan), price(plan, currency="EUR")]}, status=201)
    assert [item["currency"] for item in made["items"]] == ["USD", "EUR"]


def test_a_published_price_is_updated_in_a_draft(api):
    plan = make_plan()
    (old,) = api.post("prices/search", {"plan_ids": [plan.public_id]})["items"]
    new = api.put(f"prices/{old['id']}", {"amount": "12"})
    assert (new["amount"], new["plan_version"]) == ("12", 2)
    assert api.get(f"prices/{old['id']}")["amount"] == "10"
    assert [item["id"] for item in api.get("prices", plan_ids=plan.public_id)["items"]] == [new["id"]]
    assert api.delete(f"prices/{new['id']}") == {"message": "Price deleted"}
    assert api.delete(f"prices/{old['id']}", status=400)["code"] == "invalid_operation"


def test_a_plan_is_updated_copied_and_archived(api, plan):
    api.post("prices", price(plan), status=201)
    api.post("plans", {"name": "Twin", "lookup_key": "growth"}, status=409)
    assert api.put(f"plans/{plan['id']}", {"description": "For teams"})["description"] == "For teams"
    copy = api.post(f"plans/{plan['id']}/clone", {"name": "Copy"}, status=201)
    assert [item["amount"] for item in copy["prices"]] == ["49"]
    assert api.delete(f"plans/{plan['id']}") == {"message": "Plan archived"}
    added = api.post("prices", price(plan), status=201)  # its draft is there already
    assert added["entity_id"] == plan["id"]
    found = api.post("plans/search", {"status": "published", "expand": "prices"})
    assert [(item["name"], len(item["prices"])) for item in found["items"]] == [("Copy", 1)]


def test_the_number_of_plans_does_not_change_query_count(api, django_assert_num_queries):
    for _ in range(3):
        make_plan()
    api.get("plans")  # the key's first use is noted
    for limit in (1, 3):
        # the count, the plans, their prices, the prices' tiers
        with django_assert_num_queries(4):
            api.post("plans/search", {"limit": limit, "expand": "prices"})


# --- Entitlements -------------------------------------------------------------------------------------


def test_an_entitlement_is_created_updated_and_deleted(api, plan, feature):
    body = {"plan_id": plan["id"], "feature_id": feature["id"], "feature_type": "metered", "usage_limit": 1000}
    made = api.post("entitlements", body | {"usage_reset_period": "MONTHLY"}, status=201)
    assert (made["usage_limit"], made["usage_reset_period"], made["plan_id"]) == (1000, "MONTHLY", plan["id"])
    assert api.post("entitlements", body, status=409)["code"] == "already_exists"
    assert api.get(f"entitlements/{made['id']}")["feature"]["name"] == "Tokens"
    assert api.put(f"entitlements/{made['id']}", {"usage_limit": None})["usage_limit"] is None
    assert [item["id"] for item in api.get(f"plans/{plan['id']}/entitlements")["items"]] == [made["id"]]
    assert [item["id"] for item in api.post("entitlements/search", {"plan_ids": [plan["id"]]})["items"]] == [made["id"]]
    assert api.delete(f"entitlements/{made['id']}") == {"message": "Entitlement deleted"}
    assert api.get("entitlements")["items"] == []


def test_bulk_creates_all_entitlements_or_none(api, plan, feature):
    body = {"plan_id": plan["id"], "feature_id": feature["id"], "feature_type": "metered"}
    api.post("entitlements/bulk", {"items": [body, body]}, status=409)
    assert api.get("entitlements")["items"] == []
    assert len(api.post("entitlements/bulk", {"items": [body]}, status=201)["items"]) == 1


def test_a_published_version_keeps_its_entitlement_when_the_draft_changes(api, plan, feature):
    api.post("prices", usage(plan, feature), status=201)
    body = {"plan_id": plan["id"], "feature_id": feature["id"], "usage_limit": 10}
    old = api.post("entitlements", body, status=201)
    publish(Plan.objects.get().versions.get(), now=NOW, by=None)
    new = api.put(f"entitlements/{old['id']}", {"usage_limit": 20})
    assert (new["usage_limit"], new["plan_version"]) == (20, 2)
    assert api.get(f"entitlements/{old['id']}")["usage_limit"] == 10


# --- Keys ---------------------------------------------------------------------------------------------


def test_changing_the_catalog_requires_the_catalog_scope(api, plan):
    reader = Api("read")
    assert reader.post("plans", {"name": "No"}, status=403)["message"] == "The API key lacks the scope catalog:write."
    assert reader.post("plans/search", {})["pagination"]["total"] == 1
    assert Api("catalog:write").post("plans", {"name": "Yes"}, status=201)["name"] == "Yes"


def test_characters_that_the_database_cannot_store_are_refused(api):
    for name in ("a\0b", "\ud800"):
        api.post("plans", {"name": name}, status=400)
        api.post("plans", {"name": "P", "metadata": {name: "x"}}, status=400)
        api.post("features/search", {"feature_ids": [name]}, status=400)
    api.get("plans/a%00b", status=404)


def test_amounts_keep_twelve_decimals(api, plan, feature):
    made = api.post("prices", usage(plan, feature, amount="0.000000000001"), status=201)
    assert made["amount"] == "0.000000000001"
    assert Price.objects.get(public_id=made["id"]).unit_amount == Decimal("0.000000000001")


def test_percentages_are_returned_as_sent(api, plan, feature):
    terms = {"rate_percent": "2.9", "fixed_amount_per_event": "0.3", "free_events": 10, "per_event_maximum": "5"}
    made = api.post("prices", usage(plan, feature, billing_model="PERCENTAGE", amount=None) | terms, status=201)
    assert {name: made[name] for name in ("billing_model", "amount", *terms)} == {
        "billing_model": "PERCENTAGE",
        "amount": None,
    } | terms
    refused = api.post("prices", usage(plan, feature, billing_model="PERCENTAGE", amount=None), status=400)
    assert "rate_percent" in refused["details"]
    assert "rate_percent" in api.post("prices", usage(plan, feature, rate_percent="1"), status=400)["details"]


def test_graduated_percentages_are_returned_as_sent(api, plan, feature):
    tiers = [{"up_to": 1000, "rate_percent": "3", "flat_amount": "5"}, {"up_to": None, "rate_percent": "2"}]
    body = usage(plan, feature, billing_model="TIERED", tier_mode="SLAB", tiers=tiers, amount=None)
    made = api.post("prices", body, status=201)
    assert [(tier["unit_amount"], tier["rate_percent"]) for tier in made["tiers"]] == [("0", "3"), ("0", "2")]
    assert Price.objects.get(public_id=made["id"]).model == "graduated_percentage"
    mixed = [tiers[0], {"up_to": None, "unit_amount": "2"}]
    assert "tiers" in api.post("prices", body | {"tiers": mixed}, status=400)["details"]
    assert "tier_mode" in api.post("prices", body | {"tier_mode": "VOLUME"}, status=400)["details"]
