"""One price list by the values of a property: traffic by region. Every amount is calculated by hand."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.upcoming import upcoming
from billing.month_end.customer_ranges import CustomerRange
from billing.month_end.usage import UsageStatus, usage_of
from catalog.agreed import PriceEdit, PriceRemoval
from catalog.by_value import NotByValue, ValuePrice, get_variant, set_value_prices
from catalog.features import MeterIsFixed, accept_numeric_strings, save_feature
from catalog.models import Feature, PlanVersion
from catalog.publishing import get_or_create_draft, publish
from catalog.validation import find_publishing_problems
from customers.models import Subscription
from customers.periods import Period
from customers.subscriptions import agree_terms, change_plan
from events.diagnosis import diagnose
from events.diagnosis.steps import StepKey
from events.usage.unbilled import unbilled, unbilled_features
from tests.billing.late import arrive, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, utc
from tests.events.senders import ledger
from tests.factories import make_customer, make_draft, make_feature, make_price, make_subscription

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL = (utc(2026, month, 1) for month in range(1, 5))
LIST = [ValuePrice(["eu"], D("0.10")), ValuePrice(["us", "ca"], D("0.08")), ValuePrice([], D("0.12"))]


@pytest.fixture
def traffic() -> Feature:
    return make_feature(
        name="Traffic", event_name="traffic", aggregation="sum", field="gb", unit_singular="GB", unit_plural="GB"
    )


def make_list(traffic: Feature, **values: Any) -> PlanVersion:
    draft = make_draft()
    set_value_prices(draft, traffic, "region", LIST, currency="USD", by=None, **values)
    return publish(draft, now=JANUARY, by=None)


def subscribe(plan: PlanVersion) -> Subscription:
    return make_subscription(customer=make_customer(name="Acme", external_id="acme"), plan=plan, starts_at=JANUARY)


def use(moment: datetime, **gigabytes: int) -> list[str]:
    """Have traffic of regions come in and be counted. Traffic from nowhere has no region."""
    sent = []
    for region, gb in gigabytes.items():
        properties = {"gb": gb} if region == "nowhere" else {"gb": gb, "region": region}
        sent += arrive(moment, event_name="traffic", **properties)
    return sent


def charged(lines: Any) -> list[tuple[str, Decimal]]:
    return [(line.description.partition(" 2026")[0], line.amount) for line in lines]


def bill(subscription: Subscription, moment: datetime) -> list[tuple[str, Decimal]]:
    """Bill a moment, after the upcoming invoice said the same."""
    expected = [charged(invoice.lines) for invoice in upcoming(subscription.pk, now=moment).earlier]
    billed = [charged(invoice.lines.all()) for invoice in invoice_at(moment)]
    assert billed == expected
    return [charge for invoice in billed for charge in invoice]


def test_traffic_by_region(traffic):
    v1 = make_list(traffic, free_units=D(10))
    acme = subscribe(v1)
    use(utc(2026, 1, 10), eu=100, us=50, ca=25, asia=10, nowhere=5)
    assert bill(acme, FEBRUARY) == [
        ("Traffic (region: eu), 1–31 Jan", D("9.00")),  # (100 - 10) × 0.10
        ("Traffic (region: ca, us), 1–31 Jan", D("5.20")),  # (50 + 25 - 10) × 0.08
        ("Traffic (region: other), 1–31 Jan", D("0.60")),  # (10 + 5 - 10) × 0.12
    ]

    # From 15 February on, Asia has a price of its own, without free units. The other values keep theirs.
    draft = get_or_create_draft(v1.plan, by=None)
    set_value_prices(draft, traffic, "region", [ValuePrice(["asia"], D("0.15"))], currency="USD", by=None)
    v2 = publish(draft, now=FEBRUARY, by=None)
    change_plan(acme, v2, at=utc(2026, 2, 15), now=FEBRUARY, by=None)
    use(utc(2026, 2, 10), asia=20)
    use(utc(2026, 2, 20), asia=20, nowhere=12)
    use(utc(2026, 1, 20), eu=30)
    work_late(utc(2026, 2, 21))
    assert bill(acme, MARCH) == [
        ("Traffic (region: other), 1–14 Feb", D("1.20")),  # (20 - 10) × 0.12
        ("Traffic (region: other), 15–28 Feb", D("0.24")),  # (12 - 10) × 0.12
        ("Traffic (region: asia), 15–28 Feb", D("3.00")),  # 20 × 0.15
        ("Traffic (region: eu), 1–31 Jan", D("3.00")),  # late: 30 × 0.10
    ]

    # Acme agrees another price for Europe. The other values keep the list's.
    eu = v2.prices.get(feature=get_variant(traffic, "region", ["eu"], by=None))
    agree_terms(acme, [PriceEdit(eu, {"unit_amount": D("0.05")})], at=MARCH, now=MARCH, by=None, reason="Deal")
    use(utc(2026, 3, 10), eu=100, us=20)
    assert bill(acme, APRIL) == [
        ("Traffic (region: eu), 1–31 Mar", D("4.50")),  # (100 - 10) × 0.05
        ("Traffic (region: ca, us), 1–31 Mar", D("0.80")),  # (20 - 10) × 0.08
    ]
    work_late(APRIL)
    assert differences(prove_night(APRIL)) == []


def test_the_debugger_says_which_price_an_event_has(traffic):
    subscribe(make_list(traffic))
    (event_id,) = use(utc(2026, 1, 10), asia=10)
    steps = diagnose(ledger(event_id), now=FEBRUARY)
    assert [step.feature for step in steps if step.key == StepKey.PLAN] == ["Traffic (region: other)"]
    said = {step.sentence: [(item.label, item.value) for item in step.evidence] for step in steps}
    assert said["The properties match the filter."] == [("region must not be", "ca or eu or us; sent: asia")]
    others = "Traffic, Traffic (region: ca, us), Traffic (region: eu)"
    assert said[f"Other features of this event name leave the event to Traffic (region: other): {others}."] == [
        ("Traffic", "counts the same usage with another price"),
        ("Traffic (region: ca, us)", "region must be ca or us; sent: asia"),
        ("Traffic (region: eu)", "region must be eu; sent: asia"),
    ]


def test_usage_with_prices_by_value_is_not_unbilled(traffic):
    acme = subscribe(make_list(traffic))
    use(utc(2026, 1, 10), eu=100)
    middle = utc(2026, 1, 20)
    assert unbilled_features(acme.customer, now=middle) == []
    assert unbilled(now=middle, keep=False) == []
    counts, counted = usage_of(Period(JANUARY, FEBRUARY), CustomerRange(0, acme.customer_id), now=middle)
    eu = get_variant(traffic, "region", ["eu"], by=None)
    assert counts == {(traffic.pk, UsageStatus.OTHER_PRICE): 1, (eu.pk, UsageStatus.RUNNING): 1}
    assert counted == 2


def test_values_change_only_with_prices(traffic):
    make_list(traffic)
    eu = get_variant(traffic, "region", ["eu"], by=None)
    eu.filters = {"region": ["eu", "asia"]}
    with pytest.raises(MeterIsFixed, match="change the prices of the plan"):
        save_feature(eu, by=None)


def test_a_change_of_the_feature_reaches_its_variants(traffic):
    make_list(traffic)
    accept_numeric_strings(traffic, by=None)
    traffic.filters = {"kind": ["paid"]}
    save_feature(traffic, by=None)
    eu = get_variant(traffic, "region", ["eu"], by=None)
    assert (eu.accept_numeric_strings, eu.filters) == (True, {"kind": ["paid"], "region": ["eu"]})
    assert traffic.variants.count() == 3
    traffic.filters = {"region": ["eu"]}
    with pytest.raises(MeterIsFixed, match="can't filter by this property"):
        save_feature(traffic, by=None)


def test_usage_is_never_charged_by_two_prices(traffic):
    draft = make_draft()
    set_value_prices(draft, traffic, "region", LIST, currency="USD", by=None)
    set_value_prices(draft, traffic, "region", [ValuePrice(["eu", "asia"], D(1))], currency="USD", by=None)
    make_price(version=draft, feature=traffic)
    problems = [message for problem in find_publishing_problems(draft) for message in problem.messages]
    assert [problem.partition(": feature: ")[2] for problem in problems] == [
        "eu has two prices.",
        "the feature also has a price for all values of “region”, so usage would be charged twice.",
    ]


def test_an_agreed_removal_leaves_a_value_without_a_price(traffic):
    acme = subscribe(v1 := make_list(traffic))
    eu = v1.prices.get(feature=get_variant(traffic, "region", ["eu"], by=None))
    agree_terms(acme, [PriceRemoval(eu)], at=JANUARY, now=JANUARY, by=None, reason="Europe is free")
    use(utc(2026, 1, 10), eu=100, asia=100)
    assert bill(acme, FEBRUARY) == [("Traffic (region: other), 1–31 Jan", D("12.00"))]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reset": "cumulative"}, "is cumulative"),
        ({"filters": {"region": ["eu"]}}, "filters by “region” itself"),
    ],
)
def test_features_that_can_not_have_prices_by_value(values, message):
    feature = make_feature(event_name="traffic", aggregation="sum", field="gb", **values)
    with pytest.raises(NotByValue, match=message):
        get_variant(feature, "region", ["eu"], by=None)


def price(plan: dict[str, Any], meter: str, amount: str, *values: str) -> dict[str, Any]:
    return {
        "entity_id": plan["id"], "type": "USAGE", "billing_model": "FLAT_FEE", "billing_period": "MONTHLY",
        "invoice_cadence": "ARREAR", "currency": "USD", "meter_id": meter, "amount": amount,
        "filter_values": {"region": list(values)},
    }  # fmt: skip


def test_prices_by_value_through_the_api(api, traffic):
    plan, meter = api.post("plans", {"name": "Network"}, status=201), traffic.public_id
    refused = api.post("prices", price(plan, meter, "0.12"), status=400)
    assert "Add the price of a value of “region” first" in refused["message"]
    items = [price(plan, meter, "0.10", "eu"), price(plan, meter, "0.08", "us", "ca"), price(plan, meter, "0.12")]
    created = api.post("prices/bulk", {"items": items}, status=201)["items"]
    assert [item["filter_values"] for item in created] == [{"region": ["eu"]}, {"region": ["ca", "us"]}, {"region": []}]
    assert [item["display_name"] for item in created][2] == "Traffic (region: other)"

    asia = api.post("prices", price(plan, meter, "0.15", "asia"), status=201)
    prices = {item["display_name"]: item for item in api.get("prices", plan_ids=plan["id"])["items"]}
    other = prices["Traffic (region: other)"]
    assert other["meter"]["excluded_filters"] == [{"key": "region", "values": ["asia", "ca", "eu", "us"]}]
    api.delete(f"prices/{asia['id']}")
    other = api.get(f"prices/{other['id']}")
    assert other["meter"]["excluded_filters"] == [{"key": "region", "values": ["ca", "eu", "us"]}]

    make_customer(external_id="acme", timezone="UTC")
    api.post("subscriptions", {
        "external_customer_id": "acme", "plan_id": plan["id"], "currency": "USD", "billing_period": "MONTHLY",
        "start_date": JANUARY.isoformat(),
    }, status=201)  # fmt: skip
    use(utc(2026, 1, 10), eu=100, asia=10)
    window = {"start_time": JANUARY.isoformat(), "end_time": FEBRUARY.isoformat()}
    usage = api.post("subscriptions/usage", {"subscription_id": Subscription.objects.get().public_id, **window})
    assert [(charge["filter_values"], charge["amount"]) for charge in usage["charges"] if charge["amount"]] == [
        ({"region": ["eu"]}, 10),
        ({"region": []}, D("1.2")),
    ]


@pytest.mark.parametrize("values", [{"": ["eu"]}, {"re\0gion": ["eu"]}, {"x" * 256: ["eu"]}, {"a": ["b"], "c": ["d"]}])
def test_a_price_by_value_names_one_property(api, traffic, values):
    plan = api.post("plans", {"name": "Network"}, status=201)
    body = price(plan, traffic.public_id, "0.10") | {"filter_values": values}
    assert list(api.post("prices", body, status=400)["details"]) == ["filter_values"]
    assert traffic.variants.count() == 0
