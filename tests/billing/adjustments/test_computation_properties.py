"""What every invoice promises, whatever is on it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.adjustments.computation import Commitment, Credit, Draft, Line, compute
from billing.adjustments.discounts import Discount
from billing.adjustments.taxes import TaxRate
from billing.money import ZERO, allocate, currency_places, round_amount
from billing.rating.proration import factor
from customers.periods import Period

CURRENCIES = st.sampled_from(["USD", "JPY", "BHD"])
AMOUNTS = st.decimals(-10_000, 10_000, places=6)
POSITIVE = st.decimals(0, 10_000, places=6)
RATES = st.decimals(0, 60, places=3)
SHARES = st.fractions(0, 1, max_denominator=366)
TAXES = st.builds(TaxRate, st.sampled_from(["vat", "city", "state"]), RATES, st.booleans())
CONTENTS = st.builds(
    Line,
    st.just(""),
    AMOUNTS,
    SHARES,
    minimum_amount=st.none() | POSITIVE,
    maximum_amount=st.none() | POSITIVE,
    taxes=st.none() | st.lists(TAXES, max_size=3, unique_by=lambda tax: tax.code).map(tuple),
    credit_eligible=st.booleans(),
    discountable=st.booleans(),
)
DISCOUNTS = st.one_of(
    st.builds(Discount, st.just("percent"), percent_off=st.decimals(0, 100, places=2)),
    st.builds(Discount, st.just("fixed"), amount_off=st.decimals(0, 20_000, places=2)),
)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    contents = draw(st.lists(CONTENTS, max_size=6))
    currency = draw(CURRENCIES)
    return Draft(
        currency,
        tuple(replace(each, key=str(position)) for position, each in enumerate(contents)),
        taxes=tuple(draw(st.lists(TAXES, max_size=2, unique_by=lambda tax: tax.code))),
        commitment=draw(st.none() | st.builds(Commitment, POSITIVE, SHARES)),
        discounts=tuple(draw(st.lists(DISCOUNTS, max_size=3))),
        credits=tuple(
            Credit(str(position), round_amount(amount, currency))
            for position, amount in enumerate(draw(st.lists(POSITIVE, max_size=3)))
        ),
        reverse_charge=draw(st.booleans()),
    )


@given(drafts())
def test_totals_are_the_sum_of_rounded_lines(draft):
    result = compute(draft)
    assert result.subtotal == sum((line.gross for line in result.lines), ZERO)
    assert result.taxable == sum((line.net for line in result.lines), ZERO)
    assert result.tax == sum((line.tax for line in result.lines), ZERO)
    assert result.tax == sum((tax.amount for tax in result.taxes), ZERO)
    assert result.total - result.account_credit == result.taxable + result.tax
    assert result.amount_due == result.total - result.credits_applied


@given(drafts())
def test_every_amount_can_be_paid_in_the_currency(draft):
    result = compute(draft)
    shown = [amount for line in result.lines for amount in (line.gross, line.after_discounts, line.net, line.tax)]
    shown += [result.subtotal, result.discount, result.tax, result.total, result.amount_due]
    assert all(amount == round_amount(amount, draft.currency) for amount in shown)


@given(drafts())
def test_every_line_adds_up(draft):
    for line in compute(draft).lines:
        reductions = sum((each.amount for each in line.reductions), ZERO)
        assert line.gross - line.over_maximum - reductions == line.after_discounts


@given(drafts())
def test_nothing_is_due_below_zero_and_no_credit_is_made_up(draft):
    result = compute(draft)
    assert result.amount_due >= 0
    assert result.account_credit >= 0
    assert 0 <= result.credits_applied <= sum((credit.available for credit in draft.credits), ZERO)
    assert result.discount >= 0


@given(
    st.decimals(-10_000, 10_000, places=3),
    st.lists(st.decimals(0, 1000, places=4), min_size=1, max_size=8),
    CURRENCIES,
)
def test_a_split_adds_up_and_is_fair_to_a_unit(amount, weights, currency):
    parts = allocate(amount, weights, currency_places(currency))
    total = round_amount(amount, currency)
    assert sum(parts, ZERO) == total
    whole = sum(map(Fraction, weights), Fraction(0))
    unit = {"USD": Fraction(1, 100), "JPY": Fraction(1), "BHD": Fraction(1, 1000)}[currency]
    for part, weight in zip(parts, weights, strict=True):
        ideal = Fraction(total) * Fraction(weight) / whole if whole else Fraction(total) / len(weights)
        assert abs(Fraction(part) - ideal) < unit


START = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"])


@given(st.integers(1, 400), st.timedeltas(timedelta(0), timedelta(days=400)), ZONES)
def test_charge_and_credit_share_the_period_without_overlap(days, change, zone):
    period = Period(START, START + timedelta(days=days))
    at = min(START + change, period.end)
    used, left = Period(period.start, at), Period(at, period.end)
    assert factor(period, used, zone) + factor(period, left, zone) == 1
