"""The foot of an invoice's page: every step from the charges to what is to be paid, in the order of computation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.adjustments.adjust import InvoiceTotals
from billing.kinds import ADJUSTMENT_KINDS, LineKind
from billing.lines import Adjusting
from billing.models import Invoice, InvoiceLine
from billing.money import ZERO, format_amount


@dataclass(frozen=True, slots=True)
class TotalRow:
    """One row: what it says, what it comes to, how that came about. `url` leads to what it counts."""

    label: str
    amount: str
    is_grand: bool = False
    is_negative: bool = False
    detail: Sequence[str] = ()
    url: str = ""


def steps_of(invoice: Invoice, lines: Iterable[InvoiceLine], credits_url: str = "") -> list[TotalRow]:
    """List the steps of a written invoice."""
    found = _to_total(
        invoice.subtotal, lines, invoice.subtotal - invoice.discount_total - invoice.tax_included, invoice.total,
        invoice.currency,
    )  # fmt: skip
    found += _credit(invoice.credits_applied, invoice.currency, is_draft=invoice.is_draft, url=credits_url)
    if invoice.amount_credited:
        found.append(_step("Credit notes", -invoice.amount_credited, invoice.currency))
    if invoice.amount_paid:
        found.append(_step("Paid", -invoice.amount_paid, invoice.currency))
    if invoice.amount_remaining != invoice.total and not invoice.voided_at:
        label = "To pay once finalized" if invoice.is_draft else "Left to pay" if invoice.amount_paid else "To pay"
        is_back = invoice.amount_remaining < 0 and not invoice.is_draft
        left = _step(label, invoice.amount_remaining, invoice.currency, is_grand=True)
        back = _step("To give back", -invoice.amount_remaining, invoice.currency, is_grand=True)
        found.append(back if is_back else left)
    return found


def steps_coming(adjusted: InvoiceTotals, currency: str) -> list[TotalRow]:
    """List the steps of an invoice that is only worked out."""
    found = _to_total(adjusted.subtotal, adjusted.lines, adjusted.taxable, adjusted.total, currency)
    found += _credit(adjusted.credits, currency, is_draft=True)
    return [*found, _step("To pay", adjusted.due, currency, is_grand=True)] if adjusted.credits else found


def _to_total(
    subtotal: Decimal, lines: Iterable[Adjusting], taxable: Decimal, total: Decimal, currency: str
) -> list[TotalRow]:
    others = [line for line in lines if line.kind in ADJUSTMENT_KINDS]
    if not others:
        return [_step("Total", total, currency, is_grand=True)]
    found = [_step("Subtotal", subtotal, currency)]
    found += [_line(line, currency) for line in others if line.kind == LineKind.DISCOUNT]
    taxes = [_line(line, currency) for line in others if line.kind == LineKind.TAX]
    found += [_step("Taxable", taxable, currency), *taxes] if taxes else []
    return [*found, _step("Total", total, currency, is_grand=True)]


def _line(line: Adjusting, currency: str) -> TotalRow:
    parts = line.computation.get("discount", {}).get("by_line", ())
    detail = [f"{part['line']}: {format_amount(-Decimal(part['amount']), currency)}" for part in parts]
    tax = line.computation.get("tax", {})
    if tax.get("inclusive"):
        return TotalRow(line.description, f"incl. {format_amount(Decimal(tax['amount']), currency)}")
    return TotalRow(line.description, format_amount(line.amount, currency), detail=detail)


def _credit(applied: Decimal, currency: str, *, is_draft: bool, url: str = "") -> list[TotalRow]:
    if applied < 0:
        label = "Becomes prepaid credit" if is_draft else "Added to prepaid credit"
        return [TotalRow(label, format_amount(-applied, currency), url=url)]
    label = "Prepaid credit, drawn when finalized" if is_draft else "Prepaid credit"
    return [TotalRow(label, format_amount(ZERO - applied, currency), url=url)] if applied else []


def _step(label: str, amount: Decimal, currency: str, *, is_grand: bool = False) -> TotalRow:
    return TotalRow(label, format_amount(amount, currency), is_grand, is_grand and amount < 0)
