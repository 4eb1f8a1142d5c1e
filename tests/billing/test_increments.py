# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""Billing a period in several lines."""

from decimal import Decimal

import pytest

from billing.increments import rate_increment
from billing.money import precision_of
from billing.rating.rate import Model, Terms, Tier

TEN_EACH = Terms(Model.PER_UNIT, unit_amount=Decimal(10))
TIERED = Terms(
    Model.GRADUATED,
    tiers=(Tier(Decimal(10), Decimal(2), Decimal(5)), Tier(None, Decimal(1))),
)


def test_a_line_costs_what_it_adds():
    line = rate_increment(Decimal(8), Decimal(4), TIERED, previously_billed=Decimal(21))
    assert (line.gross, line.net) == (6, 6)


def test_the_flat_amount_counts_as_billed_when_something_was_billed_without_usage():
    fresh = rate_increment(Decimal(0), Decimal(4), TIERED)
    after_flat = rate_increment(Decimal(0), Decimal(4), TIERED, previously_billed=Decimal(5))
    assert (fresh.gross, after_flat.gross) == (13, 8)


def test_more_usage_can_be_cheaper_by_volume():
    volume = Terms(Model.VOLUME, tiers=(Tier(Decimal(10), Decimal(2)), Tier(None, Decimal(1))))
    assert rate_increment(Decimal(10), Decimal(1), volume, previously_billed=Decimal(20)).gross == -9


@pytest.mark.parametrize(
    ("billed", "line", "discount", "net"), [("70", "2", "0", "20"), ("70", "5", "20", "30"), ("120", "5", "50", "0")]
)
def test_a_maximum_takes_off_what_lies_above_it(billed, line, discount, net):
    result = rate_increment(
        Decimal(7), Decimal(line), TEN_EACH, previously_billed=Decimal(billed), maximum=Decimal(100)
    )
    assert (result.discount, result.net) == (Decimal(discount), Decimal(net))


def test_a_percentage_comes_off_before_the_maximum():
    result = rate_increment(
        Decimal(7),
        Decimal(20),
        TEN_EACH,
        previously_billed=Decimal(35),
        maximum=Decimal(100),
        percent_off=Decimal(50),
    )
    assert (result.gross, result.discount, result.net) == (200, 135, 65)


def test_only_the_last_line_of_a_period_is_topped_up():
    first = rate_increment(Decimal(0), Decimal(2), TEN_EACH, minimum=Decimal(50))
    last = rate_increment(
        Decimal(2), Decimal(1), TEN_EACH, previously_billed=Decimal(20), final=True, minimum=Decimal(50)
    )
    assert (first.minimum_topup, last.minimum_topup, last.net) == (0, 20, 30)


def test_the_line_is_rounded_before_the_maximum():
    thirds = Terms(Model.PER_UNIT, unit_amount=Decimal("1.33333"))
    result = rate_increment(
        Decimal(70),
        Decimal(50),
        thirds,
        previously_billed=Decimal("93.33"),
        maximum=Decimal(100),
        precision=precision_of("USD"),
    )
    assert (result.gross, result.discount, result.net) == (Decimal("66.67"), 60, Decimal("6.67"))


def test_free_units_are_spent_over_the_lines():
    earlier = rate_increment(Decimal(0), Decimal(5), TEN_EACH, free_units=Decimal(10))
    later = rate_increment(Decimal(5), Decimal(15), TEN_EACH, free_units=Decimal(10))
    assert (earlier.net, later.net) == (0, 100)
