"""Free units with a percentage price of single events: 2% plus $0.50 per event. Amounts are calculated by hand."""

import pytest

from billing.explanation.proof import prove
from catalog.publishing import publish
from tests.billing.late import adjustments, arrive, invoice_at, work_late
from tests.billing.world import D, amounts, lines, utc
from tests.factories import make_customer, make_draft, make_entitlement, make_feature, make_price, make_subscription

pytestmark = pytest.mark.django_db

SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
FEE = {"model": "percentage", "rate_percent": D(2), "fixed_amount_per_event": D("0.5")}


@pytest.fixture
def payments(db):
    return make_feature(name="Payments", event_name="payment", field="amount")


@pytest.fixture
def sold(payments):
    """Subscribe a customer to the percentage, with free units as given."""

    def subscribe(price=FEE, **free):
        draft = make_draft()
        make_price(version=draft, feature=payments, **price)
        make_entitlement(version=draft, feature=payments, **free)
        version = publish(draft, now=SEPTEMBER, by=None)
        customer = make_customer(external_id="acme")
        return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)

    return subscribe


def pay(day, *values, month=9):
    for minute, value in enumerate(values):
        arrive(utc(2026, month, day, 9, minute), event_name="payment", amount=value)


def test_free_units_are_deducted_from_events_in_order(sold):
    sold(free_units=150)
    pay(5, 100, 300, 50)
    [cycle] = invoice_at(OCTOBER)
    # 100 is free; 50 of 300 are: 250 × 2% + 0.50 = 5.50; 50 × 2% + 0.50 = 1.50
    assert lines(cycle) == [("Payments, 1–30 Sep 2026 · 450 used, 150 free, 2% of 300", D("7.00"))]
    [line] = cycle.lines.all()
    assert (line.quantity, line.free_units, line.billable_quantity) == (450, 150, 300)
    assert line.computation["windows"][0]["free"] == "150"
    assert prove(line).agrees


def test_daily_free_units_are_deducted_from_the_days_own_events(sold):
    sold(free_units=100, reset="daily")
    pay(5, 60, 80)
    pay(6, 100)
    # The 5th: 60 free, 40 of 80: 40 × 2% + 0.50. The 6th is free.
    assert amounts(invoice_at(OCTOBER)[0]) == [D("1.30")]


def test_free_units_without_reset_are_used_up_once(sold):
    sold(free_units=150, reset="never")
    pay(5, 100)
    pay(5, 100, month=10)
    [september, october] = [*invoice_at(OCTOBER), *invoice_at(NOVEMBER)]
    # 50 are left for October: 50 × 2% + 0.50
    assert (amounts(september), amounts(october)) == ([D(0)], [D("1.50")])


def test_unlimited_free_units_make_all_events_free(sold):
    sold(free_units=None)
    pay(5, 100, 300)
    assert lines(invoice_at(OCTOBER)[0]) == [("Payments, 1–30 Sep 2026 · 400 used, unlimited", D(0))]


def test_the_prices_own_free_events_come_after_the_free_units(sold):
    sold({**FEE, "free_events": 1}, free_units=150)
    pay(5, 100, 300, 50)
    [cycle] = invoice_at(OCTOBER)
    # The plan's 150 cover 100 and 50 of 300; what is left of 300 is the free event; 50 × 2% + 0.50
    assert lines(cycle) == [("Payments, 1–30 Sep 2026 · 450 used, 400 free, 2% of 50", D("1.50"))]


def test_a_refund_neither_uses_nor_returns_free_units(sold):
    sold(free_units=150)
    pay(5, 100, -100, 60)
    # 100 and 50 of 60 are free: 10 × 2% + 0.50
    assert amounts(invoice_at(OCTOBER)[0]) == [D("0.70")]


def test_a_late_event_uses_free_units_by_its_time_of_occurrence(sold):
    subscription = sold(free_units=150)
    pay(5, 100, 300)
    [september] = invoice_at(OCTOBER)
    pay(4, 150)
    work_late(utc(2026, 10, 2))
    [late] = adjustments(subscription)
    # 5.50 was charged. Now 150 is free, and 100 and 300 are not: 8.00 + 1.00
    assert (september.total, late.amount) == (D("5.50"), D("3.50"))
