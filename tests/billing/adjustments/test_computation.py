# mypy: disable-error-code="comparison-overlap"
# Decimal("5") == 5 is true, and what the tables below say.
"""From rated lines to the amount due, in one order."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.adjustments.computation import COMMITMENT, Commitment, Computed, Credit, Draft, Line, Policy, compute
from billing.adjustments.discounts import Discount
from billing.adjustments.taxes import TaxRate

VAT = TaxRate("vat", Decimal(20))
VAT_INCLUDED = TaxRate("vat", Decimal(20), inclusive=True)


def line(key: str, amount: str, **more) -> Line:
    return Line(key, Decimal(amount), **more)


def percent(code: str, off: str, *keys: str) -> Discount:
    return Discount(code, percent_off=Decimal(off), applies_to=frozenset(keys) or None)


def fixed(code: str, off: str, *keys: str) -> Discount:
    return Discount(code, amount_off=Decimal(off), applies_to=frozenset(keys) or None)


def invoice(*lines: Line, currency: str = "USD", **more) -> Computed:
    return compute(Draft(currency, lines, **more))


def nets(computed: Computed) -> dict[str, Decimal]:
    return {each.key: each.net for each in computed.lines}


def test_lines_are_rounded_once_and_totals_add_what_is_shown():
    result = invoice(line("a", "10.333"), line("b", "10.333"))
    assert (result.subtotal, result.total, result.amount_due) == (Decimal("20.66"),) * 3


def test_the_currency_decides_the_precision():
    assert invoice(line("a", "10.5"), currency="JPY").total == 11
    assert invoice(line("a", "10.0005"), currency="BHD").total == Decimal("10.001")


def test_a_line_is_due_for_its_share_of_the_period():
    assert invoice(line("a", "100", share=Fraction(21, 28))).subtotal == 75


def test_a_line_is_topped_up_to_its_minimum_for_the_days_it_ran():
    result = invoice(line("a", "8", minimum_amount=Decimal(10), minimum_share=Fraction(25, 28)))
    (shown,) = result.lines
    assert (shown.amount, shown.topup, shown.gross) == (8, Decimal("0.93"), Decimal("8.93"))
    assert (result.topup, result.subtotal) == (Decimal("0.93"), Decimal("8.93"))


def test_what_lies_above_a_lines_maximum_is_taken_off():
    result = invoice(line("a", "4000", maximum_amount=Decimal(2000)))
    assert (result.subtotal, result.discount, result.total) == (4000, 2000, 2000)
    assert result.lines[0].over_maximum == 2000


def test_a_commitment_shrinks_with_the_period_and_counts_what_was_billed_before():
    commitment = Commitment(Decimal(1000), Fraction(1, 2), already_billed=Decimal(100))
    result = invoice(line("a", "150"), commitment=commitment, taxes=(VAT,))
    assert result.commitment_trueup == 250
    assert nets(result) == {"a": 150, COMMITMENT: 250}
    assert (result.subtotal, result.tax, result.total) == (400, 80, 480)


def test_a_commitment_that_is_reached_adds_no_line():
    result = invoice(line("a", "150"), commitment=Commitment(Decimal(100)))
    assert (result.commitment_trueup, len(result.lines)) == (0, 1)


def test_line_discounts_come_before_percentages_and_these_before_fixed_amounts():
    result = invoice(
        line("a", "100"),
        line("b", "100"),
        line_discounts=(percent("line", "50", "a"),),
        discounts=(fixed("ten", "10"), percent("fifth", "20")),
    )
    # 50 + 100, less 20 % is 120, less 10 is 110.
    assert (result.discount, result.total) == (90, 110)
    assert [(each.code, each.amount) for each in result.discounts] == [("fifth", 30), ("ten", 10)]
    assert [each.code for each in result.lines[0].reductions] == ["line", "fifth", "ten"]


def test_percentages_apply_to_what_the_one_before_left():
    assert invoice(line("a", "100"), discounts=(percent("p", "10"), percent("q", "10"))).total == 81


def test_discounts_may_apply_as_listed():
    discounts = (fixed("ten", "10"), percent("fifth", "20"))
    assert invoice(line("a", "100"), discounts=discounts, policy=Policy(discount_order="listed")).total == 72
    assert invoice(line("a", "100"), discounts=discounts).total == 70


def test_a_discounts_cents_go_to_the_largest_remainders():
    result = invoice(line("a", "0.33"), line("b", "0.34"), line("c", "0.33"), discounts=(percent("p", "10"),))
    assert nets(result) == {"a": Decimal("0.30"), "b": Decimal("0.30"), "c": Decimal("0.30")}
    assert result.discount == Decimal("0.10")


def test_discounts_stop_at_what_is_left():
    result = invoice(line("a", "30"), line("b", "5"), discounts=(fixed("x", "20", "b"), fixed("y", "80")))
    assert (result.discount, result.total) == (35, 0)
    assert [each.amount for each in result.discounts] == [5, 30]


def test_lines_below_zero_and_lines_barred_from_discounts_take_no_part():
    result = invoice(
        line("a", "100"), line("credit", "-30"), line("b", "50", discountable=False), discounts=(percent("p", "10"),)
    )
    assert nets(result) == {"a": 90, "credit": -30, "b": 50}


def test_each_tax_is_rounded_once_over_its_lines():
    lines = [line(key, "0.13", taxes=(VAT,)) for key in "abc"]
    result = invoice(*lines)
    # 20 % of 0.39 is 0.078; line by line it would be three times 0.03.
    assert result.tax == Decimal("0.08")
    assert [each.tax for each in result.lines] == [Decimal("0.03"), Decimal("0.03"), Decimal("0.02")]


@pytest.mark.parametrize(("rounding", "tax"), [("per_tax", "0.04"), ("per_line", "0.04"), ("invoice", "0.03")])
def test_taxes_may_be_rounded_elsewhere(rounding, tax):
    rates = (TaxRate("state", Decimal("1.5")), TaxRate("county", Decimal("1.5")))
    result = invoice(line("a", "1.00"), taxes=rates, policy=Policy(tax_rounding=rounding))
    assert result.tax == Decimal(tax)


def test_lines_have_their_own_taxes_or_none():
    result = invoice(
        line("a", "100"), line("b", "100", taxes=()), line("c", "10", taxes=(TaxRate("low", Decimal(5)),)), taxes=(VAT,)
    )
    assert [(tax.rate.code, tax.base, tax.amount) for tax in result.taxes] == [
        ("vat", 100, 20),
        ("low", 10, Decimal("0.50")),
    ]


def test_an_inclusive_tax_is_inside_the_price():
    result = invoice(line("a", "120"), line("b", "10"), taxes=(VAT_INCLUDED,))
    # A sixth of 130 is 21.666...
    assert (result.tax, result.taxable, result.total) == (Decimal("21.67"), Decimal("108.33"), 130)
    assert nets(result) == {"a": Decimal("100.00"), "b": Decimal("8.33")}
    assert result.discount == 0


def test_a_tax_on_top_is_taken_of_the_price_without_the_included_one():
    result = invoice(line("a", "120"), taxes=(VAT_INCLUDED, TaxRate("city", Decimal(1))))
    assert [tax.amount for tax in result.taxes] == [20, 1]
    assert (result.taxable, result.total) == (100, 121)


def test_reverse_charge_shows_the_tax_without_asking_for_it():
    result = invoice(line("a", "35"), taxes=(VAT,), reverse_charge=True)
    assert (result.tax, result.total) == (0, 35)
    assert [(tax.rate.code, tax.base, tax.amount) for tax in result.taxes] == [("vat", 35, 0)]


def test_credits_are_used_in_order_up_to_the_total():
    wallet = (Credit("first", Decimal(30)), Credit("second", Decimal(100)))
    result = invoice(line("a", "100"), credits=wallet)
    assert [(use.key, use.used, use.left) for use in result.credits] == [("first", 30, 0), ("second", 70, 30)]
    assert (result.credits_applied, result.credits_left, result.amount_due) == (100, 30, 0)


def test_credits_cover_the_tax_but_not_lines_barred_from_them():
    result = invoice(
        line("a", "50"),
        line("b", "50", credit_eligible=False),
        taxes=(VAT,),
        credits=(Credit("wallet", Decimal(100)),),
    )
    assert (result.total, result.credits_applied, result.amount_due) == (120, 60, 60)


def test_a_total_below_zero_becomes_account_credit():
    result = invoice(line("new", "8.02"), line("old", "-483.83"), credits=(Credit("wallet", Decimal(10)),))
    assert (result.subtotal, result.total, result.account_credit) == (Decimal("-475.81"), 0, Decimal("475.81"))
    assert (result.credits_applied, result.amount_due) == (0, 0)


def test_credit_lines_take_their_tax_back():
    result = invoice(line("new", "100"), line("old", "-40"), taxes=(VAT,))
    assert (result.tax, result.total) == (12, 72)


def test_an_exact_split_is_rounded_on_the_totals_only():
    draft = Draft(
        "USD",
        (line("a", "10"), line("b", "20"), line("c", "30")),
        taxes=(VAT,),
        discounts=(fixed("x", "10"),),
        policy=Policy(discount_split="exact", tax_rounding="invoice"),
    )
    result = compute(draft)
    assert (result.taxable, result.tax, result.total) == (50, 10, 60)
    assert compute(replace(draft, policy=Policy())).total == 60


def test_an_invoice_without_lines_is_zero():
    assert invoice(credits=(Credit("wallet", Decimal(5)),)).amount_due == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: invoice(line("a", "1"), line("a", "2")),
        lambda: invoice(line(COMMITMENT, "1")),
        lambda: invoice(line("a", "1"), discounts=(percent("p", "10", "b"),)),
        lambda: Discount("both", percent_off=Decimal(1), amount_off=Decimal(1)),
        lambda: Discount("neither"),
    ],
)
def test_drafts_that_contradict_themselves_are_refused(make):
    with pytest.raises(ValueError, match=r".+"):
        make()
