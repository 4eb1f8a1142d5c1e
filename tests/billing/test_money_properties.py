"""Rules that hold for splitting every amount by any weights."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.money import ZERO, allocate, round_to

PLACES = st.sampled_from([0, 2, 3])


@given(st.decimals(-10_000, 10_000, places=3), st.lists(st.decimals(0, 1000, places=4), min_size=1, max_size=8), PLACES)
def test_a_split_adds_up_and_is_fair_to_a_unit(amount, weights, places):
    parts = allocate(amount, weights, places)
    total = round_to(amount, places)
    assert sum(parts, ZERO) == total
    whole = sum(map(Fraction, weights), Fraction(0))
    unit = Fraction(Decimal(1).scaleb(-places))
    for part, weight in zip(parts, weights, strict=True):
        ideal = Fraction(total) * Fraction(weight) / whole if whole else Fraction(total) / len(weights)
        assert abs(Fraction(part) - ideal) < unit
