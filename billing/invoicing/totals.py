"""Set an invoice's totals, each line's discounts and taxes, and the lines of discounts and taxes."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import AppliedCoupon, CustomerTax
from billing.invoicing.conditions import load_conditions
from billing.invoicing.rows import charge_of, rows_of
from billing.lines import Charge
from billing.models import CouponUse, Invoice, InvoiceLine


def calculate_totals(
    invoice: Invoice,
    charges: Sequence[InvoiceLine],
    *,
    at: datetime,
    coupons: Sequence[AppliedCoupon] = (),
    taxes: Sequence[CustomerTax] = (),
) -> tuple[list[InvoiceLine], InvoiceTotals]:
    """Set a one-off draft's totals from its charges. Return the unsaved lines of discounts and taxes, and the totals.

    Sets on the invoice: subtotal, discounts, taxes, total, credit that would be used, amount due; on each charge its
    part of discounts and taxes. Saves nothing. Taxes are the given ones, or else the customer's current ones. Of
    coupons only the given ones apply; save their uses in the same transaction.
    """
    leaving_out = [invoice.pk] if invoice.pk else []
    conditions = load_conditions([invoice.customer_id], leaving_out=leaving_out)[invoice.customer_id]
    conditions.coupons, conditions.taxes = list(coupons), tuple(taxes) or conditions.taxes
    adjusted = adjust(
        [charge_of(line) for line in charges],
        conditions,
        currency=invoice.currency,
        at=at,
        subscription_id=invoice.subscription_id,
    )
    set_totals(invoice, adjusted)
    set_charge_adjustments(charges, adjusted.charges)
    after = max((line.position for line in charges), default=0)
    return rows_of(invoice, adjusted.lines, after=after), adjusted


def set_totals(invoice: Invoice, adjusted: InvoiceTotals) -> None:
    """Set the invoice's totals."""
    invoice.subtotal = adjusted.subtotal
    invoice.discount_total = adjusted.discount
    invoice.tax_total = adjusted.tax
    invoice.tax_included = adjusted.tax_included
    invoice.tax_treatment = adjusted.treatment
    invoice.tax_note = adjusted.note
    invoice.total = adjusted.total
    invoice.credits_applied = adjusted.credits
    invoice.amount_due = adjusted.due


def set_charge_adjustments(lines: Iterable[InvoiceLine], charges: Iterable[Charge]) -> None:
    """Set each line's discounts and taxes from its adjusted charge."""
    for line, charge in zip(lines, charges, strict=True):
        line.discount_amount, line.tax_amount, line.tax_included = charge.discount, charge.tax, charge.tax_included


def save_charge_adjustments(charges: Sequence[InvoiceLine]) -> None:
    """Save the discounts and taxes of lines that exist already."""
    InvoiceLine.objects.bulk_update(charges, ["discount_amount", "tax_amount", "tax_included"])


def coupon_use_rows(invoice: Invoice, adjusted: InvoiceTotals) -> list[CouponUse]:
    """Return the unsaved rows of the coupons that the invoice uses."""
    return [
        CouponUse(invoice=invoice, application_id=use.coupon.id, number=use.number, amount=use.amount)
        for use in adjusted.uses
    ]


def delete_coupon_uses(invoices: Collection[Invoice]) -> None:
    """Delete drafts' uses of coupons, before they are calculated again."""
    CouponUse.objects.filter(invoice__in=invoices).delete()
