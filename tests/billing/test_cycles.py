"""How many cycles a service is billed for in advance."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.cycles import billing_cycles, month_fraction
from customers.periods import Interval

MONTHLY = Interval("month")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor_day", "start", "target", "end", "cycles"),
    [
        # Up to the boundary after the target, 1 March.
        (1, "2024-02-01", "2024-02-10", None, "1"),
        # On the boundary the next month is billed too.
        (1, "2024-02-01", "2024-03-01", None, "2"),
        # 15 of April's 30 days, then May.
        (1, "2024-04-16", "2024-05-10", None, "1.5"),
        # Ends after 10 of 31 days.
        (1, "2024-05-01", "2024-05-20", "2024-05-11", "0.322580645"),
        # A stub at both ends: 15/30 + 1 + 10/30.
        (1, "2024-04-16", "2024-07-01", "2024-06-11", "1.833333333"),
        (1, "2024-04-16", "2024-04-01", None, "0"),
        (1, "2024-04-16", "2024-05-10", "2024-04-16", "0"),
        (None, "2024-04-16", "2024-05-10", None, "1"),
    ],
)
def test_stubs_count_by_their_days(anchor_day, start, target, end, cycles):
    ended_at = None if end is None else utc(end)
    count = billing_cycles(MONTHLY, anchor_day, utc(start), utc(target), "UTC", end=ended_at)
    assert count == Decimal(cycles)


def test_a_yearly_cycle_counts_its_first_days_over_the_year_they_lie_in():
    count = billing_cycles(Interval("year"), 15, utc("2023-03-20"), utc("2023-04-01"), "UTC")
    # Up to 15 March 2024: 361 of the 366 days from 15 March 2023.
    assert count == Decimal("0.986338798")


def test_a_stub_may_be_measured_back_from_a_clamped_boundary():
    # 14 days before 29 February: over 30 January to 29 February, or over 29 January to 29 February.
    arguments = (MONTHLY, 30, utc("2024-02-15"), utc("2024-02-20"), "UTC")
    assert billing_cycles(*arguments) == Decimal("0.466666667")
    assert billing_cycles(*arguments, stub_base="subtract_from_boundary") == Decimal("0.451612903")


@pytest.mark.parametrize(
    ("start", "end", "fraction"),
    [
        ("2024-01-31", "2024-02-29", "1"),
        ("2024-01-31", "2024-03-15", "1.483870968"),
        ("2024-04-10", "2024-04-10", "0"),
        ("2024-04-10", "2024-04-25", "0.5"),
    ],
)
def test_months_and_the_part_of_one(start, end, fraction):
    assert month_fraction(utc(start), utc(end), "UTC") == Decimal(fraction)
