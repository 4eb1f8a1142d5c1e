"""Usage by day: the running total that the upcoming invoice rates, against free units and tiers."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.admin.pages.usage_by_day import usage_charts
from billing.invoicing.upcoming import upcoming
from billing.overview.usage_by_day import list_charges, usage_by_day
from catalog.publishing import publish
from customers.subscriptions import change_plan
from tests.billing.late import arrive, arrive_many
from tests.billing.world import D, use, utc
from tests.factories import (
    make_customer,
    make_draft,
    make_entitlement,
    make_feature,
    make_plan,
    make_price,
    make_subscription,
    make_version,
)

pytestmark = pytest.mark.django_db
START, NOW = utc(2026, 9, 1), utc(2026, 9, 11)
TIERS = [(D(1000), D("0.01")), (D(5000), D("0.008")), (None, D("0.005"))]


@pytest.fixture
def calls():
    return make_feature(event_name="api.calls", name="API calls")


def subscribe(feature, *, free=None, tiers=TIERS, customer=None, **values):
    version = make_version(
        {"feature": feature, "model": "graduated", "tiers": tiers}, free_units={feature: free} if free else {}
    )
    customer = customer or make_customer(external_id="acme")
    return make_subscription(customer=customer, plan=version, starts_at=START, now=START, **values)


def usages_of(subscription, now=NOW):
    billed, charges = list_charges(subscription.pk, now=now)
    return usage_by_day(billed, charges, now=now)


def chart_of(subscription, now=NOW):
    billed, charges = list_charges(subscription.pk, now=now)
    [chart] = usage_charts(billed, [(charge.price.label, charge) for charge in charges], now)
    return chart


def test_the_last_total_is_the_quantity_of_the_upcoming_line(calls):
    subscription = subscribe(calls)
    for day, quantity in ((1, 10), (3, 5), (10, 85)):
        use(subscription.customer, calls, utc(2026, 9, day), quantity)
    [usage] = usages_of(subscription)
    assert list(usage.totals) == [10, 10, 15, 15, 15, 15, 15, 15, 15, 100]
    [line] = upcoming(subscription.pk, now=NOW).invoice.lines
    assert line.quantity == usage.totals[-1]
    assert len(usage.windows) == 30


def test_days_are_those_of_the_customers_time_zone(calls):
    tokyo = make_customer(external_id="acme", timezone="Asia/Tokyo")
    subscription = subscribe(calls, customer=tokyo)
    use(tokyo, calls, utc(2026, 9, 1, 15), 7)  # the 2nd in Tokyo
    assert list(usages_of(subscription)[0].totals)[:3] == [0, 7, 7]


def test_free_units_come_before_the_tiers(calls):
    subscription = subscribe(calls, free=500)
    use(subscription.customer, calls, START, 1600)
    chart = chart_of(subscription)
    assert [mark.name for mark in chart.marks] == ["Free up to 500", "Tier 1 up to 1,500", "Tier 2 up to 5,500"]
    assert chart.rows[0][2][0][0] == "1,600"
    assert "Free up to 500 · Tier 1 up to 1,500" in chart.note


def test_of_many_tiers_those_around_the_usage_are_shown(calls):
    tiers = [*((D(100 * number), D("0.01")) for number in range(1, 200)), (None, D("0.005"))]
    subscription = subscribe(calls, tiers=tiers)
    use(subscription.customer, calls, utc(2026, 9, 10), 950)
    assert [int(mark.value) for mark in chart_of(subscription, utc(2026, 9, 2, 12)).marks] == [100]
    # 950 units in ten of thirty days: the line goes on to 2,850.
    assert [int(mark.value) for mark in chart_of(subscription).marks] == [2500, 2600, 2700, 2800, 2900]


def test_the_projection_goes_on_at_the_average_pace(calls):
    subscription = subscribe(calls)
    use(subscription.customer, calls, START, 300)
    [usage] = usages_of(subscription)
    assert usage.projection[9:12] == [300, 330, 360]
    assert usage.projection[-1] == 900
    assert usages_of(subscription, START + timedelta(days=2))[0].projection == []


@pytest.mark.parametrize("values", [{"aggregation": "max", "field": "n"}, {"reset": "cumulative"}])
def test_a_maximum_and_a_running_total_are_not_projected(values):
    feature = make_feature(event_name="api.calls", name="Seats", **values)
    subscription = subscribe(feature)
    use(subscription.customer, feature, START, 300)
    [usage] = usages_of(subscription)
    assert (usage.totals[-1], usage.projection) == (300, [])


def test_distinct_values_are_not_counted_by_day():
    feature = make_feature(event_name="api.calls", name="Users", aggregation="unique_count", field="user")
    subscription = subscribe(feature)
    arrive(START, user="a")
    chart = chart_of(subscription)
    assert chart.is_empty
    assert "Query tool" in chart.empty_text


def test_after_a_change_of_plan_each_price_has_its_own_total(calls):
    subscription = subscribe(calls, free=50)
    use(subscription.customer, calls, START, 100)
    change = utc(2026, 9, 6)
    other = make_version({"feature": calls, "unit_amount": D("0.5")}, free_units={calls: 20})
    change_plan(subscription, other, at=change, now=change, by=None, reason="")
    use(subscription.customer, calls, utc(2026, 9, 8), 30)
    before, after = usages_of(subscription)
    assert (before.totals[-1], before.free_units) == (100, 50)
    assert (list(after.totals)[4:8], after.totals[-1], after.free_units) == ([None, 0, 0, 30], 30, 20)


def test_a_daily_allowance_has_no_line(calls):
    draft = make_draft(make_plan(published=False))
    make_price(version=draft, feature=calls, unit_amount=D("0.5"))
    make_entitlement(version=draft, feature=calls, free_units=20, reset="daily")
    version = publish(draft, now=START, by=None)
    subscription = make_subscription(
        customer=make_customer(external_id="acme"), plan=version, starts_at=START, now=START
    )
    use(subscription.customer, calls, START, 100)
    chart = chart_of(subscription)
    assert (list(chart.marks), chart.note.partition(" · ")[2]) == ([], "20 free each day")


def test_events_are_not_read_for_the_chart(calls):
    subscription = subscribe(calls)
    arrive_many(20, START)
    with CaptureQueriesContext(connection) as captured:
        usages_of(subscription)
    assert not [query for query in captured.captured_queries if "events_event" in query["sql"]]


def test_with_many_features_one_is_chosen(staff_client):
    features = [make_feature(event_name=f"event.{number}", name=f"Feature {number}") for number in range(8)]
    version = make_version(*({"feature": feature, "unit_amount": D("0.5")} for feature in features))
    subscription = make_subscription(customer=make_customer(), plan=version)
    use(subscription.customer, features[5], timezone.now(), 7)
    address = reverse("admin:billing_usage_by_day", args=[subscription.pk])
    [chart] = staff_client.get(address).context_data["charts"]
    assert chart.tab == "Feature 5"
    price = version.prices.get(feature=features[2])
    [chart] = staff_client.get(address, {"price": price.pk}).context_data["charts"]
    assert chart.tab == "Feature 2"


def test_customer_subscription_and_upcoming_invoice_load_the_charts(staff_client, calls):
    subscription = subscribe(calls)
    address = reverse("admin:billing_usage_by_day", args=[subscription.pk])
    for page in (
        subscription.customer.get_absolute_url(),
        subscription.get_absolute_url(),
        reverse("admin:billing_subscription_upcoming", args=[subscription.pk]),
    ):
        assert address in staff_client.get(page).content.decode()
