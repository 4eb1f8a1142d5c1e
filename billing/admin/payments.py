"""Payments in the admin: payments, reversals and refunds, and reversing one."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.forms.payments import ReverseForm
from billing.admin.shared import link, money_cell
from billing.models import Payment, PaymentKind
from billing.settlement.payments import reverse_payment
from config.office.base import OfficeAdmin
from config.office.dialogs import carry_out, staff
from config.office.permissions import NeverChanged

COLORS = {PaymentKind.PAYMENT: "success", PaymentKind.REVERSAL: "danger", PaymentKind.REFUND: "warning"}


@admin.register(Payment)
class PaymentAdmin(NeverChanged, OfficeAdmin):
    """Payments, recorded on invoices, and refunds, recorded on credit notes. They never change."""

    list_display = ("day", "customer_name", "invoice_link", "kind_badge", "money", "show_method", "show_reference")
    list_display_links = ("day",)
    list_select_related = ("invoice__customer", "recorded_by", "reverses", "reversed_by", "credit_note")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("method", ChoicesDropdownFilter),
        ("invoice__customer", AutocompleteSelectFilter),
        ("received_on", RangeDateFilter),
    )
    search_fields = ("reference", "public_id", "invoice__number", "invoice__customer__name")
    search_help_text = "Reference, invoice number or customer's name"
    ordering = ("-received_on", "-pk")
    fieldsets = (
        (
            None,
            {"fields": (("invoice_link", "customer_name_only"), ("kind", "amount_text"), ("received_on", "method"))},
        ),
        (
            "Details",
            {"fields": ("reference", "note", "reason", ("reverses_link", "reversed_link"), "credit_note_link")},
        ),
        ("Recorded", {"fields": (("recorded_by", "recorded_at"), "public_id")}),
    )
    actions_detail = ("reverse_one",)
    export_columns = (
        ("ID", "public_id"),
        ("Date", "received_on"),
        ("Customer", lambda payment: payment.invoice.customer.name),
        ("External ID", lambda payment: payment.invoice.customer.external_id),
        ("Invoice", lambda payment: payment.invoice.number),
        ("Kind", lambda payment: payment.get_kind_display()),
        ("Currency", "currency"),
        ("Amount", "amount"),
        ("Method", lambda payment: payment.get_method_display()),
        ("Reference", "reference"),
        ("Reason", "reason"),
        ("Recorded at (UTC)", "recorded_at"),
    )
    empty_icon = "payments"
    empty_title = "No payments yet"
    empty_text = "Open a finalized invoice and select “Record payment”, or use the API."

    @display(description="Date", ordering="received_on")
    def day(self, payment: Payment) -> str:
        return f"{payment.received_on:%Y-%m-%d}"

    @display(description="Customer", ordering="invoice__customer__name", header=True)
    def customer_name(self, payment: Payment) -> list[str]:
        return [payment.invoice.customer.name, payment.invoice.customer.external_id]

    @display(description="Customer")
    def customer_name_only(self, payment: Payment) -> SafeString | str:
        return link(payment.invoice.customer)

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

    @display(description="Method", ordering="method")
    def show_method(self, payment: Payment) -> str:
        return payment.get_method_display()

    @display(description="Reference", ordering="reference")
    def show_reference(self, payment: Payment) -> str:
        return payment.reference or "—"

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
        payment = Payment.objects.select_related("invoice").get(pk=object_id)
        return carry_out(
            request,
            lambda: reverse_payment(payment, reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(request)),
            done=f"{payment} is reversed.",
            then=payment.invoice.get_absolute_url(),
        )
