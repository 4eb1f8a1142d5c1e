"""Dialogs that send a document: who gets it, and what it says."""

from datetime import date
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.emails.composing import (
    Topic,
    about_credit_note,
    about_email,
    about_invoice,
    about_payment,
    about_statement,
)
from billing.emails.outbox import preview_email, queue_email, send_again
from billing.models import CreditNote, Email, Invoice, Payment
from billing.refusals import CannotEmail
from config.inputs import DayField
from config.office.dialogs import DayInput
from customers.models import Customer
from customers.periods import local_date


class SendForm(BaseDialogForm):
    """Show an email and ask who gets it. The customer's recipients are filled in."""

    form_before_template = "admin/billing/email/preview.html"

    to = forms.CharField(
        max_length=1000, widget=UnfoldAdminTextInputWidget, help_text="Separate addresses with commas."
    )
    cc = forms.CharField(label="Copies to", max_length=1000, required=False, widget=UnfoldAdminTextInputWidget)

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.email: Email | None = None
        self.refusal = ""
        try:
            self.email = preview_email(self.load_topic())
        except CannotEmail as refusal:
            self.refusal = str(refusal)
        else:
            self.fields["to"].initial = ", ".join(self.email.to)
            self.fields["cc"].initial = ", ".join(self.email.cc)

    def load_topic(self) -> Topic:
        """Return what is sent. Raises `CannotEmail`."""
        raise NotImplementedError

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"email": self.email, "refusal": self.refusal}

    def send(self, *, by: User) -> Email:
        """Put the email into the outbox. Raises `CannotEmail`."""
        to, cc = self.addresses()
        return queue_email(self.load_topic(), to=to, cc=cc, now=timezone.now(), by=by)

    def addresses(self) -> tuple[list[str], list[str]]:
        """Return the recipients, and who gets a copy."""
        return split_addresses(self.cleaned_data["to"]), split_addresses(self.cleaned_data["cc"])


def split_addresses(text: str) -> list[str]:
    """Split addresses at commas and semicolons.

    >>> split_addresses("a@example.com; b@example.com,")
    ['a@example.com', 'b@example.com']
    """
    return [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]


class SendInvoiceForm(SendForm):
    """Send an invoice."""

    def load_topic(self) -> Topic:
        invoices = Invoice.objects.select_related("customer", "subscription")
        return about_invoice(get_object_or_404(invoices, pk=self.object_id))


class SendCreditNoteForm(SendForm):
    """Send a credit note."""

    def load_topic(self) -> Topic:
        notes = CreditNote.objects.select_related("customer", "invoice__customer", "invoice__subscription")
        return about_credit_note(get_object_or_404(notes, pk=self.object_id))


class SendReceiptForm(SendForm):
    """Send the receipt of a payment."""

    def load_topic(self) -> Topic:
        payments = Payment.objects.select_related("customer", "invoice__subscription")
        return about_payment(get_object_or_404(payments, pk=self.object_id))


class SendAgainForm(SendForm):
    """Send an email's document again, with the text and recipients of today."""

    def load_topic(self) -> Topic:
        return about_email(self._load_email())

    def _load_email(self) -> Email:
        emails = Email.objects.select_related("customer", "invoice", "credit_note", "payment__invoice")
        return get_object_or_404(emails, pk=self.object_id)

    def send(self, *, by: User) -> Email:
        to, cc = self.addresses()
        return send_again(self._load_email(), to=to, cc=cc, now=timezone.now(), by=by)


class SendStatementForm(SendForm):
    """Send a statement of the chosen days: by default, last month."""

    first_day = DayField(label="From", widget=DayInput())
    last_day = DayField(label="Until (inclusive)", widget=DayInput())
    field_order = ("first_day", "last_day", "to", "cc")

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.fields["first_day"].initial, self.fields["last_day"].initial = self._default_days()

    def load_topic(self) -> Topic:
        customer = get_object_or_404(Customer, pk=self.object_id)
        first_day, last_day = self._default_days()
        days = getattr(self, "cleaned_data", {})
        return about_statement(customer, days.get("first_day") or first_day, days.get("last_day") or last_day)

    def clean(self) -> dict[str, Any] | None:
        data: dict[str, Any] | None = super().clean()
        first_day, last_day = self.cleaned_data.get("first_day"), self.cleaned_data.get("last_day")
        if first_day and last_day and last_day < first_day:
            raise ValidationError({"last_day": "Choose a last day that isn't before the first day."})
        return data

    def _default_days(self) -> tuple[date, date]:
        zone = get_object_or_404(Customer, pk=self.object_id).timezone
        return last_month(local_date(timezone.now(), zone))


def last_month(today: date) -> tuple[date, date]:
    """Return the first and the last day of the month before.

    >>> last_month(date(2026, 1, 15))
    (datetime.date(2025, 12, 1), datetime.date(2025, 12, 31))
    """
    last_day = date.fromordinal(today.replace(day=1).toordinal() - 1)
    return last_day.replace(day=1), last_day


class TestForm(BaseDialogForm):
    """Ask where to send a test of a template."""

    to = forms.EmailField(label="To", widget=UnfoldAdminTextInputWidget)

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        self.fields["to"].initial = getattr(request.user, "email", "")
