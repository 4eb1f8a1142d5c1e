"""The parts of a difference, calculated by hand: their causes, in order, and their amounts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.explanation.comparison.compare import SUBSTITUTED, compare
from billing.explanation.comparison.values import (
    Cause,
    ChargedFee,
    ComparedLine,
    ComparedSide,
    Contract,
    OfferedUsage,
    UsageRating,
    UsedQuantity,
)
from billing.kinds import LineKind
from billing.money import ZERO, exact, round_amount
from billing.rating.terms import Model, Terms, Tier
from tests.billing.rating.test_properties import ANY_TERMS

D = Decimal
STARTER, NEXT_STARTER = Contract(1, 1, "Starter v1"), Contract(2, 1, "Starter v2")
PRO, AGREED = Contract(3, 2, "Pro v1"), Contract(4, 1, "Starter v1, agreed terms", is_agreed=True)
CALLS = 7


def per_unit(price):
    return Terms(Model.PER_UNIT, D(price))


TIERS = Terms(Model.GRADUATED, tiers=(Tier(D(1000), D("0.10")), Tier(None, D("0.05"))))
VOLUME = Terms(Model.VOLUME, tiers=(Tier(D(1000), D("0.10")), Tier(None, D("0.05"))))


def used(quantity, terms, free="0", contract=STARTER, *, amount=None, trial=False, price=None):
    """Return a usage line with an allowance of `free` units, and the amount that its price says."""
    rating = UsageRating(terms, D(free), trial)
    quantity = D(quantity)
    with exact():
        free_units = max(quantity, ZERO) - rating.charge(quantity)
    amount = round_amount(rating.rate(quantity), "USD") if amount is None else D(amount)
    usage = UsedQuantity(quantity, free_units, rating)
    return ComparedLine(LineKind.USAGE, amount, "API calls", CALLS, 1, contract, price or contract.version_id, usage)


def fee(unit, quantity=1, days=30, of=30, contract=STARTER, name="Platform", *, amount=None, periods=1):
    amount = round_amount(D(unit) * quantity * days / of, "USD") if amount is None else D(amount)
    charged = ChargedFee(D(unit), D(quantity), days, of, periods)
    price_id = 100 * contract.version_id + periods
    return ComparedLine(LineKind.FEE, amount, name, name, 1, contract, price_id, fee=charged)


def other(kind, amount, name="Other"):
    return ComparedLine(kind, D(amount), name, name, 1)


def side(*lines, contracts=(STARTER,), offer=None):
    return ComparedSide(lines, {1: contracts} if contracts else {}, {(1, CALLS): offer} if offer else {})


def parts(before, after, currency="USD"):
    comparison = compare(before, after, currency)
    assert sum(part.amount for part in comparison.parts) == after.total - before.total
    return [(part.cause.value, str(part.amount)) for part in comparison.parts]


CASES = {
    # 900 × $0.10 = $90; 1,400 × $0.10 = $140; 1,300 × $0.10 = $130; 1,300 × $0.08 = $104
    "usage, then free units, then price": (
        side(used("1000", per_unit("0.10"), "100")),
        side(used("1500", per_unit("0.08"), "200", NEXT_STARTER), contracts=(NEXT_STARTER,)),
        [("usage", "50.00"), ("free_units", "-10.00"), ("price", "-26.00")],
    ),
    # $80; 1,200 at $0.10 on average = $120; in tiers 1,000 × $0.10 + 200 × $0.05 = $110
    "more usage reaches the next tier": (
        side(used("800", TIERS)), side(used("1200", TIERS)), [("usage", "40.00"), ("tiers", "-10.00")],
    ),
    # 1,000 × $0.10 = $100; 1,001 at $0.10 = $100.10; the volume tier makes all of them $0.05: $50.05
    "one more unit makes all units cheaper": (
        side(used("1000", VOLUME)), side(used("1001", VOLUME)), [("usage", "0.10"), ("tiers", "-50.05")],
    ),
    # 100 units were free, so none was charged; 300 - 100 = 200 × $0.10 = $20
    "usage exceeds the free units for the first time": (
        side(used("50", per_unit("0.10"), "100")), side(used("300", per_unit("0.10"), "100")), [("usage", "20.00")],
    ),
    # The plan of before prices 400 calls at $0.10 = $40; Pro has 100 free ($30), and charges $0.20: 300 × $0.20 = $60
    "a feature used for the first time after a change of plan": (
        side(offer=OfferedUsage(STARTER, 1, UsageRating(per_unit("0.10")))),
        side(used("400", per_unit("0.20"), "100", PRO), contracts=(PRO,)),
        [("usage", "40.00"), ("plan", "30.00"), ("plan", "-10.00")],
    ),
    # 500 × $0.10 = $50; in the trial all were free
    "the trial is over": (
        side(used("500", per_unit("0.10"), trial=True)), side(used("500", per_unit("0.10"))), [("free_units", "50.00")],
    ),
    # 10 × $9 = $90; 12 × $9 = $108; half of it $54; at $8, 12 × $8 × 15/30 = $48
    "seats, days and the agreed fee of a seat": (
        side(fee("9", 10)), side(fee("8", 12, 15, contract=AGREED), contracts=(AGREED,)),
        [("quantity", "18.00"), ("days", "-54.00"), ("terms", "-6.00")],
    ),
    # 20/30 × $30 = $20; $30 for the full month; $90 on Pro
    "a change of plan after a short first month": (
        side(fee("30", 1, 20)), side(fee("90", contract=PRO, name="Pro"), contracts=(PRO,)),
        [("days", "10.00"), ("plan", "60.00")],
    ),
    # $10 × 10/31 = $3.23 rounded; 11 days $3.55; 11 days at $20 $7.10: rounded amounts, so no rest
    "prorated cents": (
        side(fee("10", 1, 10, 31)), side(fee("20", 1, 11, 31, NEXT_STARTER), contracts=(NEXT_STARTER,)),
        [("days", "0.32"), ("price", "3.55")],
    ),
    # The minimum of $60 was missed by $35 and is missed by $20, since $15 more was used
    "usage instead of a minimum": (
        side(used("250", per_unit("0.10")), other(LineKind.TRUE_UP, "35")),
        side(used("400", per_unit("0.10")), other(LineKind.TRUE_UP, "20")),
        [("usage", "15.00"), ("commitment", "-15")],
    ),
    # A coupon of 10% and a tax of 20%: $100 - $10 + $18 = $108; $120 - $12 + $21.60 = $129.60, and $4 late usage
    "late usage, a discount and tax": (
        side(used("1000", per_unit("0.10")), other(LineKind.DISCOUNT, "-10"), other(LineKind.TAX, "18.00")),
        side(used("1200", per_unit("0.10")), other(LineKind.LATE_USAGE, "4"), other(LineKind.DISCOUNT, "-12"),
             other(LineKind.TAX, "21.60")),
        [("usage", "20.00"), ("late_usage", "4"), ("discount", "-2"), ("tax", "3.60")],
    ),
    # Single events were priced: $30 for 100 units is $0.30 on average; 150 are $45; the other prices make it $40
    "a price of single events, by its average": (
        side(used("100", per_unit("0.1"), amount="30")),
        side(used("150", per_unit("0.1"), amount="40", contract=NEXT_STARTER), contracts=(NEXT_STARTER,)),
        [("usage", "15.00"), ("price", "-5.00")],
    ),
    "a subscription begins in the second month": (
        side(contracts=()), side(fee("30"), used("100", per_unit("0.10"))),
        [("subscription", "30.00"), ("subscription", "10.00")],
    ),
    "an annual fee of a monthly subscription": (
        side(fee("600", 1, 365, 365, periods=12), fee("30")), side(fee("30")), [("longer_fee", "-600.00")],
    ),
    "a fee of which no day is charged": (side(fee("30")), side(), [("days", "-30.00")]),
    "a fee that the next version doesn't have": (
        side(fee("30")), side(contracts=(NEXT_STARTER,)), [("price", "-30.00")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_difference_has_these_parts(case):
    before, after, expected = CASES[case]
    assert parts(before, after) == expected


def test_a_part_says_what_it_was_before_and_after():
    before, after, _ = CASES["seats, days and the agreed fee of a seat"]
    assert [(part.name, part.before, part.after) for part in compare(before, after, "USD").parts] == [
        ("Platform", "10", "12"),
        ("Platform", "30 of 30 days", "15 of 30 days"),
        ("Platform", "Platform, 10 × $9.00", "Platform, 12 × $8.00"),
    ]
    before, after, _ = CASES["usage, then free units, then price"]
    assert [(part.before, part.after) for part in compare(before, after, "USD").parts] == [
        ("1,000 used", "1,500 used"), ("100 free", "200 free"), ("$0.10", "$0.08"),
    ]  # fmt: skip


def test_causes_are_grouped_and_the_largest_is_first():
    before, after, _ = CASES["a feature used for the first time after a change of plan"]
    comparison = compare(before, after, "USD")
    assert [(cause, amount) for cause, amount, _ in comparison.by_cause] == [(Cause.USAGE, 40), (Cause.PLAN, 20)]
    before, after, _ = CASES["one more unit makes all units cheaper"]
    assert [cause for cause, _ in compare(before, after, "USD").largest] == [Cause.TIERS, Cause.USAGE]


@pytest.mark.parametrize("kind", LineKind)
def test_lines_of_every_kind_are_compared(kind):
    assert [amount for _, amount in parts(side(other(kind, "5")), side(other(kind, "7")))] == ["2"]


CONTRACTS = st.sampled_from([STARTER, NEXT_STARTER, PRO, AGREED])
USAGE_LINES = st.builds(
    used,
    st.decimals(-5, 10**7, places=3),
    ANY_TERMS,
    st.decimals(0, 1000, places=1),
    CONTRACTS,
    amount=st.none() | st.decimals(-50, 1000, places=2),
    trial=st.booleans(),
    price=st.none() | st.integers(1, 3),
)
FEE_LINES = st.builds(
    fee,
    st.decimals(0, 1000, places=4),
    st.integers(0, 50),
    st.integers(0, 31),
    st.just(31),
    CONTRACTS,
    st.sampled_from(["Platform", "Support"]),
    amount=st.none() | st.decimals(0, 1000, places=2),
)
OTHER_LINES = st.builds(
    other,
    st.sampled_from([kind for kind in LineKind if kind not in SUBSTITUTED]),
    st.decimals(-1000, 1000, places=2),
    st.sampled_from(["A", "B"]),
)
SIDES = st.builds(
    lambda lines, contracts, offer: side(*lines, contracts=contracts, offer=offer),
    st.lists(USAGE_LINES | FEE_LINES | OTHER_LINES, max_size=6),
    st.lists(CONTRACTS, max_size=2, unique=True),
    st.none() | st.builds(OfferedUsage, CONTRACTS, st.integers(1, 3), st.builds(UsageRating, ANY_TERMS)),
)


@given(SIDES, SIDES)
def test_parts_add_up_to_the_difference_and_swapping_the_sides_negates_it(before, after):
    there, back = compare(before, after, "USD"), compare(after, before, "USD")
    assert sum((part.amount for part in there.parts), ZERO) == there.difference == after.total - before.total
    assert sum((part.amount for part in back.parts), ZERO) == back.difference == -there.difference
    assert all(part.amount for part in there.parts)


@given(SIDES)
def test_a_side_doesnt_differ_from_itself(side):
    assert compare(side, side, "USD").parts == []
