"""Invoices in answers: amounts as strings with the decimals of their currency."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import F, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum
from rest_framework import serializers

from billing.api.fields import ComputedMoney, MoneyField
from billing.api.names import INVOICE_STATUSES, PAYMENT_STATUSES, REASONS, TYPES, status_in, type_of
from billing.api.serializers.einvoices import EInvoiceOut
from billing.api.serializers.invoice_adjustments import (
    EXEMPTIONS,
    AppliedCouponOut,
    AppliedTaxOut,
    TaxSummaryOut,
    discounts_by_charge,
    saved_id,
)
from billing.invoicing.rows import rows_of
from billing.invoicing.totals import set_totals
from billing.invoicing.upcoming import Upcoming
from billing.kinds import USAGE_KINDS
from billing.lines import split_lines
from billing.models import Invoice, InvoiceKind, InvoiceLine, LineKind, Payment
from catalog.api.names import PERIODS
from catalog.models import Price
from config.api.contract import ContractRecord
from config.api.fields import (
    BlankAsNullField,
    ComputedChoice,
    ComputedText,
    ComputedTime,
    ConstantField,
    MetadataField,
    NamedChoiceField,
    QuantityField,
    TextField,
)
from config.api.unknown_names import Unused
from customers.api.serializers.customers import CustomerOut
from customers.models import Subscription

LINES = InvoiceLine.objects.select_related(
    "price__feature", "price__version__plan", "adjusts", "adjusts_invoice"
).order_by("position")


def invoice_headers() -> QuerySet[Invoice]:
    """Load invoices as `InvoiceOut` needs them without their lines, newest first."""
    received = Payment.objects.filter(Q(source=None) | Q(reverses=F("source")), invoice=OuterRef("pk"))
    overpaid = received.exclude(surplus=0).order_by().values("invoice").annotate(sum=Sum("surplus")).values("sum")
    headers: QuerySet[Invoice] = Invoice.objects.annotate(overpaid=Subquery(overpaid))
    related = ("customer", "subscription__customer", "replaced_by", "einvoice", "joint")
    return headers.select_related(*related).defer("einvoice__xml").order_by("-pk")


def invoices() -> QuerySet[Invoice]:
    """Load invoices with their lines as `InvoiceOut` needs them, newest first."""
    return invoice_headers().prefetch_related(Prefetch("lines", LINES))


class LineOut(ContractRecord):
    """A charge. For usage, `quantity` is the charged quantity, after `adjusted_entitlement_quantity` free units."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("commitment_info", "created_at", "custom_currency", "fx_conversion", "metadata", "parent_line_item_id"),
        *("prepaid_credits_applied", "price_unit", "price_unit_amount", "price_unit_id", "status", "updated_at"),
        *("usage_analytics", "usage_breakdown"),
    )

    id = ComputedText(allow_null=True)
    invoice_id = ComputedText(allow_null=True)
    display_name = serializers.CharField(source="description")
    kind = serializers.ChoiceField(LineKind.choices)
    price_type = ComputedChoice(["USAGE", "FIXED"])
    price_id = serializers.CharField(source="price.public_id", allow_null=True)
    meter_id = serializers.CharField(source="price.feature.public_id", allow_null=True)
    meter_display_name = serializers.CharField(source="price.feature.name", allow_null=True)
    entity_type = ComputedText(allow_null=True)
    entity_id = serializers.CharField(source="price.version.plan.public_id", allow_null=True)
    plan_display_name = serializers.CharField(source="price.version.plan.name", allow_null=True)
    subscription_id = serializers.CharField(source="invoice.subscription.public_id", allow_null=True)
    subscription_line_item_id = ComputedText(allow_null=True)
    customer_id = serializers.CharField(source="invoice.customer.public_id")
    quantity = QuantityField(source="billable_quantity")
    adjusted_entitlement_quantity = QuantityField(source="free_units")
    usage_quantity = QuantityField(source="quantity", help_text="The total quantity used.")
    amount = MoneyField(currency="invoice.currency", help_text="Before discounts and taxes.")
    line_item_discount = MoneyField(
        source="limited_discount", currency="invoice.currency", help_text="Discounts limited to certain charges."
    )
    invoice_level_discount = MoneyField(
        source="general_discount",
        currency="invoice.currency",
        help_text="This charge's part of discounts on the whole invoice.",
    )
    currency = serializers.CharField(source="invoice.currency")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    adjusts_invoice_id = serializers.CharField(
        source="adjusts_invoice.public_id",
        allow_null=True,
        help_text="For late usage, the invoice of the period that this line corrects.",
    )
    adjusts_line_item_id = serializers.CharField(
        source="adjusts.public_id", allow_null=True, help_text="For late usage, the invoice line that it corrects."
    )

    def get_id(self, line: InvoiceLine) -> str | None:
        return saved_id(line)

    def get_invoice_id(self, line: InvoiceLine) -> str | None:
        return saved_id(line.invoice)

    def get_subscription_line_item_id(self, line: InvoiceLine) -> str | None:
        subscription = line.invoice.subscription
        return f"{subscription.public_id}:{line.price.public_id}" if subscription and line.price else None

    def get_price_type(self, line: InvoiceLine) -> str:
        return "USAGE" if line.kind in USAGE_KINDS else "FIXED"

    def get_entity_type(self, line: InvoiceLine) -> str | None:
        return "plan" if line.price else None


