"""The VAT of an electronic invoice: one category, rate and reason, since each tax applies to the whole invoice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing.einvoices.amounts import plain
from billing.kinds import LineKind
from billing.lines import Adjusting
from billing.money import ZERO
from customers.kinds import TaxCategory, TaxTreatment

TREATMENTS = {
    TaxTreatment.EXEMPT: TaxCategory.EXEMPT,
    TaxTreatment.REVERSE_CHARGE: TaxCategory.REVERSE_CHARGE,
}
# The codes of the reasons (VATEX), and the texts unless the invoice has its own.
CODES = {
    TaxCategory.REVERSE_CHARGE: "VATEX-EU-AE",
    TaxCategory.INTRA_COMMUNITY: "VATEX-EU-IC",
    TaxCategory.EXPORT: "VATEX-EU-G",
    TaxCategory.OUT_OF_SCOPE: "VATEX-EU-O",
}
REASONS = {
    TaxCategory.EXEMPT: "Exempt from VAT",
    TaxCategory.REVERSE_CHARGE: "Reverse charge",
    TaxCategory.INTRA_COMMUNITY: "Intra-Community supply",
    TaxCategory.EXPORT: "Export outside the EU",
    TaxCategory.OUT_OF_SCOPE: "Not subject to VAT",
}


@dataclass(frozen=True, slots=True)
class Vat:
    """The category of an invoice's VAT, with its rate in percent and the reason why no tax is charged."""

    category: TaxCategory
    rate: Decimal = ZERO
    reason: str = ""

    @property
    def rate_text(self) -> str | None:
        """The rate of lines and discounts; none outside the scope of VAT, where the standard forbids it."""
        return None if self.category == TaxCategory.OUT_OF_SCOPE else plain(self.rate)

    @property
    def code(self) -> str:
        """The code of the reason (BT-121), if the category has one."""
        return CODES.get(self.category, "")


def charged_taxes(lines: Iterable[Adjusting]) -> list[Mapping[str, str]]:
    """List the taxes that an invoice charges, as their lines describe them."""
    taxes = [line.computation["tax"] for line in lines if line.kind == LineKind.TAX]
    return [tax for tax in taxes if tax["charged"]]


def find_vat(
    lines: Iterable[Adjusting], *, treatment: str, note: str, untaxed: str, is_zero: bool = False
) -> Vat | None:
    """Find the VAT of an invoice, or `None` if no tax and no reason for charging none are known.

    A positive rate is standard (or reduced), also at 7%. Without a tax, the customer's choice (`untaxed`) counts, or
    else the tax treatment. An invoice that amounts to zero has no lines of taxes; it is at the zero rate.
    """
    rates = [Decimal(tax["percentage"]) for tax in charged_taxes(lines)]
    if rates and rates[0]:
        return Vat(TaxCategory.STANDARD, rates[0])
    category = TaxCategory(untaxed) if untaxed else TREATMENTS.get(TaxTreatment(treatment))
    if category is None and (rates or is_zero):
        category = TaxCategory.ZERO
    if category is None:
        return None
    reason = REASONS.get(category, "")
    return Vat(category, reason=(note or reason) if reason else "")
