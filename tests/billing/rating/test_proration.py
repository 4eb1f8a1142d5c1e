# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""What part of a fee a part of its period costs."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.money import precision_of
from billing.rating.proration import (
    BY_SECOND,
    Rules,
    calendar_days,
    cap_credit,
    factor,
    fixed_month_days,
    plan_change,
    prorate,
    prorate_exact,
    prorate_parts,
)
from customers.periods import Period

USD = precision_of("USD")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(start: str, end: str) -> Period:
    return Period(utc(start), utc(end))


MARCH = span("2024-03-01", "2024-04-01")


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2024-03-01", "2024-04-01", 31),
        ("2024-03-15", "2024-04-01", 17),
        ("2024-03-01", "2024-03-20", 19),
        ("2024-02-01", "2024-05-01", 31),
        ("2024-03-10", "2024-03-10", 0),
        ("2024-03-20", "2024-03-10", 0),
        ("2024-04-01", "2024-05-01", 0),
        # The day of the change belongs to the new state, whatever the hour.
        ("2024-03-15T23:59:59", "2024-04-01", 17),
        ("2024-03-01", "2024-03-15T00:00:01", 14),
    ],
)
def test_days_of_the_service_over_days_of_the_period(start, end, days):
    assert factor(MARCH, span(start, end), "UTC") == Fraction(days, 31)


def test_days_are_the_customers():
    # From local midnight to local midnight in New York, over the clock change of 10 March.
    period = span("2024-03-01T05:00", "2024-04-01T04:00")
    assert factor(period, span("2024-03-11T04:00", "2024-04-01T04:00"), "America/New_York") == Fraction(21, 31)
    # Still 14 March there, so that day counts.
    assert factor(period, span("2024-03-15T02:00", "2024-04-01T04:00"), "America/New_York") == Fraction(18, 31)


def test_a_period_within_a_day_is_measured_in_time():
    period = span("2024-03-01T00:00", "2024-03-01T08:00")
    assert factor(period, span("2024-03-01T06:00", "2024-03-01T09:00"), "UTC") == Fraction(1, 4)


def test_seconds_are_an_option():
    assert factor(MARCH, span("2024-03-16T12:00", "2024-04-01"), "UTC", BY_SECOND) == Fraction(1, 2)


@pytest.mark.parametrize(
    ("rules", "days", "of"),
    [
        (Rules(service_end_day="inclusive"), 11, 31),
        (Rules(change_day="old"), 9, 31),
        (Rules(period_end_day="inclusive"), 11, 32),
        (Rules(unit="fixed_month_days"), 10, 30),
    ],
)
def test_other_ways_to_count(rules, days, of):
    assert factor(MARCH, span("2024-03-05", "2024-03-15"), "UTC", rules) == Fraction(days, of)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [("2023-02-15", "2023-03-15", 30), ("2023-02-23", "2023-03-15", 22), ("2023-01-31", "2023-03-01", 31)],
)
def test_months_of_equal_length(start, end, days):
    assert fixed_month_days(date.fromisoformat(start), date.fromisoformat(end), 30) == days


@pytest.mark.parametrize(
    ("amount", "currency", "prorated"), [("31.00", "USD", "17.00"), ("100.00", "USD", "54.84"), ("1000", "JPY", "548")]
)
def test_a_fee_is_rounded_once(amount, currency, prorated):
    service = span("2024-03-15", "2024-04-01")
    assert prorate(Decimal(amount), MARCH, service, "UTC", currency) == Decimal(prorated)


def test_the_exact_part_is_there_for_who_rounds_later():
    half = span("2024-04-16", "2024-05-01")
    assert prorate_exact(Decimal("0.05"), span("2024-04-01", "2024-05-01"), half, "UTC") == Decimal("0.025")


def test_parts_of_a_period_add_up_to_the_fee():
    parts = prorate_parts(Decimal("10.00"), MARCH, [utc("2024-03-21"), utc("2024-03-11")], "UTC", "USD")
    # 10, 10 and 11 of 31 days: 3.2258, 3.2258 and 3.5484.
    assert parts == [Decimal("3.23"), Decimal("3.22"), Decimal("3.55")]


def test_cuts_outside_the_period_do_nothing():
    assert prorate_parts(Decimal(10), MARCH, [utc("2024-05-01"), MARCH.start], "UTC", "USD") == [Decimal("10.00")]


@pytest.mark.parametrize(
    ("change_at", "credit", "charge"),
    [
        ("2024-03-01", "-31.00", "62.00"),
        ("2024-03-15", "-17.00", "34.00"),
        ("2024-04-01", "0", "0"),
        ("2024-02-01", "-31.00", "62.00"),
    ],
)
def test_a_change_credits_the_old_fee_and_charges_the_new_one_for_the_days_left(change_at, credit, charge):
    change = plan_change(MARCH, utc(change_at), Decimal(31), Decimal(62), "UTC", USD)
    assert (change.credit, change.charge) == (Decimal(credit), Decimal(charge))
    assert change.net == Decimal(credit) + Decimal(charge)


def test_a_new_cycle_is_charged_in_full():
    change = plan_change(
        MARCH, utc("2024-03-15"), Decimal(31), Decimal(620), "UTC", USD, new_cycle_starts_at_change=True
    )
    assert (change.credit, change.charge, change.net) == (-17, 620, 603)


def test_a_fee_is_never_credited_twice():
    change = plan_change(MARCH, utc("2024-03-15"), Decimal(31), Decimal(0), "UTC", USD, already_credited=Decimal(20))
    assert change.credit == -11


@pytest.mark.parametrize(("potential", "previous", "credit"), [("10", "0", "10"), ("10", "25", "5"), ("10", "40", "0")])
def test_credits_are_capped(potential, previous, credit):
    assert cap_credit(Decimal(potential), Decimal(30), Decimal(previous)) == Decimal(credit)


def test_a_23_hour_day_is_a_day():
    assert calendar_days(utc("2024-03-09T05:00"), utc("2024-03-11T04:00"), "America/New_York") == 2
