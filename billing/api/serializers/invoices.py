"""What the API says of invoices: amounts as strings with the decimals of their currency."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.adjustments.adjust import InvoiceTotals
from billing.api.names import INVOICE_STATUSES, PAYMENT_STATUSES, REASONS, TYPES, status_in, type_of
from billing.api.serializers.invoice_adjustments import (
    EXEMPTIONS,
    AppliedCouponOut,
    AppliedTaxOut,
    TaxSummaryOut,
    coupons_out,
    discounts_by_charge,
    tax_summary,
    taxes_out,
)
from billing.invoicing.upcoming import Upcoming
from billing.lines import USAGE, Adjusting, Charge, charges_of
from billing.models import Invoice, InvoiceLine, InvoiceState, LineKind
from billing.money import money
from catalog.models import Price
from config.api.fields import MetadataField, plain
from customers.api.serializers import CustomerOut
from customers.models import Subscription

USAGE_KINDS = (USAGE, LineKind.LATE_USAGE, LineKind.TRUE_UP)


class LineOut(serializers.Serializer[Any]):
    """One charge. On usage, `quantity` is what is charged; `adjusted_entitlement_quantity` was free before it."""

    id = serializers.CharField(allow_null=True)
    invoice_id = serializers.CharField(allow_null=True)
    display_name = serializers.CharField()
    kind = serializers.ChoiceField(LineKind.choices)
    price_type = serializers.ChoiceField(["USAGE", "FIXED"])
    price_id = serializers.CharField(allow_null=True)
    meter_id = serializers.CharField(allow_null=True)
    meter_display_name = serializers.CharField(allow_null=True)
    entity_type = serializers.CharField(allow_null=True)
    entity_id = serializers.CharField(allow_null=True)
    plan_display_name = serializers.CharField(allow_null=True)
    subscription_id = serializers.CharField(allow_null=True)
    quantity = serializers.CharField()
    adjusted_entitlement_quantity = serializers.CharField()
    usage_quantity = serializers.CharField(help_text="All that was used.")
    amount = serializers.CharField(help_text="Before discounts and taxes.")
    line_item_discount = serializers.CharField(help_text="What discounts of certain charges took off it.")
    invoice_level_discount = serializers.CharField(help_text="Its part of discounts of the whole invoice.")
    currency = serializers.CharField()
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    adjusts_invoice_id = serializers.CharField(
        allow_null=True, help_text="Of late usage: the invoice of its period, which this line corrects."
    )
    adjusts_line_item_id = serializers.CharField(allow_null=True, help_text="And the line of it, if there is one.")


class InvoiceOut(serializers.Serializer[Any]):
    """What a customer owes. A preview has no id, and is stored nowhere."""

    id = serializers.CharField(allow_null=True)
    invoice_number = serializers.CharField(allow_null=True)
    invoice_status = serializers.ChoiceField(list(INVOICE_STATUSES))
    invoice_type = serializers.ChoiceField(TYPES)
    payment_status = serializers.ChoiceField(list(PAYMENT_STATUSES))
    billing_reason = serializers.ChoiceField(list(dict.fromkeys(REASONS.values())))
    customer_id = serializers.CharField()
    customer = CustomerOut()
    subscription_id = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    subtotal = serializers.CharField()
    total_discount = serializers.CharField()
    total_tax = serializers.CharField(help_text="On top of prices; what they contain is in tax_summary.")
    total = serializers.CharField()
    total_prepaid_credits_applied = serializers.CharField(
        help_text="On a draft: what would be. Below zero: what the invoice added to the customer's credit."
    )
    amount_due = serializers.CharField()
    amount_paid = serializers.CharField()
    amount_remaining = serializers.CharField(help_text="Below zero: what is to be given back.")
    adjustment_amount = serializers.CharField(help_text="What credit notes took off.")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    description = serializers.CharField()
    issue_date = serializers.DateTimeField(allow_null=True)
    due_date = serializers.DateTimeField(allow_null=True)
    finalized_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    void_reason = serializers.CharField(allow_null=True)
    last_computed_at = serializers.DateTimeField(allow_null=True)
    metadata = MetadataField()
    status = serializers.ChoiceField(["published"])
    line_items = LineOut(many=True, help_text="The charges: they add up to the subtotal.")
    coupon_applications = AppliedCouponOut(many=True)
    taxes = AppliedTaxOut(many=True)
    tax_summary = TaxSummaryOut()
    tax_exemption_reason_code = serializers.ChoiceField(list(EXEMPTIONS.values()), allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)


def serialize_invoices(invoices: Iterable[Invoice], *, with_lines: bool = True) -> list[Any]:
    """Write invoices that were loaded with `customer`, `subscription`, and their lines with what these are about."""
    return list(InvoiceOut([_invoice(invoice, with_lines) for invoice in invoices], many=True).data)


def _invoice(invoice: Invoice, with_lines: bool) -> dict[str, Any]:
    amounts = {
        "subtotal": invoice.subtotal,
        "total_discount": invoice.discount_total,
        "total_tax": invoice.tax_total,
        "total": invoice.total,
        "total_prepaid_credits_applied": invoice.credits_applied,
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining,
        "adjustment_amount": invoice.amount_credited,
    }
    return {name: money(amount, invoice.currency) for name, amount in amounts.items()} | {
        "id": invoice.public_id,
        "invoice_number": invoice.number,
        "invoice_status": status_in(INVOICE_STATUSES, invoice.state),
        "invoice_type": type_of(invoice.kind),
        "payment_status": status_in(PAYMENT_STATUSES, invoice.state),
        "billing_reason": REASONS.get(invoice.kind),  # type: ignore[call-overload]  # a kind is kept as its text
        "customer_id": invoice.customer.public_id,
        "customer": invoice.customer,
        "subscription_id": invoice.subscription.public_id if invoice.subscription else None,
        "currency": invoice.currency,
        "period_start": invoice.period_start,
        "period_end": invoice.period_end,
        "description": invoice.memo,
        "issue_date": invoice.issued_at,
        "due_date": invoice.due_at,
        "finalized_at": invoice.finalized_at,
        "paid_at": invoice.paid_at,
        "voided_at": invoice.voided_at,
        "void_reason": invoice.void_reason or None,
        "last_computed_at": invoice.computed_at,
        "metadata": invoice.metadata,
        "status": "published",
        "created_at": invoice.created_at,
        "updated_at": invoice.updated_at,
        **_lines(invoice, with_lines),
    }


def _lines(invoice: Invoice, with_lines: bool) -> dict[str, Any]:
    """Write an invoice's charges, and beside them its discounts and taxes."""
    charges, others = charges_of(list(invoice.lines.all()) if with_lines else [])
    taken = discounts_by_charge(others, len(charges))
    items = [
        _line(invoice, line) | _discounts(parts, invoice.currency) for line, parts in zip(charges, taken, strict=True)
    ]
    summary = tax_summary(
        invoice.tax_total, invoice.tax_included, invoice.tax_treatment, invoice.tax_note, invoice.currency
    )
    return {"line_items": items, **_adjusting(others, invoice.currency, summary)}


