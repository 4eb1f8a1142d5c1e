"""The share of a fee for a part of its period."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.proration import calendar_days, factor
from customers.periods import Period


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
def test_the_factor_is_service_days_over_period_days(start, end, days):
    assert factor(MARCH, span(start, end), "UTC") == Fraction(days, 31)


def test_days_are_counted_in_the_customers_time_zone():
    # From local midnight to local midnight in New York, over the clock change of 10 March.
    period = span("2024-03-01T05:00", "2024-04-01T04:00")
    assert factor(period, span("2024-03-11T04:00", "2024-04-01T04:00"), "America/New_York") == Fraction(21, 31)
    # Still 14 March there, so that day counts.
    assert factor(period, span("2024-03-15T02:00", "2024-04-01T04:00"), "America/New_York") == Fraction(18, 31)


def test_a_period_within_one_day_is_measured_in_elapsed_time():
    period = span("2024-03-01T00:00", "2024-03-01T08:00")
    assert factor(period, span("2024-03-01T06:00", "2024-03-01T09:00"), "UTC") == Fraction(1, 4)


def test_a_23_hour_day_is_a_day():
    assert calendar_days(utc("2024-03-09T05:00"), utc("2024-03-11T04:00"), "America/New_York") == 2


@given(
    st.integers(1, 400),
    st.timedeltas(timedelta(0), timedelta(days=400)),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
)
def test_charge_and_credit_share_the_period_without_overlap(days, change, zone):
    period = Period(MARCH.start, MARCH.start + timedelta(days=days))
    at = min(period.start + change, period.end)
    used, unused = Period(period.start, at), Period(at, period.end)
    assert factor(period, used, zone) + factor(period, unused, zone) == 1
