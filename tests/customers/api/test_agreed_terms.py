"""Agreed terms through the API: at the start, from a date on, and as previewed."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Invoice
from catalog.models import Feature, PlanVersion, Price
from tests.api import Api
from tests.factories import make_customer, make_feature, make_version

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def calls() -> Feature:
    return make_feature(name="Calls", field="amount")


@pytest.fixture
def plan(calls: Feature) -> PlanVersion:
    return make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D(10), "quantity": D(10),
         "quantity_maximum": D(50)},
        {"feature": calls, "unit_amount": D("0.10"), "position": 1},
        free_units={calls: D(100)},
    )  # fmt: skip


def price_id(plan: PlanVersion, **values: Any) -> str:
    return Price.objects.get(version=plan, **values).public_id


def create(api: Api, plan: PlanVersion, *, status: int = 201, **values: Any) -> Any:
    make_customer(external_id="acme")
    body = {
        "external_customer_id": "acme", "plan_id": plan.plan.public_id, "currency": "USD", "billing_period": "MONTHLY",
        "start_date": (timezone.now() - timedelta(days=3)).isoformat(),
    }  # fmt: skip
    return api.post("subscriptions", body | values, status=status)


def test_a_subscription_starts_on_agreed_terms(api, plan, calls):
    seats, usage = price_id(plan, name="Seats"), price_id(plan, feature=calls)
    made = create(
        api,
        plan,
        override_line_items=[
            {"price_id": seats, "amount": "8", "quantity": "20"},
            {
                "price_id": usage, "billing_model": "TIERED", "tier_mode": "SLAB",
                "tiers": [{"up_to": 1000, "unit_amount": "0.08"}, {"up_to": None, "unit_amount": "0.05"}],
            },
        ],
        override_entitlements=[{"entitlement_id": plan.entitlements.get().public_id, "usage_limit": 500}],
        line_item_commitments={usage: {"commitment_amount": 25, "enable_true_up": True, "overage_factor": 1}},
        line_items=[
            {"price": {"type": "FIXED", "billing_model": "FLAT_FEE", "billing_period": "MONTHLY", "amount": "250",
                       "invoice_cadence": "ADVANCE", "price_unit_type": "FIAT", "display_name": "Support"}}
        ],
    )  # fmt: skip
    items = {item["display_name"]: item for item in made["line_items"]}
    assert {name: (item["price"]["amount"], item["quantity"]) for name, item in items.items()} == {
        "Seats": ("8", "20"), "Calls": (None, "1"), "Support": ("250", "1"),
    }  # fmt: skip
    assert items["Seats"]["price"]["parent_price_id"] == seats
    assert (items["Seats"]["entity_type"], items["Seats"]["entity_id"]) == ("subscription", made["id"])
    assert [tier["unit_amount"] for tier in items["Calls"]["price"]["tiers"]] == ["0.08", "0.05"]
    assert (items["Calls"]["commitment_amount"], items["Calls"]["commitment_type"]) == ("25", "amount")
    [feature] = api.get(f"subscriptions/{made['id']}/entitlements")["features"]
    assert feature["entitlement"]["usage_limit"] == 500
    # The fees in advance are invoiced at once: 20 × 8 + 250.
    assert Invoice.objects.get().total == D(410)
    # The plan is as it was.
    assert [item["amount"] for item in api.get("prices")["items"]] == ["0.1", "10"]


def test_a_commitment_is_an_amount_or_a_quantity(api, plan, calls):
    usage = price_id(plan, feature=calls)
    made = create(api, plan, line_item_commitments={usage: {"commitment_type": "quantity", "commitment_quantity": 500}})
    [item] = [item for item in made["line_items"] if item["display_name"] == "Calls"]
    committed = {name.removeprefix("commitment_"): item[name] for name in item if name.startswith("commitment_")}
    assert (committed["quantity"], committed["amount"], committed["type"]) == ("500", None, "quantity")
    changed = api.put(f"subscriptions/lineitems/{item['id']}", {"commitment_amount": 40})
    assert (changed["commitment_quantity"], changed["commitment_amount"]) == (None, "40")


@pytest.mark.parametrize(
    "commitment",
    [
        {"commitment_type": "quantity", "commitment_amount": 5}, {"commitment_type": "amount"},
        {"commitment_quantity": 5, "commitment_amount": 5},
    ],
)  # fmt: skip
def test_a_commitment_without_its_measure_is_refused(api, plan, calls, commitment):
    refused = create(api, plan, status=400, line_item_commitments={price_id(plan, feature=calls): commitment})
    assert "commitment_" in next(iter(refused["details"]))


def test_phases_are_entered_at_once(api, plan):
    seats = price_id(plan, name="Seats")
    now = timezone.now()
    start, middle = now + timedelta(days=10), now + timedelta(days=100)
    made = create(
        api,
        plan,
        start_date=start.isoformat(),
        phases=[
            {"start_date": start.isoformat(), "end_date": middle.isoformat(),
             "override_line_items": [{"price_id": seats, "amount": "5"}]},
            {"start_date": middle.isoformat(), "override_line_items": [{"price_id": seats, "quantity": "50"}]},
        ],
    )  # fmt: skip
    assert made["line_items"][0]["price"]["amount"] == "5"
    [schedule] = api.get(f"subscriptions/{made['id']}/schedules")["schedules"]
    assert schedule["schedule_type"] == "terms_change"


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ({"tiers": [{"unit_amount": "1"}]}, "override_line_items[0].tiers"),
        ({"price_id": "price_x"}, "override_line_items[0].price_id"),
        ({"minimum_amount": "1"}, "override_line_items[0].minimum_amount"),
        ({"commitment_quantity": 5}, "override_line_items[0].minimum_quantity"),
    ],
)
def test_what_cannot_be_agreed_is_named(api, plan, override, field):
    refused = create(
        api,
        plan,
        status=400,
        override_line_items=[{"price_id": price_id(plan, name="Seats"), "amount": "1"} | override],
    )
    assert list(refused["details"]) == [field]


def test_an_added_price_has_the_billing_period_of_the_subscription(api, plan):
    price = {"type": "FIXED", "billing_model": "FLAT_FEE", "billing_period": "WEEKLY", "amount": "250",
             "invoice_cadence": "ADVANCE", "price_unit_type": "FIAT", "display_name": "Support"}  # fmt: skip
    refused = create(api, plan, status=400, line_items=[{"price": price}])
    assert list(refused["details"]) == ["line_items[0].price.billing_period"]


def test_a_quantity_outside_the_bounds_is_refused(api, plan):
    seats = price_id(plan, name="Seats")
    refused = create(api, plan, status=400, override_line_items=[{"price_id": seats, "quantity": "51"}])
    assert "at most 50" in refused["message"]


def test_a_line_item_is_changed_added_and_removed(api, plan, calls):
    made = create(api, plan)
    item = next(item for item in made["line_items"] if item["display_name"] == "Seats")

    changed = api.put(f"subscriptions/lineitems/{item['id']}", {"quantity": "12"}, status=200)
    assert (changed["quantity"], changed["price"]["parent_price_id"]) == ("12", item["price_id"])
    # The list item's id still names the line item.
    again = api.put(f"subscriptions/lineitems/{item['id']}", {"amount": "9"}, status=200)
    assert (again["quantity"], again["price"]["amount"]) == ("12", "9")

    price = {"type": "USAGE", "billing_model": "PERCENTAGE", "billing_period": "MONTHLY", "rate_percent": "2.5",
             "price_unit_type": "FIAT", "meter_id": make_feature(name="Sales", field="amount").public_id}  # fmt: skip
    added = api.post(f"subscriptions/{made['id']}/lineitems", {"price": price}, status=201)
    assert (added["price"]["billing_model"], added["price"]["rate_percent"]) == ("PERCENTAGE", "2.5")

    removed = api.delete(f"subscriptions/lineitems/{added['id']}", {}, status=200)
    assert removed["id"] == added["id"]
    names = [item["display_name"] for item in api.get(f"subscriptions/{made['id']}")["line_items"]]
    assert names == ["Seats", "Calls"]
    assert api.put(f"subscriptions/lineitems/{added['id']}", {"rate_percent": "1"}, status=400)
    late = {"quantity": "9", "effective_from": (timezone.now() - timedelta(days=1)).isoformat()}
    assert "reason" in api.put(f"subscriptions/lineitems/{item['id']}", late, status=400)["details"]


def test_a_quantity_change_is_previewed_and_made(api, plan):
    made = create(api, plan)
    item = next(item for item in made["line_items"] if item["display_name"] == "Seats")
    params = {"line_items": [{"id": item["id"], "quantity": "20"}]}
    body = {"type": "quantity_change", "quantity_change_params": params}

    preview = api.post(f"subscriptions/{made['id']}/modify/preview", body, status=200)
    assert api.get(f"subscriptions/{made['id']}") == made
    executed = api.post(f"subscriptions/{made['id']}/modify/execute", body, status=200)

    resources = executed["changed_resources"]
    assert [(line["change_action"], line["quantity"]) for line in resources["line_items"]] == [
        ("ended", "10"),
        ("created", "20"),
    ]
    assert preview["immediate_invoice"]["total"] == resources["invoices"][0]["invoice"]["total"]
    assert D(preview["immediate_invoice"]["total"]) > 0
    amounts = {
        "type": "line_item_change",
        "line_item_change_params": {"line_items": [{"id": item["id"], "amount": "7"}]},
    }
    changed = api.post(f"subscriptions/{made['id']}/modify/execute", amounts, status=200)
    assert changed["subscription"]["line_items"][0]["price"]["amount"] == "7"


def test_only_some_prices_of_the_plan_can_be_charged(api, plan):
    made = create(api, plan, include_price_ids=[price_id(plan, name="Seats")])
    assert [item["display_name"] for item in made["line_items"]] == ["Seats"]
