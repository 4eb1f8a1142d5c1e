"""Rules that hold for the rating of every price and quantity."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from billing.money import ZERO, exact
from billing.rating.rate import rate
from billing.rating.terms import Model, Terms, Tier

AMOUNTS = st.decimals(0, 1000, places=6)
QUANTITIES = st.decimals(0, 10**12, places=6)


@st.composite
def tiered_terms(draw: st.DrawFn, models: tuple[Model, ...] = (Model.GRADUATED, Model.VOLUME)) -> Terms:
    bounds = sorted(draw(st.lists(st.decimals("0.01", 10**12, places=3), max_size=5, unique=True)))
    tiers = [Tier(bound, draw(AMOUNTS), draw(AMOUNTS)) for bound in [*bounds, None]]
    return Terms(draw(st.sampled_from(models)), tiers=tuple(tiers), charge_at_zero=draw(st.booleans()))


ANY_TERMS = st.one_of(
    tiered_terms(),
    st.builds(Terms, st.just(Model.PER_UNIT), AMOUNTS, cap_amount=st.none() | AMOUNTS),
    st.builds(
        Terms,
        st.just(Model.PACKAGE),
        AMOUNTS,
        package_size=st.decimals("0.1", 1000, places=1),
        package_rounding=st.sampled_from(["up", "down"]),
    ),
    st.builds(Terms, st.just(Model.FLAT), flat_amount=AMOUNTS),
)


@given(ANY_TERMS, QUANTITIES)
def test_an_amount_is_the_sum_of_its_parts(terms, quantity):
    rated = rate(quantity, terms)
    with exact():
        assert rated.amount == sum((part.amount for part in rated.parts), ZERO)


@given(tiered_terms((Model.GRADUATED,)), QUANTITIES)
def test_graduated_parts_contain_every_unit_once(terms, quantity):
    parts = rate(quantity, terms).parts
    with exact():
        assert sum((part.quantity for part in parts), ZERO) == quantity


@given(tiered_terms((Model.GRADUATED,)), QUANTITIES, st.decimals("0.01", 10**12, places=3))
def test_splitting_a_graduated_tier_changes_nothing(terms, quantity, cut):
    lower = ZERO
    pieces: list[Tier] = []
    for tier in terms.tiers:
        inside = cut > lower and (tier.up_to is None or cut < tier.up_to)
        if inside:
            pieces += [replace(tier, up_to=cut), replace(tier, flat_amount=ZERO)]
        else:
            pieces.append(tier)
        lower = tier.up_to or lower
    assert rate(quantity, replace(terms, tiers=tuple(pieces))).amount == rate(quantity, terms).amount


@given(ANY_TERMS, QUANTITIES)
def test_no_amount_is_negative(terms, quantity):
    assert rate(quantity, terms).amount >= 0
