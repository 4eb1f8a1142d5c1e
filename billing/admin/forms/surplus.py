"""Dialogs for the unapplied part of a payment: apply it to an invoice, add it to prepaid credit, refund it."""

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.admin.forms.payments import MoneyForm, amount_text
from billing.models import Invoice, Payment
from billing.money import format_amount
from config.inputs import NumberField


def load_payment(payment_id: int | str | None) -> Any:
    """Return a payment with its `unapplied` amount, or raise 404."""
    payments = Payment.objects.with_unapplied().select_related("customer", "invoice", "source")
    return get_object_or_404(payments, pk=payment_id or 0)


def describe_unapplied(payment: Any) -> str:
    """Describe the unapplied part of a payment."""
    unapplied = format_amount(payment.unapplied, payment.currency)
    return f"{unapplied} of {payment} from {payment.customer} is unapplied."


class SurplusForm(BaseDialogForm):
    """Ask for an amount of a payment's unapplied part. All of it is filled in."""

    form_before_template = "admin/billing/payment/about.html"

    amount = NumberField(
        max_digits=24, decimal_places=4, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
    )

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.payment = load_payment(object_id)
        self.fields["amount"].initial = amount_text(self.payment.unapplied, self.payment.currency)
        self.fields["amount"].label = f"Amount in {self.payment.currency}"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"description": describe_unapplied(self.payment)}


class InvoiceChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Invoice) -> str:
        return f"{obj}: {format_amount(obj.amount_remaining, obj.currency)} due"


class ApplySurplusForm(SurplusForm):
    """Ask which unpaid invoice of the customer to pay. Without an amount, as much as possible."""

    invoice = InvoiceChoice(queryset=Invoice.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget())
    field_order = ("invoice", "amount")

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        customer, currency = self.payment.customer_id, self.payment.currency
        field: Any = self.fields["invoice"]
        field.queryset = Invoice.objects.to_pay().filter(customer=customer, currency=currency).order_by("due_at", "pk")
        if not field.queryset.exists():
            field.help_text = f"{self.payment.customer} has no unpaid invoice in {currency}."
        self.fields["amount"].required = False
        self.fields["amount"].initial = None
        self.fields["amount"].help_text = "Leave blank to pay as much as possible."


class SurplusRefundForm(MoneyForm):
    """Ask for a refund of a payment's unapplied part."""

    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="The reason is kept with the refund.",
    )
    field_order = ("amount", "received_on", "method", "reference", "reason")

    def load_subject(self) -> Any:
        return load_payment(self.object_id)

    def full_amount(self) -> Decimal:
        unapplied: Decimal = self.subject.unapplied
        return unapplied

    def description(self) -> str:
        return f"{describe_unapplied(self.subject)} Record a refund you made."
