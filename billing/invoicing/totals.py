"""Writes what an invoice comes to onto its rows: totals, each charge's part, the lines of discounts and taxes.

`add_up` is for charges of any source, given their customer.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.charge import Charge
from billing.adjustments.conditions import Conditions
from billing.invoicing.conditions import load_conditions
from billing.lines import DraftLine
from billing.models import CouponUse, Invoice, InvoiceLine
from billing.money import ZERO


def charge_of(line: DraftLine | InvoiceLine) -> Charge:
    """See a worked-out or written charge as discounts and taxes see it."""
    back = line.discount_back if isinstance(line, DraftLine) else max(-line.discount_amount, ZERO)
    return Charge(line.kind, line.amount, line.description, line.feature_id, line.plan_version_id, back)


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
    set_parts(charges, adjusted)
    after = max((line.position for line in charges), default=0)
    return adjustment_rows(invoice, adjusted, after=after)


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


def set_parts(charges: Iterable[InvoiceLine], adjusted: InvoiceTotals) -> None:
    """Set each charge's part of discounts and taxes. The charges are those that were adjusted, in their order."""
    for line, charge in zip(charges, adjusted.charges, strict=True):
        line.discount_amount, line.tax_amount, line.tax_included = charge.discount, charge.tax, charge.tax_included


def save_parts(charges: Sequence[InvoiceLine]) -> None:
    """Write the parts of charges that are in the database already."""
    InvoiceLine.objects.bulk_update(charges, ["discount_amount", "tax_amount", "tax_included"])


def adjustment_rows(invoice: Invoice, adjusted: InvoiceTotals, *, after: int) -> list[InvoiceLine]:
    """Make the unsaved rows of discounts and taxes, numbered past a position."""
    return [
        InvoiceLine(
            invoice=invoice,
            position=position,
            kind=line.kind,
            description=line.description[:512],
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            amount=line.amount,
            exact_amount=line.amount,
            computation=line.computation,
        )
        for position, line in enumerate(adjusted.lines, start=after + 1)
    ]


def uses_of(invoice: Invoice, adjusted: InvoiceTotals) -> list[CouponUse]:
    """Make the unsaved rows that say which discounts the invoice used."""
    return [
        CouponUse(invoice=invoice, application_id=use.coupon.id, number=use.number, amount=use.amount)
        for use in adjusted.uses
    ]


def forget_uses(invoices: Collection[Invoice]) -> None:
    """Take drafts' uses of discounts away, before they are decided anew."""
    CouponUse.objects.filter(invoice__in=invoices).delete()
