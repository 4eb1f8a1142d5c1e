"""Forms for bank files: upload one, and accept an entry by hand."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.bank.reading import MOST_BYTES
from billing.models import BankFileFormat, Payment, SurplusUse
from customers.models import Customer

COLUMNS = (
    ("date", "Date column", "The heading in the file, for example Buchungstag."),
    ("amount", "Amount column", "Incoming amounts are positive."),
    ("currency", "Currency column", ""),
    ("payer_name", "Payer column", ""),
    ("payer_iban", "Payer's account column", ""),
    ("text", "Text column", "Where customers write the invoice number."),
    ("entry_id", "Bank's reference column", "Only if it is unique."),
    ("date_format", "Date format", "For example %d.%m.%Y. Leave blank to recognize it."),
    ("decimal_mark", "Decimal mark", "A period or a comma. Leave blank for a period."),
    ("default_currency", "Currency without a column", "For example EUR."),
)
FORMATS = [("", "Recognize it"), *BankFileFormat.choices]


class BankFileForm(forms.Form):
    """Ask for a bank file. The columns matter for CSV files of a new form only."""

    file = forms.FileField(widget=UnfoldAdminFileFieldWidget, help_text="CAMT.053, MT940, OFX or CSV, at most 10 MB.")
    file_format = forms.ChoiceField(label="Format", choices=FORMATS, required=False, widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label, hint in COLUMNS:
            self.fields[f"column_{name}"] = forms.CharField(
                label=label, max_length=255, required=False, help_text=hint, widget=UnfoldAdminTextInputWidget
            )

    def clean_file(self) -> Any:
        upload = self.cleaned_data["file"]
        if upload.size > MOST_BYTES:
            raise forms.ValidationError("The file has more than 10 MB. Export a shorter range of days.")
        return upload

    def columns(self) -> dict[str, str]:
        """Return the columns that are filled in."""
        values = {name: self.cleaned_data[f"column_{name}"].strip() for name, _, _ in COLUMNS}
        return {name: value for name, value in values.items() if value}


class AcceptForm(forms.Form):
    """Ask which customer paid, and what the money is for."""

    customer = forms.ModelChoiceField(
        Customer.objects.all(), widget=AutocompleteSelect(Payment._meta.get_field("customer"), admin.site)
    )
    use = forms.ChoiceField(
        label="Use",
        choices=[("oldest", "Pay the oldest invoices first"), ("none", "Pay no invoice yet")],
        widget=UnfoldAdminSelectWidget,
    )
    surplus_to = forms.ChoiceField(
        label="If it is more than the invoices",
        choices=SurplusUse.choices,
        initial=SurplusUse.UNAPPLIED,
        widget=UnfoldAdminSelectWidget,
    )


class DismissForm(forms.Form):
    """Ask why an entry pays no invoice."""

    reason = forms.CharField(max_length=255, widget=UnfoldAdminTextInputWidget)
