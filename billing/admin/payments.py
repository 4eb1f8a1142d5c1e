"""Payments in the admin: payments, reversals and refunds, and reversing one."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    RangeDateFilter,
)
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.emails.email_admin import may_send, send_from_dialog
from billing.admin.emails.forms import SendReceiptForm
from billing.admin.forms.payments import ReverseForm
from billing.admin.forms.surplus import ApplySurplusForm, SurplusForm, SurplusRefundForm
from billing.admin.shared import link, money_cell, rounded
from billing.models import Payment, PaymentKind, PaymentMethod
from billing.money import format_amount
from billing.settlement.payments import credit_surplus, reverse_payment
from billing.settlement.surplus import apply_surplus, refund_surplus
from config.office.base import OfficeAdmin
from config.office.dialogs import action, carry_out, staff
from config.office.links import page_of
from config.office.permissions import NeverChanged, ReadOnlyInline

COLORS = {
    PaymentKind.PAYMENT: "success",
    PaymentKind.APPLIED: "info",
    PaymentKind.ADJUSTED: "info",
    PaymentKind.REVERSAL: "danger",
    PaymentKind.REFUND: "warning",
}


class UnappliedFilter(DropdownFilter):
    """Filter payments by whether a part of them is unapplied."""

    title = "Unapplied"
    parameter_name = "unapplied"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "With an unapplied amount")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(surplus__gt=0, unapplied__gt=0) if self.value() == "yes" else queryset


class SurplusUsesInline(ReadOnlyInline):
    """What a payment was used for beyond its own invoice, and the differences that were settled with it."""

    model = Payment
    fk_name = "source"
    fields = ("show_day", "show_kind", "show_invoice", "show_used", "reason")
    readonly_fields = fields
    ordering = ("pk",)
    tab = True
    per_page = 20
    verbose_name_plural = "uses"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        uses: QuerySet[Payment] = super().get_queryset(request).select_related("invoice")
        return uses

    @admin.display(description="Date")
    def show_day(self, use: Payment) -> SafeString:
        return format_html('<a class="ch-link" href="{}">{}</a>', page_of(use), f"{use.received_on:%Y-%m-%d}")

    @admin.display(description="Kind")
    def show_kind(self, use: Payment) -> str:
        is_credit = use.method == PaymentMethod.WALLET and use.kind == PaymentKind.REFUND
        if use.kind == PaymentKind.ADJUSTED:
            return use.get_method_display()
        return "Added to prepaid credit" if is_credit else use.get_kind_display()

    @admin.display(description="Invoice")
    def show_invoice(self, use: Payment) -> SafeString | str:
        return link(use.invoice)

    @admin.display(description="Amount used")
    def show_used(self, use: Payment) -> SafeString:
        return money_cell(-use.surplus or use.amount, use.currency)


@admin.register(Payment)
class PaymentAdmin(NeverChanged, OfficeAdmin):
    """Payments of customers and of invoices, adjustments and refunds. They never change."""

    list_display = (
        *("day", "customer_name", "invoice_link", "kind_badge", "money", "show_unapplied"),
        *("show_method", "show_reference"),
    )
    list_display_links = ("day",)
    list_select_related = ("customer", "invoice", "recorded_by", "reverses", "reversed_by", "credit_note", "source")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        UnappliedFilter,
        ("method", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("received_on", RangeDateFilter),
    )
    search_fields = ("reference", "public_id", "invoice__number", "customer__name")
    search_help_text = "Reference, invoice number or customer's name"
    ordering = ("-received_on", "-pk")
    fieldsets = (
        (
            None,
            {"fields": (("invoice_link", "customer_name_only"), ("kind", "amount_text"), ("received_on", "method"))},
        ),
        ("Surplus", {"fields": (("show_applied", "show_surplus"), ("show_unapplied", "source_link"))}),
        (
            "Details",
            {
                "fields": (
                    "reference",
                    "account",
                    "note",
                    "reason",
                    ("reverses_link", "reversed_link"),
                    "credit_note_link",
                )
            },
        ),
        ("Recorded", {"fields": (("recorded_by", "recorded_at"), "public_id")}),
    )
    inlines = (SurplusUsesInline,)
    actions_detail = ("email_one", "apply_rest", "credit_rest", "refund_rest", "reverse_one")
    export_columns = (
        ("ID", "public_id"),
        ("Date", "received_on"),
        ("Customer", lambda payment: payment.customer.name),
        ("External customer ID", lambda payment: payment.customer.external_id),
        ("Invoice", lambda payment: payment.invoice and payment.invoice.number),
        ("Kind", lambda payment: payment.get_kind_display()),
        ("Currency", "currency"),
        ("Amount", rounded("amount")),
        ("Applied", rounded("applied")),
        ("Unapplied", rounded("unapplied")),
        ("Method", lambda payment: payment.get_method_display()),
        ("Account", "account"),
        ("Reference", "reference"),
        ("Reason", "reason"),
        ("Recorded at (UTC)", "recorded_at"),
    )
    empty_icon = "payments"
    empty_title = "No payments yet"
    empty_text = "Open a finalized invoice, or a customer, and select “Record payment”, or use the API."
    empty_link = ("Unpaid invoices", "billing_invoice_changelist")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        payments: QuerySet[Payment] = super().get_queryset(request).with_unapplied()
        return payments

    @display(description="Date", ordering="received_on")
    def day(self, payment: Payment) -> str:
        return f"{payment.received_on:%Y-%m-%d}"

    @display(description="Customer", ordering="customer__name", header=True)
    def customer_name(self, payment: Payment) -> list[str]:
        return [payment.customer.name, payment.customer.external_id]

    @display(description="Customer")
    def customer_name_only(self, payment: Payment) -> SafeString | str:
        return link(payment.customer)

    @display(description="Invoice", ordering="invoice__number")
    def invoice_link(self, payment: Payment) -> SafeString | str:
        return link(payment.invoice)

    @display(description="Kind", ordering="kind", label=COLORS)
    def kind_badge(self, payment: Payment) -> tuple[str, str]:
        reversed_by = getattr(payment, "reversed_by", None)
        return payment.kind, f"{payment.get_kind_display()}{', reversed' if reversed_by else ''}"

    @display(description="Amount", ordering="amount")
    def money(self, payment: Payment) -> SafeString:
        return money_cell(payment.amount, payment.currency)

    @display(description="Amount")
    def amount_text(self, payment: Payment) -> SafeString:
        return money_cell(payment.amount, payment.currency)

    @display(description="Applied to its invoice")
    def show_applied(self, payment: Payment) -> SafeString:
        return money_cell(payment.applied, payment.currency)

    @display(description="Surplus")
    def show_surplus(self, payment: Payment) -> SafeString | str:
        return money_cell(payment.surplus, payment.currency) if payment.surplus else "–"

    @display(description="Unapplied", ordering="unapplied")
    def show_unapplied(self, payment: Any) -> SafeString | str:
        return money_cell(payment.unapplied, payment.currency) if payment.unapplied else "–"

    @display(description="Surplus of")
    def source_link(self, payment: Payment) -> SafeString | str:
        return link(payment.source)

    @display(description="Method", ordering="method")
    def show_method(self, payment: Payment) -> str:
        return payment.get_method_display()

    @display(description="Reference", ordering="reference")
    def show_reference(self, payment: Payment) -> str:
        return payment.reference or "–"

    @display(description="Reverses")
    def reverses_link(self, payment: Payment) -> SafeString | str:
        return link(payment.reverses)

    @display(description="Reversed by")
    def reversed_link(self, payment: Payment) -> SafeString | str:
        return link(getattr(payment, "reversed_by", None))

    @display(description="Credit note")
    def credit_note_link(self, payment: Payment) -> SafeString | str:
        return link(payment.credit_note)

    def has_reverse_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        payments = Payment.objects.filter(pk=object_id or 0, reversed_by=None)
        is_reversible = payments.exclude(kind=PaymentKind.REVERSAL).exists()
        return request.user.has_perm("billing.add_payment") and is_reversible

    @action(
        description="Reverse",
        icon="undo",
        variant=ActionVariant.DANGER,
        permissions=["reverse"],
        dialog={"title": "Reverse this payment?", "form_class": ReverseForm, "form_submit_text": "Reverse"},
    )
    def reverse_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        """Reverse a payment with a new entry and the reason."""
        payment = Payment.objects.select_related("invoice", "customer", "source").get(pk=object_id)
        return carry_out(
            request,
            lambda: reverse_payment(payment, reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(request)),
            done=f"{payment} is reversed.",
            then=(payment.invoice or payment).get_absolute_url(),
        )

    def has_email_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        payments = Payment.objects.filter(pk=object_id or 0, kind=PaymentKind.PAYMENT, reversed_by=None)
        return may_send(request) and payments.exists()

    @action(
        description="Email a receipt",
        icon="forward_to_inbox",
        permissions=["email"],
        dialog={"title": "Email a receipt", "form_class": SendReceiptForm, "form_submit_text": "Send"},
    )
    def email_one(self, request: HttpRequest, form: SendReceiptForm, object_id: int) -> HttpResponse:
        """Send a receipt with the invoice to the customer."""
        return send_from_dialog(request, form)

    def has_use_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        has_rest = Payment.objects.with_money_left().filter(pk=object_id or 0).exists()
        return request.user.has_perm("billing.add_payment") and has_rest

    @action(
        description="Apply to an invoice",
        icon="receipt_long",
        variant=ActionVariant.PRIMARY,
        permissions=["use"],
        dialog={"title": "Apply to an invoice", "form_class": ApplySurplusForm, "form_submit_text": "Apply"},
    )
    def apply_rest(self, request: HttpRequest, form: ApplySurplusForm, object_id: int) -> HttpResponse:
        """Pay an invoice of the customer from the unapplied part."""
        invoice, amount = form.cleaned_data["invoice"], form.cleaned_data["amount"]
        return carry_out(
            request,
            lambda: apply_surplus(form.payment, invoice, amount=amount, now=timezone.now(), by=staff(request)),
            done=f"Applied to {invoice}.",
            then=page_of(form.payment),
        )

    @action(
        description="Add to prepaid credit",
        icon="account_balance_wallet",
        permissions=["use"],
        dialog={"title": "Add to prepaid credit", "form_class": SurplusForm, "form_submit_text": "Add"},
    )
    def credit_rest(self, request: HttpRequest, form: SurplusForm, object_id: int) -> HttpResponse:
        """Turn the unapplied part into prepaid credit of the customer."""
        amount = form.cleaned_data["amount"]
        return carry_out(
            request,
            lambda: credit_surplus(form.payment, amount=amount, now=timezone.now(), by=staff(request)),
            done=f"{format_amount(amount, form.payment.currency)} is prepaid credit.",
            then=page_of(form.payment),
        )

    @action(
        description="Record a refund",
        icon="undo",
        permissions=["use"],
        confirmed=True,
        dialog={"title": "Record a refund", "form_class": SurplusRefundForm, "form_submit_text": "Record refund"},
    )
    def refund_rest(self, request: HttpRequest, form: SurplusRefundForm, object_id: int) -> HttpResponse:
        """Record a refund of the unapplied part. Submitting the same dialog twice records one refund."""
        payment, reason = form.subject, form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: refund_surplus(payment, form.receipt(), reason=reason, now=timezone.now(), by=staff(request)),
            done=f"Refund of {format_amount(form.receipt().amount, payment.currency)} recorded.",
            then=page_of(payment),
        )
