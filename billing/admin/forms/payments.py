"""Dialogs that record payments and refunds, in the invoice's currency."""

import secrets
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.models import (
    ADJUSTMENTS,
    CompanyProfile,
    CreditNote,
    Invoice,
    JointInvoice,
    Payment,
    PaymentMethod,
    SurplusUse,
)
from billing.money import ZERO, currency_places, format_amount
from billing.settlement.payments import Receipt
from billing.settlement.refunds import calculate_refund_due, sum_refunds
from config.inputs import DayField, NumberField
from config.office.dialogs import DayInput, ReasonForm

NO_MONEY = (PaymentMethod.WALLET, *ADJUSTMENTS)
METHODS = [choice for choice in PaymentMethod.choices if choice[0] not in NO_MONEY]
DIFFERENCES = [choice for choice in PaymentMethod.choices if choice[0] in ADJUSTMENTS]


def amount_text(amount: Decimal, currency: str) -> str:
    """Format an amount for an input: with the currency's decimals, without symbols."""
    return f"{amount:.{currency_places(currency)}f}"


class MoneyForm(BaseDialogForm):
    """Ask for an amount, date and method. `token` makes sure that submitting twice records once."""

    form_before_template = "admin/billing/payment/about.html"

    amount = NumberField(
        max_digits=24, decimal_places=4, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
    )
    received_on = DayField(label="Date", widget=DayInput())
    method = forms.ChoiceField(choices=METHODS, widget=UnfoldAdminSelectWidget)
    reference = forms.CharField(
        max_length=255,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The bank's or payment provider's reference. Each can be used once per invoice.",
    )
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.subject = self.load_subject()
        self.fields["amount"].initial = amount_text(self.full_amount(), self.subject.currency)
        self.fields["amount"].label = f"Amount in {self.subject.currency}"
        self.fields["received_on"].initial = timezone.now().date()
        self.fields["token"].initial = secrets.token_hex(16)

    def load_subject(self) -> Any:
        """Return the invoice or the credit note."""
        raise NotImplementedError

    def full_amount(self) -> Decimal:
        """Return the amount that is filled in: everything left to pay or refund."""
        raise NotImplementedError

    def description(self) -> str:
        """Describe what is left to pay or refund, above the fields."""
        raise NotImplementedError

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"description": self.description()}

    def receipt(self) -> Receipt:
        """Return the form's values as the domain's `Receipt`."""
        data = self.cleaned_data
        return Receipt(
            amount=data["amount"],
            received_on=data["received_on"],
            method=data["method"],
            reference=data["reference"],
            note=data.get("note", ""),
            idempotency_key=f"admin:{data['token']}" if data["token"] else None,
            surplus_to=data.get("surplus_to") or SurplusUse.CREDIT,
        )


class PaymentForm(MoneyForm):
    """Ask for a payment of an invoice. A section of a joint invoice is paid with the joint invoice."""

    note = forms.CharField(required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}))
    surplus_to = forms.ChoiceField(
        label="If it is more than the amount due",
        choices=SurplusUse.choices,
        initial=SurplusUse.CREDIT,
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("amount", "received_on", "method", "reference", "note", "surplus_to")

    def load_subject(self) -> Invoice | JointInvoice:
        invoice = get_object_or_404(Invoice.objects.select_related("customer", "joint__customer"), pk=self.object_id)
        return invoice.joint or invoice

    def full_amount(self) -> Decimal:
        remaining: Decimal = self.subject.amount_remaining
        return max(remaining, ZERO)

    def description(self) -> str:
        remaining = format_amount(self.subject.amount_remaining, self.subject.currency)
        return f"{self.subject.customer} has {remaining} left to pay on {self.subject}. Partial payments are fine."


class DifferenceForm(MoneyForm):
    """Ask for a part of an invoice's amount due that is settled without money."""

    method = forms.ChoiceField(label="Type", choices=DIFFERENCES, widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="The reason is kept with the adjustment.",
    )
    field_order = ("amount", "method", "received_on", "reference", "reason")

    def load_subject(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("customer"), pk=self.object_id)

    def full_amount(self) -> Decimal:
        remaining: Decimal = self.subject.amount_remaining
        return max(remaining, ZERO)

    def description(self) -> str:
        profile, currency = CompanyProfile.current(), self.subject.currency
        limits = (format_amount(limit, currency) for limit in (profile.write_off_limit, profile.bank_charge_limit))
        remaining = format_amount(self.subject.amount_remaining, currency)
        return (
            f"{remaining} is left to pay on {self.subject}. At most {' can be written off, and '.join(limits)} can be "
            "bank charges. Settings → Company has these limits. For more, create a credit note."
        )


class RefundForm(MoneyForm):
    """Ask for a refund of a credit note."""

    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="The reason is kept with the refund.",
    )
    field_order = ("amount", "received_on", "method", "reference", "reason")

    def load_subject(self) -> CreditNote:
        return get_object_or_404(CreditNote.objects.select_related("customer", "invoice"), pk=self.object_id)

    def full_amount(self) -> Decimal:
        note = self.subject
        remaining: Decimal = min(note.refund_due - sum_refunds(note), calculate_refund_due(note.invoice))
        return max(remaining, ZERO)

    def description(self) -> str:
        remaining = format_amount(self.full_amount(), self.subject.currency)
        return f"{remaining} of {self.subject} is due as a refund to {self.subject.customer}. Record a refund you made."


class ReverseForm(ReasonForm):
    """Show what reversing a payment does to its invoice, and ask for a reason."""

    form_before_template = "admin/billing/payment/reverse.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {
            "payment": Payment.objects.select_related("customer", "invoice", "source").filter(pk=object_id or 0).first()
        }
