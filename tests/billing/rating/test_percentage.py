# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""Percentage prices over single events."""

from decimal import Decimal

import pytest

from billing.rating.percentage import rate_events
from billing.rating.terms import Model, Terms, Tier


def amounts(*values: int) -> list[Decimal]:
    return [Decimal(value) for value in values]


@pytest.mark.parametrize(
    ("terms", "events", "amount"),
    [
        ({}, [], "0"),
        ({}, [100, 300], "8"),
        ({"fixed_amount_per_event": Decimal("0.5")}, [100, 300], "9"),
        # The first event is free, whatever its amount.
        ({"free_events": 1}, [100, 300], "6"),
        # The second event crosses the free 150: 250 of it pay 2 %, and the fixed amount is due.
        ({"free_amount": Decimal(150), "fixed_amount_per_event": Decimal(1)}, [100, 300], "6"),
        # Two free events, but their 150 are used up inside the second.
        ({"free_amount": Decimal(150), "free_events": 2}, [100, 300, 50], "6"),
        # One free event ends the allowance, although 50 of the free amount are left.
        ({"free_amount": Decimal(150), "free_events": 1}, [100, 300], "6"),
        ({"per_event_min": Decimal(3), "per_event_max": Decimal(5)}, [100, 300, 200], "12"),
        # A free event pays nothing, not even the minimum.
        ({"free_amount": Decimal(100), "per_event_min": Decimal(3)}, [100, 10], "3"),
        # The limits hold for rate and fixed amount together.
        ({"fixed_amount_per_event": Decimal(4), "per_event_max": Decimal(5)}, [100], "5"),
        # A refund pays nothing and gives nothing back.
        ({"fixed_amount_per_event": Decimal(1)}, [-100, 100], "3"),
        ({"cap_amount": Decimal(5)}, [100, 300], "5"),
    ],
)
def test_events_are_charged_a_rate_of_their_amount(terms, events, amount):
    price = Terms(Model.PERCENTAGE, rate_percent=Decimal(2), **terms)
    assert rate_events(amounts(*events), price).amount == Decimal(amount)


def test_free_and_charged_amounts_are_shown():
    price = Terms(Model.PERCENTAGE, rate_percent=Decimal(2), free_amount=Decimal(150))
    rated = rate_events(amounts(100, 300), price)
    assert (rated.quantity, rated.free_units_used, rated.billable_quantity) == (400, 150, 250)
    assert [(part.kind, part.quantity, part.amount) for part in rated.parts] == [("percentage", 250, 5)]


def test_other_models_are_rated_on_the_sum_of_the_events():
    tiers = (Tier(Decimal(100), rate_percent=Decimal(3)), Tier(rate_percent=Decimal(1), flat_amount=Decimal(2)))
    price = Terms(Model.GRADUATED_PERCENTAGE, tiers=tiers)
    assert rate_events(amounts(60, 90), price).amount == Decimal("5.5")
