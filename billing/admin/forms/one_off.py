"""The form of a one-off invoice and its items."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from unfold.widgets import (
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.kinds import CouponScope
from billing.lifecycle.one_off import Item, OneOffTerms
from billing.models import Coupon, Invoice, InvoiceLine, NumberSeries, SeriesUse, TaxRate
from billing.wording import plain
from config.inputs import DayField, NumberField
from config.office.dialogs import DayInput
from customers.models import Customer
from customers.periods import Period, local_date, local_midnight

BLANK_ROWS = 2
ONE_DAY = timedelta(days=1)


class OneOffForm(forms.Form):
    """The details of a one-off invoice, except for its items."""

    customer = forms.ModelChoiceField(
        Customer.objects.all(),
        widget=AutocompleteSelect(Invoice._meta.get_field("customer"), admin.site),
    )
    currency = forms.CharField(
        max_length=3,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"class": "uppercase"}),
        help_text="Three letters, for example USD. Leave blank to use the customer's currency.",
    )
    due_on = DayField(
        label="Due date",
        required=False,
        widget=DayInput(),
        help_text="Leave blank to use the customer's payment terms.",
    )
    series = forms.ModelChoiceField(
        NumberSeries.objects.filter(used_for=SeriesUse.INVOICE),
        label="Number series",
        required=False,
        empty_label="Default series",
        widget=UnfoldAdminSelectWidget,
    )
    po_number = forms.CharField(label="PO number", max_length=64, required=False, widget=UnfoldAdminTextInputWidget)
    coupons = forms.ModelMultipleChoiceField(
        Coupon.objects.filter(archived_at=None, scope=CouponScope.EVERYTHING).order_by("code"),
        label="Discounts",
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text="They reduce this invoice only.",
    )
    tax_rates = forms.ModelMultipleChoiceField(
        TaxRate.objects.filter(archived_at=None).order_by("name"),
        label="Taxes",
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text="Charged instead of the customer's taxes. Leave blank to charge those.",
    )
    memo = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text="Shown to the customer."
    )
    is_credit = forms.BooleanField(
        label="Allow a negative total",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="A negative total becomes prepaid credit when the invoice is finalized.",
    )
    token = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def clean_currency(self) -> str:
        customer = self.cleaned_data.get("customer")
        return self.cleaned_data["currency"].upper() or (customer.billing_currency if customer else "")

    def terms(self) -> OneOffTerms:
        """Return the details as the domain's `Terms`."""
        data, customer = self.cleaned_data, self.cleaned_data["customer"]
        due_at = local_midnight(data["due_on"], customer.timezone) if data["due_on"] else None
        return OneOffTerms(
            memo=data["memo"],
            po_number=data["po_number"],
            due_at=due_at,
            series=data["series"],
            is_credit=data["is_credit"],
            coupons=list(data["coupons"]),
            tax_rates=list(data["tax_rates"]),
        )


class DraftForm(forms.Form):
    """What people add to a subscription's draft, except for its extra lines."""

    po_number = forms.CharField(
        label="PO number",
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The number of the customer's purchase order, printed on the invoice.",
    )
    memo = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text="Shown to the customer."
    )


class ItemForm(forms.Form):
    """One item. Empty rows are ignored. Days are in the invoice's time zone and include the last day."""

    description = forms.CharField(max_length=512, required=False, widget=UnfoldAdminTextInputWidget)
    quantity = NumberField(
        max_digits=24,
        decimal_places=12,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "placeholder": "1"}),
    )
    unit_amount = NumberField(
        max_digits=24,
        decimal_places=12,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    first_day = DayField(label="From", required=False, widget=DayInput())
    last_day = DayField(label="To", required=False, widget=DayInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():  # The table's column headings aren't labels for screen readers.
            field.widget.attrs["aria-label"] = field.label or name.replace("_", " ").capitalize()

    def clean(self) -> dict[str, Any]:
        data = dict(super().clean() or {})
        has_content = bool(data.get("description")) or data.get("unit_amount") is not None
        if has_content and not data.get("description"):
            self.add_error("description", "Enter a description.")
        if has_content and data.get("unit_amount") is None and "unit_amount" not in self.errors:
            self.add_error("unit_amount", "Enter an amount. A negative amount is a credit.")
        first, last = data.get("first_day"), data.get("last_day")
        if (first is None) != (last is None):
            self.add_error("last_day", "Enter both days of the period, or neither.")
        elif first is not None and last is not None and last < first:
            self.add_error("last_day", "The last day can't be before the first.")
        return data

    def item(self, zone: str) -> Item | None:
        """Return the item, or `None` for an empty row."""
        data = self.cleaned_data
        if not data.get("description"):
            return None
        period = None
        if data["first_day"]:
            end = local_midnight(data["last_day"] + ONE_DAY, zone)
            period = Period(local_midnight(data["first_day"], zone), end)
        quantity = {"quantity": data["quantity"]} if data["quantity"] is not None else {}
        return Item(data["description"], data["unit_amount"], period=period, **quantity)


ItemFormSet = forms.formset_factory(ItemForm, extra=0, min_num=BLANK_ROWS, max_num=200, absolute_max=200)


def read_items(formset: Any, zone: str) -> list[Item]:
    """Return the items of the valid rows. Empty rows are left out."""
    items = [form.item(zone) for form in formset if hasattr(form, "cleaned_data") and not form.errors]
    return [item for item in items if item is not None]


def initial_details(invoice: Invoice) -> dict[str, Any]:
    """Return the initial values of `OneOffForm` for an existing draft."""
    return {
        "customer": invoice.customer,
        "currency": invoice.currency,
        "due_on": invoice.due_on,
        "series": invoice.series_id,
        "po_number": invoice.po_number,
        "coupons": Coupon.objects.filter(applications__invoice=invoice),
        "tax_rates": invoice.tax_rates.all(),
        "memo": invoice.memo,
        "is_credit": invoice.total < 0,
    }


def initial_item(line: InvoiceLine, zone: str) -> dict[str, Any]:
    """Return the initial values of `ItemForm` for an existing line."""
    unit_amount = line.unit_amount if line.unit_amount is not None else line.amount / line.quantity
    return {
        "description": line.description,
        "quantity": plain(line.quantity),
        "unit_amount": plain(unit_amount),
        "first_day": local_date(line.period_start, zone) if line.period_start else None,
        "last_day": local_date(line.period_end - ONE_DAY, zone) if line.period_end else None,
    }
