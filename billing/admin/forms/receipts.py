"""The form of a payment of several invoices: the money that arrived, and a row for each unpaid invoice."""

import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.admin.forms.payments import METHODS
from billing.models import Invoice, SurplusUse
from billing.money import ZERO
from billing.settlement.payments import Receipt
from billing.settlement.receipts import Application, CustomerReceipt
from config.inputs import DayField, NumberField
from config.office.dialogs import DayInput
from customers.models import Customer


def _amount_field(label: str, **options: Any) -> NumberField:
    widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "aria-label": label})
    return NumberField(label=label, max_digits=24, decimal_places=4, min_value=0, widget=widget, **options)


class ReceiptForm(forms.Form):
    """Ask for the money that arrived. `token` makes sure that submitting twice records once."""

    amount = _amount_field("Amount received")
    received_on = DayField(label="Date", widget=DayInput())
    method = forms.ChoiceField(choices=METHODS, widget=UnfoldAdminSelectWidget)
    reference = forms.CharField(
        max_length=255,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The bank's or payment provider's reference. Each can be used once per customer.",
    )
    surplus_to = forms.ChoiceField(
        label="If it is more than the invoices",
        choices=SurplusUse.choices,
        initial=SurplusUse.CREDIT,
        widget=UnfoldAdminSelectWidget,
    )
    note = forms.CharField(required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}))
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, currency: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].label = f"Amount received in {currency}"
        self.fields["received_on"].initial = timezone.now().date()
        self.fields["token"].initial = secrets.token_hex(16)

    def receipt(self) -> Receipt:
        """Return the form's values as the domain's `Receipt`."""
        data = self.cleaned_data
        return Receipt(
            amount=data["amount"],
            received_on=data["received_on"],
            method=data["method"],
            reference=data["reference"],
            note=data["note"],
            idempotency_key=f"admin:{data['token']}" if data["token"] else None,
            surplus_to=data["surplus_to"],
        )


class ApplicationForm(forms.Form):
    """Ask what the payment pays of one invoice."""

    amount = _amount_field("Paid", required=False)
    bank_charge = _amount_field("Bank charge", required=False)
    write_off = _amount_field("Write-off", required=False)

    def __init__(self, invoice: Invoice, data: Any) -> None:
        super().__init__(data, prefix=f"invoice-{invoice.pk}")
        self.invoice = invoice

    def application(self) -> Application | None:
        """Return what is entered, or `None` for an empty row."""
        amounts = [self.cleaned_data[name] or ZERO for name in ("amount", "bank_charge", "write_off")]
        return Application(self.invoice, *amounts) if any(amounts) else None


def read_customer_receipt(
    customer: Customer, currency: str, form: ReceiptForm, rows: Sequence[ApplicationForm]
) -> CustomerReceipt:
    """Return the valid forms' values. If no row is filled in, the oldest invoices are paid first."""
    receipt = form.receipt()
    applications = [application for row in rows if (application := row.application()) is not None]
    return CustomerReceipt(customer, currency, receipt, applications, oldest_first=not applications)


def sum_remaining(rows: Sequence[ApplicationForm]) -> Decimal:
    """Add up what is left to pay of the rows' invoices."""
    return sum((row.invoice.amount_remaining for row in rows), ZERO)