class InvoiceOut(ContractRecord):
    """The amounts that a customer owes. A preview has no id and isn't stored."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("billing_sequence", "checkout_session", "custom_currency", "fx_conversion", "hosted_invoice_url"),
        *("invoice_pdf_url", "is_manually_edited", "recalculated_invoice_id", "refunded_amount"),
        *("source_type", "subscription", "version"),
    )

    id = ComputedText(allow_null=True)
    invoice_number = serializers.CharField(source="number", allow_null=True)
    joint_invoice_id = serializers.CharField(
        source="joint.public_id",
        default=None,
        allow_null=True,
        help_text="The joint invoice of which this invoice is a section, for customers with joins_invoices.",
    )
    joint_invoice_number = serializers.CharField(
        source="joint.number", default=None, allow_null=True, help_text="The number that the customer sees."
    )
    invoice_status = ComputedChoice(
        list(INVOICE_STATUSES),
        help_text="DRAFT: Draft in the admin. FINALIZED: Open, Partly paid, Overdue or Paid. VOIDED: Void.",
    )
    invoice_type = ComputedChoice(TYPES)
    payment_status = ComputedChoice(
        list(PAYMENT_STATUSES),
        help_text="PENDING: Draft, Open, Partly paid (amount_paid is positive) or Overdue (after due_date). SUCCEEDED:"
        " Paid. VOIDED: Void.",
    )
    billing_reason = ComputedChoice(list(dict.fromkeys(REASONS.values())))
    billing_period = NamedChoiceField(PERIODS, source="subscription.interval", allow_null=True)
    customer_id = serializers.CharField(source="customer.public_id")
    customer = CustomerOut()
    subscription_id = serializers.CharField(source="subscription.public_id", allow_null=True)
    subscription_customer_id = ComputedText(allow_null=True)
    currency = serializers.CharField()
    subtotal = MoneyField()
    total_discount = MoneyField(source="discount_total")
    total_tax = MoneyField(
        source="tax_total", help_text="Tax added to prices. For tax included in prices, see tax_summary."
    )
    total = MoneyField()
    total_prepaid_credits_applied = MoneyField(
        source="credits_applied",
        help_text="On a draft, the expected amount. If negative, the amount added to the customer's prepaid credit.",
    )
    amount_due = MoneyField()
    amount_paid = MoneyField()
    amount_remaining = MoneyField(help_text="If negative, the amount to refund.")
    overpaid_amount = ComputedMoney(
        help_text="What the invoice's payments were more than the amount due. It is prepaid credit, or unapplied."
    )
    adjustment_amount = MoneyField(source="amount_credited", help_text="The total of the invoice's credit notes.")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    description = serializers.CharField(source="memo")
    po_number = serializers.CharField(help_text="The number of the customer's purchase order.")
    issue_date = serializers.DateTimeField(source="issued_at", allow_null=True)
    due_date = serializers.DateTimeField(source="due_at", allow_null=True)
    finalized_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    void_reason = BlankAsNullField()
    recalculated_invoice_id = serializers.CharField(
        source="replaced_by.public_id", default=None, allow_null=True, help_text="The invoice that replaces it."
    )
    held_at = serializers.DateTimeField(allow_null=True, help_text="When the draft was put on hold.")
    hold_reason = BlankAsNullField()
    last_computed_at = serializers.DateTimeField(source="computed_at", allow_null=True)
    idempotency_key = serializers.CharField(source="external_reference", allow_null=True)
    einvoice = EInvoiceOut(
        default=None, allow_null=True, help_text="Download the XML with GET /v1/invoices/{invoice_id}/einvoice."
    )
    metadata = MetadataField()
    status = ConstantField("published")
    line_items = LineOut(source="charges", many=True, help_text="The charges, which add up to the subtotal.")
    coupon_applications = AppliedCouponOut(source="discounts", many=True)
    taxes = AppliedTaxOut(source="tax_lines", many=True)
    tax_summary = TaxSummaryOut(source="*")
    tax_exemption_reason_code = ComputedChoice(list(EXEMPTIONS.values()), allow_null=True)
    created_at = ComputedTime(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Any) -> Any:
        """Group the invoice's lines first. The context may give other `lines` than the saved ones, or none."""
        lines = self.context["lines"] if "lines" in self.context else instance.lines.all()
        charges, adjustments = split_lines(list(lines))
        for line, discounts in zip(charges, discounts_by_charge(adjustments, len(charges)), strict=True):
            line.limited_discount, line.general_discount = discounts
        hide_zero = self.context.get("hide_zero", False)
        instance.charges = [line for line in charges if line.amount or not hide_zero]
        instance.discounts = [line for line in adjustments if line.kind == LineKind.DISCOUNT]
        instance.tax_lines = [line for line in adjustments if line.kind == LineKind.TAX]
        instance.exempt_invoice = instance if instance.tax_treatment in EXEMPTIONS else None
        return super().to_representation(instance)

    def get_id(self, invoice: Invoice) -> str | None:
        return saved_id(invoice)

    def get_subscription_customer_id(self, invoice: Invoice) -> str | None:
        return invoice.subscription.customer.public_id if invoice.subscription else None

    def get_invoice_status(self, invoice: Invoice) -> str:
        return status_in(INVOICE_STATUSES, invoice.state)

    def get_invoice_type(self, invoice: Invoice) -> str:
        return type_of(invoice.kind)

    def get_payment_status(self, invoice: Invoice) -> str:
        return status_in(PAYMENT_STATUSES, invoice.state)

    def get_overpaid_amount(self, invoice: Invoice) -> Decimal:
        return getattr(invoice, "overpaid", None) or Decimal(0)

    def get_billing_reason(self, invoice: Invoice) -> str:
        return REASONS[InvoiceKind(invoice.kind)]

    def get_created_at(self, invoice: Invoice) -> datetime | None:
        return invoice.created_at if invoice.pk else None

    def get_tax_exemption_reason_code(self, invoice: Invoice) -> str | None:
        return EXEMPTIONS.get(invoice.tax_treatment)


