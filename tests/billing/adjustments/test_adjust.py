# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""Charges, discounts, taxes and credit are combined in one order."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import AppliedCoupon, Conditions, CustomerTax
from billing.adjustments.credit import AvailableCredit, take_credit
from billing.lines import Charge

AT = datetime(2026, 9, 1, tzinfo=UTC)
VAT = CustomerTax("vat", "VAT", Decimal(20))
VAT_INCLUDED = CustomerTax("vat", "VAT", Decimal(20), is_inclusive=True)


def charge(amount: str, feature: int = 0, **more: Any) -> Charge:
    return Charge("usage", Decimal(amount), feature_id=feature, **more)


def percent(number: int, off: str, *features: int) -> AppliedCoupon:
    return coupon(number, features, percent_off=Decimal(off))


def fixed(number: int, off: str, *features: int) -> AppliedCoupon:
    return coupon(number, features, amount_off=Decimal(off))


def coupon(number: int, features: tuple[int, ...], **off: Decimal) -> AppliedCoupon:
    scope = "chosen" if features else "everything"
    return AppliedCoupon(number, f"C{number}", "Coupon", scope=scope, feature_ids=frozenset(features), **off)


def invoice(*charges: Charge, currency: str = "USD", credit: tuple[str, ...] = (), **conditions: Any) -> InvoiceTotals:
    grants = [AvailableCredit(number, Decimal(amount)) for number, amount in enumerate(credit)]
    return adjust(charges, Conditions(**conditions, credit={currency: grants}), currency=currency, at=AT)


def remaining(result: InvoiceTotals) -> list[Decimal]:
    return [adjusted.remaining for adjusted in result.charges]


def used(result: InvoiceTotals) -> list[tuple[int, Decimal]]:
    return [(use.coupon.id, use.amount) for use in result.uses]


def test_totals_add_rounded_charges():
    result = invoice(charge("10.33"), charge("10.33"))
    assert (result.subtotal, result.total, result.due) == (Decimal("20.66"),) * 3


def test_coupons_for_certain_charges_come_first_then_percentages_then_fixed_amounts():
    coupons = [fixed(1, "10"), percent(2, "20"), percent(3, "50", 7)]
    result = invoice(charge("100", 7), charge("100"), coupons=coupons)
    # 50 + 100, less 20 % is 120, less 10 is 110.
    assert (result.discount, result.total) == (90, 110)
    assert used(result) == [(3, 50), (2, 30), (1, 10)]
    assert list(result.charges[0].reductions) == [3, 2, 1]


def test_each_percentage_applies_to_the_amount_after_the_one_before():
    assert invoice(charge("100"), coupons=[percent(1, "10"), percent(2, "10")]).total == 81


def test_a_discounts_cents_go_to_the_largest_remainders():
    result = invoice(charge("0.33"), charge("0.34"), charge("0.33"), coupons=[percent(1, "10")])
    assert remaining(result) == [Decimal("0.30")] * 3
    assert result.discount == Decimal("0.10")


def test_discounts_never_exceed_the_remaining_amount():
    result = invoice(charge("30"), charge("5", 7), coupons=[fixed(1, "20", 7), fixed(2, "80")])
    assert (result.discount, result.total) == (35, 0)
    assert used(result) == [(1, 5), (2, 30)]


def test_a_discount_of_less_than_half_a_cent_is_not_used():
    assert used(invoice(charge("0.04"), coupons=[percent(1, "10")])) == []


def test_negative_charges_get_no_discount():
    assert remaining(invoice(charge("100"), charge("-30"), coupons=[percent(1, "10")])) == [90, -30]


def test_the_credit_of_a_discounted_fee_is_reduced_by_its_discount():
    result = invoice(charge("-40", discount_back=Decimal(4)), charge("100"), taxes=(VAT,))
    assert (remaining(result), result.discount, result.tax, result.total) == (
        [-36, 100],
        -4,
        Decimal("12.8"),
        Decimal("76.8"),
    )


def test_each_tax_is_rounded_once_over_its_charges():
    result = invoice(*(charge("0.13") for _ in range(3)), taxes=(VAT,))
    # 20 % of 0.39 is 0.078; charge by charge it would be three times 0.03.
    assert result.tax == Decimal("0.08")
    assert [adjusted.tax for adjusted in result.charges] == [Decimal("0.03"), Decimal("0.03"), Decimal("0.02")]


def test_several_taxes_are_each_rounded():
    taxes = (CustomerTax("state", "State", Decimal("1.5")), CustomerTax("county", "County", Decimal("1.5")))
    assert invoice(charge("1.00"), taxes=taxes).tax == Decimal("0.04")


def test_a_tax_that_is_assigned_twice_is_charged_once():
    in_dollars = CustomerTax("vat", "VAT", Decimal(20), currency="USD")
    assert invoice(charge("100"), taxes=(VAT, in_dollars)).tax == 20


def test_an_inclusive_tax_is_part_of_the_price():
    result = invoice(charge("120"), charge("10"), taxes=(VAT_INCLUDED,))
    # A sixth of 130 is 21.666...
    assert (result.tax, result.tax_included, result.taxable) == (0, Decimal("21.67"), Decimal("108.33"))
    assert (result.total, result.discount) == (130, 0)
    assert [adjusted.tax_included for adjusted in result.charges] == [20, Decimal("1.67")]


def test_an_exclusive_tax_is_charged_on_the_price_without_inclusive_taxes():
    result = invoice(charge("120"), taxes=(VAT_INCLUDED, CustomerTax("city", "City", Decimal(1))))
    assert (result.tax_included, result.tax, result.taxable, result.total) == (20, 1, 100, 121)


def test_reverse_charge_shows_the_tax_without_charging_it():
    result = invoice(charge("35"), taxes=(VAT,), treatment="reverse_charge")
    assert (result.tax, result.total) == (0, 35)
    assert [line.description for line in result.lines] == ["VAT 20% of $35.00: owed by the recipient"]


def test_an_exempt_customer_pays_no_tax():
    result = invoice(charge("35"), taxes=(VAT,), treatment="exempt")
    assert (result.tax, result.lines, result.note) == (0, (), "The customer is exempt from tax.")


@pytest.mark.parametrize(
    ("amount", "used_of_each"), [("100", ["30", "70"]), ("10", ["10", "0"]), ("500", ["30", "100"]), ("-5", ["0", "0"])]
)
def test_credit_is_used_in_order_up_to_the_amount(amount, used_of_each):
    assert take_credit([Decimal(30), Decimal(100)], Decimal(amount)) == list(map(Decimal, used_of_each))


def test_credit_pays_the_total_with_its_tax():
    result = invoice(charge("50"), taxes=(VAT,), credit=("30", "100"))
    assert (result.total, result.credits, result.due) == (60, 60, 0)


def test_a_negative_total_becomes_credit_and_uses_no_credit():
    result = invoice(charge("8.02"), charge("-483.83"), credit=("10",))
    assert (result.subtotal, result.total, result.credits) == (Decimal("-475.81"),) * 3
    assert result.due == 0


def test_credited_charges_credit_their_tax():
    result = invoice(charge("100"), charge("-40"), taxes=(VAT,))
    assert (result.tax, result.total) == (12, 72)


def test_an_invoice_without_charges_is_zero():
    assert invoice(credit=("5",)).due == 0
