"""What holds for all agreed terms: dates and order of changes, terms equal to the list, phases that are split."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoicing.upcoming import upcoming
from catalog.agreed import PriceEdit, QuantityEdit
from catalog.by_value import ValuePrice, set_value_prices
from catalog.drafting import Tier
from catalog.models import Price
from catalog.publishing import publish
from customers.models import Subscription
from customers.subscriptions import agree_terms
from tests.billing.late import arrive
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_draft, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
START, END = utc(2026, 1, 1), utc(2026, 5, 1)
few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
days = st.integers(0, 110)
quantities = st.integers(5, 15)


@pytest.fixture
def start() -> Callable[[], Subscription]:
    """Return what starts a subscription with seats and calls, used on some days."""
    calls = make_feature(name="Calls")
    plan = make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D("9.99"), "quantity": D(10)},
        {"kind": "fixed", "cadence": "arrears", "name": "Desks", "unit_amount": D("3.33"), "position": 1},
        {"feature": calls, "model": "graduated", "tiers": [(10, D("0.5")), (None, D("0.1"))], "position": 2},
        free_units={calls: D(3)},
    )

    def make() -> Subscription:
        subscription = make_subscription(plan=plan, starts_at=START)
        for day in (3, 20, 45, 70, 80, 100):
            use(subscription.customer, calls, START + timedelta(days=day, hours=7), 6)
        return subscription

    return make


def price_named(name: str) -> Price:
    return Price.objects.get(name=name, listed=None)


def on(day: int) -> datetime:
    return START + timedelta(days=day)


def charges(subscription: Subscription) -> list[list[tuple[str, Decimal]]]:
    """Return all that is invoiced until May."""
    return [
        [(line.description, line.amount) for line in invoice.lines]
        for invoice in upcoming(subscription.pk, now=END).earlier
    ]


def change_seats(subscription: Subscription, changes: Sequence[tuple[int, int]]) -> None:
    for day, quantity in changes:
        edits = [QuantityEdit(price_named("Seats"), D(quantity))]
        agree_terms(subscription, edits, at=on(day), now=START, by=None)


@few
@given(data=st.data(), changes=st.lists(st.tuples(days, quantities), unique_by=lambda change: change[0], max_size=5))
def test_quantities_changed_in_any_order_are_charged_alike(start, data, changes):
    in_order, shuffled = start(), start()
    change_seats(in_order, sorted(changes))
    change_seats(shuffled, data.draw(st.permutations(changes)))
    assert charges(in_order) == charges(shuffled)


@few
@given(first=days, second=days)
def test_terms_that_are_equal_to_the_list_change_nothing(start, first, second):
    listed, agreed = start(), start()
    usage = Price.objects.get(feature__name="Calls", listed=None)
    agree_terms(
        agreed, [PriceEdit(price_named("Seats"), {"unit_amount": D("9.9900")})], at=on(first), now=START, by=None
    )
    agree_terms(agreed, [PriceEdit(usage, {"model": "graduated"})], at=on(second), now=START, by=None)
    assert charges(agreed) == charges(listed)


@few
@given(ends=st.lists(days, min_size=3, max_size=3, unique=True).map(sorted), name=st.sampled_from(["Seats", "Desks"]))
def test_a_phase_in_two_parts_is_charged_as_one(start, ends, name):
    whole, split = start(), start()
    begin, middle, end = map(on, ends)
    edits = [PriceEdit(price_named(name), {"unit_amount": D("4.44")})]
    agree_terms(whole, edits, at=begin, until=end, now=START, by=None)
    agree_terms(split, edits, at=begin, until=middle, now=START, by=None)
    agree_terms(split, edits, at=middle, until=end, now=START, by=None)
    assert charges(split) == charges(whole)


@few
@given(day=days)
def test_terms_of_no_time_are_charged_nothing(start, day):
    """Terms that another change on the same moment replaces leave no trace on invoices."""
    listed, agreed = start(), start()
    change_seats(agreed, [(day, 15), (day, 10)])
    assert charges(agreed) == charges(listed)


@few
@given(changes=st.lists(st.tuples(days, quantities), unique_by=lambda change: change[0], max_size=3), day=days)
def test_the_preview_of_agreed_terms_equals_the_invoices(start, changes, day):
    with transaction.atomic():
        subscription = start()
        change_seats(subscription, changes)
        usage = Price.objects.get(feature__name="Calls", listed=None)
        edits = [PriceEdit(usage, {"minimum_quantity": D(30)}, [Tier(D(10), D("0.4")), Tier(None, D("0.2"))])]
        agree_terms(subscription, edits, at=on(day), now=START, by=None)
        previewed = charges(subscription)
        billed = [[(line.description, line.amount) for line in invoice.lines.all()] for invoice in bill(END)]
        assert billed == previewed
        transaction.set_rollback(True)


@few
@given(
    used=st.lists(st.tuples(st.sampled_from(["eu", "us", "asia", None]), st.integers(1, 50)), min_size=1, max_size=8)
)
def test_one_price_for_each_value_charges_what_one_price_charges(used):
    """Whatever values occur, the lines of a list with equal prices add up to the line of a single price."""
    with transaction.atomic():
        traffic = make_feature(name="Traffic", event_name="traffic", aggregation="sum", field="gb")
        draft = make_draft()
        prices = [ValuePrice(["eu"], D("0.25")), ValuePrice(["us"], D("0.25")), ValuePrice([], D("0.25"))]
        set_value_prices(draft, traffic, "region", prices, currency="USD", by=None)
        by_value = publish(draft, now=START, by=None)
        customer = make_customer(external_id="acme", timezone="UTC")
        plans = by_value, make_version({"feature": traffic, "unit_amount": D("0.25")})
        subscriptions = [make_subscription(customer=customer, plan=plan, starts_at=START) for plan in plans]
        for region, gb in used:
            properties = {"gb": gb} | ({"region": region} if region else {})
            arrive(on(3), event_name="traffic", **properties)
        totals = [sum(amount for _, amount in charges(one)[0]) for one in subscriptions]
        assert totals == [sum(gb for _, gb in used) * D("0.25")] * 2
        transaction.set_rollback(True)