def serialize_preview(upcoming: Upcoming, subscription: Subscription, *, hide_zero: bool = False) -> Any:
    """Serialize an upcoming invoice as the draft that the next billing run would write."""
    computed, period = upcoming.invoice, upcoming.period
    invoice = Invoice(
        customer=subscription.customer,
        subscription=subscription,
        kind=computed.request.invoice.kind if computed else InvoiceKind.CYCLE,
        currency=subscription.currency,
        period_start=period.start if period else None,
        period_end=period.end if period else None,
    )
    lines: list[InvoiceLine] = []
    if computed is not None:
        set_totals(invoice, computed.adjusted)
        lines = rows_of(invoice, [*computed.lines, *computed.adjusted.lines])
        _attach_related(lines)
    return InvoiceOut(invoice, context={"lines": lines, "hide_zero": hide_zero}).data


def _attach_related(lines: list[InvoiceLine]) -> None:
    """Set what unsaved lines refer to, in two queries."""
    prices = Price.objects.select_related("feature", "version__plan").in_bulk(
        {line.price_id for line in lines if line.price_id}
    )
    corrected = Invoice.objects.in_bulk({line.adjusts_invoice_id for line in lines if line.adjusts_invoice_id})
    for line in lines:
        line.price = prices.get(line.price_id or 0)
        line.adjusts_invoice = corrected.get(line.adjusts_invoice_id or 0)
        line.adjusts = None  # a preview doesn't name the corrected line


class InvoiceQuery(serializers.Serializer[Any]):
    """An invoice is always complete."""

    unused: ClassVar[dict[str, Unused]] = {
        "expand_by_source": Unused("Use POST /v1/events/analytics with group_by source.", ("false",)),
        "group_by": Unused("Use POST /v1/events/analytics with group_by."),
    }

    expand = TextField(255, help_text="Accepted without effect: an invoice includes everything.")


class PreviewIn(serializers.Serializer[Any]):
    """The subscription whose upcoming invoice to preview. It covers the current billing period."""

    unused: ClassVar[dict[str, Unused]] = dict.fromkeys(
        ("period_start", "period_end"), Unused("A preview covers the current billing period. Leave this field out.")
    )

    subscription_id = serializers.CharField(max_length=64)
    hide_zero_charges_line_items = serializers.BooleanField(default=False)


class VoidIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=255, default="Voided through the API", help_text="The reason.")
