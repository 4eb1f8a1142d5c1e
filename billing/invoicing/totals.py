"""Writes what an invoice comes to onto its rows: totals, each charge's part, the lines of discounts and taxes.

`add_up` is for charges of any source, given their customer.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import Conditions
from billing.invoicing.conditions import load_conditions
from billing.invoicing.rows import charge_of, rows_of
from billing.lines import Charge
from billing.models import CouponUse, Invoice, InvoiceLine


def add_up(
    invoice: Invoice,
    charges: Sequence[InvoiceLine],
    *,
    at: datetime,
    with_discounts: bool = False,
    conditions: Conditions | None = None,
) -> list[InvoiceLine]:
    """Set a draft's totals from its charges; return the unsaved lines of discounts and taxes that come after them.

    Sets on the invoice: subtotal, discounts, taxes, total, credit as it would be used, amount due; on each charge its
    part of discounts and taxes. Saves nothing. The customer's taxes as of now; their discounts, which `at` decides,
    only when asked for (then write `uses_of` too, in the same transaction).
    """
    if conditions is None:
        leaving_out = [invoice.pk] if invoice.pk else []
        lock = with_discounts and invoice.pk is not None
        conditions = load_conditions([invoice.customer_id], leaving_out=leaving_out, lock=lock)[invoice.customer_id]
    adjusted = adjust(
        [charge_of(line) for line in charges],
        conditions,
        currency=invoice.currency,
        at=at,
        subscription_id=invoice.subscription_id,
        with_discounts=with_discounts,
    )
    set_totals(invoice, adjusted)
    set_parts(charges, adjusted.charges)
    after = max((line.position for line in charges), default=0)
    return rows_of(invoice, adjusted.lines, after=after)


def set_totals(invoice: Invoice, adjusted: InvoiceTotals) -> None:
    """Set what the invoice comes to."""
    invoice.subtotal = adjusted.subtotal
    invoice.discount_total = adjusted.discount
    invoice.tax_total = adjusted.tax
    invoice.tax_included = adjusted.tax_included
    invoice.tax_treatment = adjusted.treatment
    invoice.tax_note = adjusted.note
    invoice.total = adjusted.total
    invoice.credits_applied = adjusted.credits
    invoice.amount_due = adjusted.due


def set_parts(lines: Iterable[InvoiceLine], charges: Iterable[Charge]) -> None:
    """Set each row's part of discounts and taxes from its adjusted charge."""
    for line, charge in zip(lines, charges, strict=True):
        line.discount_amount, line.tax_amount, line.tax_included = charge.discount, charge.tax, charge.tax_included


def save_parts(charges: Sequence[InvoiceLine]) -> None:
    """Write the parts of charges that are in the database already."""
    InvoiceLine.objects.bulk_update(charges, ["discount_amount", "tax_amount", "tax_included"])


def uses_of(invoice: Invoice, adjusted: InvoiceTotals) -> list[CouponUse]:
    """Make the unsaved rows that say which discounts the invoice used."""
    return [
        CouponUse(invoice=invoice, application_id=use.coupon.id, number=use.number, amount=use.amount)
        for use in adjusted.uses
    ]


def forget_uses(invoices: Collection[Invoice]) -> None:
    """Take drafts' uses of discounts away, before they are decided anew."""
    CouponUse.objects.filter(invoice__in=invoices).delete()
