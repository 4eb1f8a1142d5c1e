"""Rules that hold for every invoice, with any discounts, taxes and credit."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.adjustments.adjust import adjust
from billing.adjustments.conditions import AppliedCoupon, Conditions, CustomerTax
from billing.adjustments.credit import AvailableCredit
from billing.lines import Charge
from billing.money import round_amount

AT = datetime(2026, 9, 1, tzinfo=UTC)
CURRENCIES = st.sampled_from(["USD", "JPY", "BHD"])
KINDS = st.sampled_from(["fee", "usage", "proration", "true_up", "late_usage", "item", "credit"])
AMOUNTS = st.decimals(-5_000, 5_000, places=3)
POSITIVE = st.decimals(0, 5_000, places=3)
LEVIES = st.builds(
    CustomerTax, st.sampled_from(["a", "b", "c"]), st.just("Tax"), st.decimals(0, 40, places=3), st.booleans()
)
SCOPES = st.sampled_from(["everything", "fees", "usage", "chosen"])
COUPONS = st.one_of(
    st.builds(
        AppliedCoupon, st.just(0), st.just("P"), st.just("P"), scope=SCOPES,
        percent_off=st.decimals("0.01", 100, places=2),
        feature_ids=st.just(frozenset({1})), version_ids=st.just(frozenset({1})), limit=st.none() | st.integers(1, 3),
    ),
    st.builds(
        AppliedCoupon, st.just(0), st.just("F"), st.just("F"), scope=SCOPES,
        amount_off=st.decimals("0.01", 9_000, places=3),
        feature_ids=st.just(frozenset({1})), version_ids=st.just(frozenset({1})), limit=st.none() | st.integers(1, 3),
    ),
)  # fmt: skip


@st.composite
def invoices(draw: st.DrawFn) -> tuple[list[Charge], Conditions, str]:
    currency = draw(CURRENCIES)

    def money(amount: Decimal) -> Decimal:
        return round_amount(amount, currency)

    items = [
        Charge(kind, money(amount), "A charge", feature_id=one, plan_version_id=one,
             discount_back=money(-amount / 4) if amount < 0 and back else Decimal(0))
        for kind, amount, one, back in draw(
            st.lists(st.tuples(KINDS, AMOUNTS, st.integers(1, 2), st.booleans()), max_size=5)
        )
    ]  # fmt: skip
    coupons = [replace(coupon, id=number) for number, coupon in enumerate(draw(st.lists(COUPONS, max_size=4)), start=1)]
    conditions = Conditions(
        treatment=draw(st.sampled_from(["taxable", "exempt", "reverse_charge"])),
        taxes=tuple(draw(st.lists(LEVIES, max_size=3, unique_by=lambda levy: levy.code))),
        coupons=coupons,
        credit={
            currency: [
                AvailableCredit(key, money(left)) for key, left in enumerate(draw(st.lists(POSITIVE, max_size=3)))
            ]
        },
    )
    return items, conditions, currency


@given(invoices())
def test_the_total_is_the_sum_of_the_lines_as_shown(invoice):
    items, conditions, currency = invoice
    totals = adjust(items, conditions, currency=currency, at=AT)
    assert totals.total == sum(item.amount for item in items) + sum(line.amount for line in totals.lines)
    assert totals.total == totals.subtotal - totals.discount + totals.tax
    assert totals.taxable + totals.tax_included == totals.subtotal - totals.discount
    for amount in (totals.subtotal, totals.discount, totals.tax, totals.tax_included, totals.total, totals.credits):
        assert amount == round_amount(amount, currency)


@given(invoices())
def test_the_charges_discounts_and_taxes_add_up_to_the_invoices(invoice):
    items, conditions, currency = invoice
    totals = adjust(items, conditions, currency=currency, at=AT)
    assert len(totals.charges) == len(items)
    assert sum(part.discount for part in totals.charges) == totals.discount
    assert sum(part.tax for part in totals.charges) == totals.tax
    assert sum(part.tax_included for part in totals.charges) == totals.tax_included


@given(invoices())
def test_credit_never_pays_more_than_is_available_or_due(invoice):
    items, conditions, currency = invoice
    before = sum(lot.available for lot in conditions.credit[currency])
    totals = adjust(items, conditions, currency=currency, at=AT)
    after = sum(lot.available for lot in conditions.credit[currency])
    assert min(lot.available for lot in [*conditions.credit[currency], AvailableCredit(0, Decimal(0))]) >= 0
    if totals.total > 0:
        assert totals.credits == min(totals.total, before) == before - after
    else:
        assert (totals.credits, totals.due, after) == (totals.total, 0, before)


@given(invoices())
def test_a_discount_never_makes_a_charge_negative_and_respects_its_limit(invoice):
    items, conditions, currency = invoice
    totals = adjust(items, conditions, currency=currency, at=AT)
    for item, part in zip(items, totals.charges, strict=True):
        if item.amount >= 0:
            assert 0 <= part.discount <= item.amount
        else:
            assert part.discount == -item.discount_back
    assert all(use.amount > 0 for use in totals.uses)
    for coupon in conditions.coupons:
        assert coupon.limit is None or len(coupon.used) <= coupon.limit


@given(invoices())
def test_an_untaxed_customer_pays_no_tax(invoice):
    items, conditions, currency = invoice
    totals = adjust(items, conditions, currency=currency, at=AT)
    if conditions.treatment != "taxable":
        assert (totals.tax, totals.tax_included) == (0, 0)
        assert totals.note
