"""The totals of an invoice's page: every step from the charges to the amount due, in the order of calculation."""

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
    """One row of the totals: label, amount, and details of the amount. `url` links to its sources."""

    label: str
    amount: str
    is_grand: bool = False
    is_negative: bool = False
    detail: Sequence[str] = ()
    url: str = ""


def list_total_rows(invoice: Invoice, lines: Iterable[InvoiceLine], credits_url: str = "") -> list[TotalRow]:
    """List the totals of a stored invoice."""
    taxable = invoice.subtotal - invoice.discount_total - invoice.tax_included
    rows = _list_rows_to_total(invoice.subtotal, lines, taxable, invoice.total, invoice.currency)
    rows += _list_credit_rows(invoice.credits_applied, invoice.currency, is_draft=invoice.is_draft, url=credits_url)
    if invoice.amount_credited:
        rows.append(_build_row("Credit notes", -invoice.amount_credited, invoice.currency))
    if invoice.amount_paid:
        rows.append(_build_row("Paid", -invoice.amount_paid, invoice.currency))
    if invoice.amount_remaining != invoice.total and not invoice.voided_at:
        rows.append(_build_remaining_row(invoice))
    return rows


def _build_remaining_row(invoice: Invoice) -> TotalRow:
    if invoice.is_draft:
        return _build_row("Amount due once finalized", invoice.amount_remaining, invoice.currency, is_grand=True)
    if invoice.amount_remaining < 0:
        return _build_row("Refund due", -invoice.amount_remaining, invoice.currency, is_grand=True)
    label = "Remaining amount due" if invoice.amount_paid else "Amount due"
    return _build_row(label, invoice.amount_remaining, invoice.currency, is_grand=True)


def list_upcoming_total_rows(adjusted: InvoiceTotals, currency: str) -> list[TotalRow]:
    """List the totals of an upcoming invoice."""
    rows = _list_rows_to_total(adjusted.subtotal, adjusted.lines, adjusted.taxable, adjusted.total, currency)
    rows += _list_credit_rows(adjusted.credits, currency, is_draft=True)
    return [*rows, _build_row("Amount due", adjusted.due, currency, is_grand=True)] if adjusted.credits else rows


def _list_rows_to_total(
    subtotal: Decimal, lines: Iterable[Adjusting], taxable: Decimal, total: Decimal, currency: str
) -> list[TotalRow]:
    adjustments = [line for line in lines if line.kind in ADJUSTMENT_KINDS]
    if not adjustments:
        return [_build_row("Total", total, currency, is_grand=True)]
    rows = [_build_row("Subtotal", subtotal, currency)]
    rows += [_build_adjustment_row(line, currency) for line in adjustments if line.kind == LineKind.DISCOUNT]
    taxes = [_build_adjustment_row(line, currency) for line in adjustments if line.kind == LineKind.TAX]
    rows += [_build_row("Taxable", taxable, currency), *taxes] if taxes else []
    return [*rows, _build_row("Total", total, currency, is_grand=True)]


def _build_adjustment_row(line: Adjusting, currency: str) -> TotalRow:
    parts = line.computation.get("discount", {}).get("by_line", ())
    detail = [f"{part['line']}: {format_amount(-Decimal(part['amount']), currency)}" for part in parts]
    tax = line.computation.get("tax", {})
    if tax.get("inclusive"):
        return TotalRow(line.description, f"incl. {format_amount(Decimal(tax['amount']), currency)}")
    return TotalRow(line.description, format_amount(line.amount, currency), detail=detail)


def _list_credit_rows(applied: Decimal, currency: str, *, is_draft: bool, url: str = "") -> list[TotalRow]:
    if applied < 0:
        label = "Becomes prepaid credit" if is_draft else "Added to prepaid credit"
        return [TotalRow(label, format_amount(-applied, currency), url=url)]
    label = "Prepaid credit, applied when finalized" if is_draft else "Prepaid credit"
    return [TotalRow(label, format_amount(ZERO - applied, currency), url=url)] if applied else []


def _build_row(label: str, amount: Decimal, currency: str, *, is_grand: bool = False) -> TotalRow:
    return TotalRow(label, format_amount(amount, currency), is_grand, is_grand and amount < 0)
