# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""Plan changes with several lines, and under a discount."""

from datetime import UTC, datetime
from decimal import Decimal

from billing.money import precision_of
from billing.plan_changes import ChangeLine, change_lines, discounted_change
from customers.periods import Period

USD = precision_of("USD")
APRIL = Period(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC))
MIDDLE = datetime(2024, 4, 16, tzinfo=UTC)


def decimals(*texts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(text) for text in texts)


def test_recurring_lines_count_for_the_days_left():
    lines = [
        ChangeLine("recurring", "credit", Decimal(100)),
        ChangeLine("recurring", "charge", Decimal("150.01")),
    ]
    changed = change_lines(APRIL, MIDDLE, lines, "UTC", USD)
    assert (changed.amounts, changed.net) == (decimals("-50.00", "75.01"), Decimal("25.01"))


def test_one_time_fees_are_charged_in_full_and_not_given_back():
    lines = [ChangeLine("one_time", "credit", Decimal(40)), ChangeLine("one_time", "charge", Decimal(60))]
    assert change_lines(APRIL, MIDDLE, lines, "UTC", USD).amounts == decimals("60")


def test_usage_and_zero_lines_are_left_out():
    lines = [ChangeLine("usage", "charge", Decimal(100)), ChangeLine("recurring", "charge", Decimal(0))]
    assert change_lines(APRIL, MIDDLE, lines, "UTC", USD).amounts == ()


def test_a_yearly_line_counts_over_its_own_year():
    line = ChangeLine("recurring", "charge", Decimal(3650), own_period_days=365)
    assert change_lines(APRIL, MIDDLE, [line], "UTC", USD).amounts == decimals("150.00")


def test_a_weekly_line_is_charged_once_at_most():
    line = ChangeLine("recurring", "charge", Decimal(70), own_period_days=7)
    assert change_lines(APRIL, MIDDLE, [line], "UTC", USD).amounts == decimals("70.00")


def test_a_percentage_comes_off_every_part():
    changed = discounted_change(
        APRIL, MIDDLE, decimals("100", "120"), decimals("200"), "UTC", USD, percent_off=Decimal(10)
    )
    assert (changed.credits, changed.charges) == (decimals("-45.00", "-54.00"), decimals("90.00"))
    assert changed.net == -9


def test_an_amount_off_spreads_by_share_and_stops_at_the_price():
    changed = discounted_change(
        APRIL, MIDDLE, decimals("100", "300"), decimals("30"), "UTC", USD, amount_off=Decimal(40)
    )
    # 10 and 30 off the old parts; the new part is wholly discounted.
    assert (changed.credits, changed.charges) == (decimals("-45.00", "-135.00"), decimals("0.00"))


def test_without_a_discount_the_parts_count_as_they_are():
    changed = discounted_change(APRIL, MIDDLE, decimals("10"), decimals("20"), "UTC", USD)
    assert changed.net == 5


def test_only_the_difference_of_one_part_may_count():
    more = discounted_change(
        APRIL,
        MIDDLE,
        decimals("100", "100"),
        decimals("100", "200"),
        "UTC",
        USD,
        amount_off=Decimal(150),
        only_difference_of=1,
    )
    assert (more.credits, more.charges, more.net) == ((0,), decimals("37.50"), Decimal("37.50"))