def _adjusting(lines: Sequence[Adjusting], currency: str, summary: dict[str, Any]) -> dict[str, Any]:
    exemption = summary["exemption"]
    return {
        "coupon_applications": coupons_out(lines, currency),
        "taxes": taxes_out(lines, currency),
        "tax_summary": summary,
        "tax_exemption_reason_code": exemption["reason_code"] if exemption else None,
    }


def _discounts(parts: tuple[Decimal, Decimal], currency: str) -> dict[str, str]:
    own, whole = parts
    return {"line_item_discount": money(own, currency), "invoice_level_discount": money(whole, currency)}


def _line(invoice: Invoice, line: InvoiceLine) -> dict[str, Any]:
    about = _about(line.price, line.kind, invoice.subscription)
    return about | {
        "id": line.public_id,
        "invoice_id": invoice.public_id,
        "display_name": line.description,
        "quantity": plain(line.billable_quantity),
        "adjusted_entitlement_quantity": plain(line.free_units),
        "usage_quantity": plain(line.quantity),
        "amount": money(line.amount, invoice.currency),
        "currency": invoice.currency,
        "period_start": line.period_start,
        "period_end": line.period_end,
        "adjusts_invoice_id": line.adjusts_invoice.public_id if line.adjusts_invoice else None,
        "adjusts_line_item_id": line.adjusts.public_id if line.adjusts else None,
    }


