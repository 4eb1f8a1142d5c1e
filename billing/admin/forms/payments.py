"""The questions about money: what was received, what is given back. Amounts are in the invoice's currency."""

import secrets
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.models import CreditNote, Invoice, PaymentMethod
from billing.money import currency_places, format_amount
from billing.settlement.payments import Receipt, calculate_refund_due, sum_refunds
from customers.admin.forms import DayInput

METHODS = [choice for choice in PaymentMethod.choices if choice[0] != PaymentMethod.WALLET]


def amount_text(amount: Decimal, currency: str) -> str:
    """Write an amount for an input: with its currency's decimals, without signs."""
    return f"{amount:.{currency_places(currency)}f}"


class MoneyForm(BaseDialogForm):
    """Ask for an amount that moved, when and how. `token` makes a second click the same payment."""

    form_before_template = "admin/billing/payment/about.html"

    amount = forms.DecimalField(
        max_digits=24, decimal_places=4, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
    )
    received_on = forms.DateField(label="Date", widget=DayInput())
    method = forms.ChoiceField(choices=METHODS, widget=UnfoldAdminSelectWidget)
    reference = forms.CharField(
        max_length=255,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The bank's or the provider's. One is recorded once for an invoice.",
    )
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.subject = self.find()
        self.fields["amount"].initial = amount_text(self.most(), self.subject.currency)
        self.fields["amount"].label = f"Amount in {self.subject.currency}"
        self.fields["received_on"].initial = timezone.now().date()
        self.fields["token"].initial = secrets.token_hex(16)

    def find(self) -> Any:
        """Read what the money is about."""
        raise NotImplementedError

    def most(self) -> Decimal:
        """Return the amount that is offered: all that is left."""
        raise NotImplementedError

    def said(self) -> str:
        """Say what is left, above the fields."""
        raise NotImplementedError

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"description": self.said()}

    def receipt(self) -> Receipt:
        """Return what is to be recorded."""
        data = self.cleaned_data
        return Receipt(
            amount=data["amount"],
            received_on=data["received_on"],
            method=data["method"],
            reference=data["reference"],
            note=data.get("note", ""),
            idempotency_key=f"admin:{data['token']}" if data["token"] else None,
        )


class PaymentForm(MoneyForm):
    """Ask what was received for an invoice; all that is left is filled in."""

    note = forms.CharField(required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}))
    field_order = ("amount", "received_on", "method", "reference", "note")

    def find(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("customer"), pk=self.object_id)

    def most(self) -> Decimal:
        left: Decimal = self.subject.amount_remaining
        return max(left, Decimal(0))

    def said(self) -> str:
        left = format_amount(self.subject.amount_remaining, self.subject.currency)
        return f"{self.subject.customer} has {left} left to pay on {self.subject}. A part is fine; more is refused."


class RefundForm(MoneyForm):
    """Ask what was given back of a credit note; all that is left of it is filled in."""

    reason = forms.CharField(
        max_length=255, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text="Kept with the refund."
    )
    field_order = ("amount", "received_on", "method", "reference", "reason")

    def find(self) -> CreditNote:
        return get_object_or_404(CreditNote.objects.select_related("customer", "invoice"), pk=self.object_id)

    def most(self) -> Decimal:
        note = self.subject
        left: Decimal = min(note.refund_due - sum_refunds(note), calculate_refund_due(note.invoice))
        return max(left, Decimal(0))

    def said(self) -> str:
        left = format_amount(self.most(), self.subject.currency)
        return f"{self.subject.customer} is owed {left} by {self.subject}. Record what was paid back outside."