def _about(price: Price | None, kind: str, subscription: Subscription | None) -> dict[str, Any]:
    feature = price.feature if price else None
    plan = price.version.plan if price else None
    return {
        "kind": kind,
        "price_type": "USAGE" if kind in USAGE_KINDS else "FIXED",
        "price_id": price.public_id if price else None,
        "meter_id": feature.public_id if feature else None,
        "meter_display_name": feature.name if feature else None,
        "entity_type": "plan" if plan else None,
        "entity_id": plan.public_id if plan else None,
        "plan_display_name": plan.name if plan else None,
        "subscription_id": subscription.public_id if subscription else None,
    }


def serialize_preview(found: Upcoming, subscription: Subscription, *, hide_zero: bool = False) -> Any:
    """Write an upcoming invoice as the draft that it would be."""
    lines = found.invoice.lines if found.invoice else []
    prices = Price.objects.select_related("feature", "version__plan").in_bulk({line.price_id for line in lines})
    corrected = Invoice.objects.in_bulk({line.adjusts_invoice_id for line in lines if line.adjusts_invoice_id})
    adjusted = found.invoice.adjusted if found.invoice else InvoiceTotals()
    amounts = {
        "subtotal": adjusted.subtotal,
        "total_discount": adjusted.discount,
        "total_tax": adjusted.tax,
        "total": adjusted.total,
        "total_prepaid_credits_applied": adjusted.credits,
        "amount_due": adjusted.due,
        "amount_paid": Decimal(0),
        "amount_remaining": adjusted.due,
        "adjustment_amount": Decimal(0),
    }
    absent = dict.fromkeys(
        (
            *("id", "invoice_number", "issue_date", "due_date", "finalized_at", "paid_at", "voided_at", "void_reason"),
            *("last_computed_at", "created_at", "updated_at"),
        )
    )
    summary = tax_summary(adjusted.tax, adjusted.tax_included, adjusted.treatment, adjusted.note, subscription.currency)
    kind = found.invoice.work.step.kind if found.invoice else "cycle"
    period = found.period
    invoice = {
        "invoice_status": status_in(INVOICE_STATUSES, InvoiceState.DRAFT),
        "invoice_type": type_of(kind),
        "payment_status": "PENDING",
        "billing_reason": REASONS.get(kind),  # type: ignore[call-overload]  # a kind is kept as its text
        "customer_id": subscription.customer.public_id,
        "customer": subscription.customer,
        "subscription_id": subscription.public_id,
        "currency": subscription.currency,
        "period_start": period.start if period else None,
        "period_end": period.end if period else None,
        "description": "",
        "metadata": {},
        "status": "published",
        "line_items": [
            _draft(line, prices, subscription, corrected) | _discounts(parts, subscription.currency)
            for line, parts in zip(lines, discounts_by_charge(adjusted.lines, len(lines)), strict=True)
            if line.amount or not hide_zero
        ],
        **_adjusting(adjusted.lines, subscription.currency, summary),
    }
    written_amounts = {name: money(amount, subscription.currency) for name, amount in amounts.items()}
    return InvoiceOut(written_amounts | absent | invoice).data


def _draft(
    line: Charge, prices: Mapping[int, Price], subscription: Subscription, corrected: Mapping[int, Invoice]
) -> dict[str, Any]:
    return _about(prices.get(line.price_id or 0), line.kind, subscription) | {
        "id": None,
        "invoice_id": None,
        "display_name": line.description,
        "quantity": plain(line.billable_quantity),
        "adjusted_entitlement_quantity": plain(line.free_units),
        "usage_quantity": plain(line.quantity),
        "amount": money(line.amount, subscription.currency),
        "currency": subscription.currency,
        "period_start": line.period.start if line.period else None,
        "period_end": line.period.end if line.period else None,
        "adjusts_invoice_id": corrected[line.adjusts_invoice_id].public_id if line.adjusts_invoice_id else None,
        "adjusts_line_item_id": None,
    }


class PreviewIn(serializers.Serializer[Any]):
    """Whose upcoming invoice. It is of the billing period that holds now."""

    subscription_id = serializers.CharField(max_length=64)
    hide_zero_charges_line_items = serializers.BooleanField(default=False)


class VoidIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=255, default="Voided through the API", help_text="Why.")
