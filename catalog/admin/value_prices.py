"""The form that sets the prices of a feature by the values of a property."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog.by_value import ValuePrice
from catalog.models import Feature, IntervalUnit, UsageReset
from catalog.validation import is_current
from config.inputs import NumberField, is_number


class ValuePricesForm(BaseDialogForm):
    """Ask for the feature, the property, and the price of each value."""

    feature = forms.ModelChoiceField(queryset=Feature.objects.none(), widget=UnfoldAdminSelectWidget())
    property_name = forms.CharField(
        label="Property",
        max_length=255,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "region"}),
        help_text="The event property whose values have different prices. Use dots for nested properties.",
    )
    listed = forms.CharField(
        label="Prices",
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 5, "placeholder": "eu: 0.10\nus, ca: 0.08"}),
        help_text="One value a line, with the price of one unit: eu: 0.10. Separate values with the same price by "
        "commas. Values that already have a price here and aren't named keep it.",
    )
    other = NumberField(
        label="Price of other values",
        required=False,
        max_digits=30,
        decimal_places=12,
        min_value=Decimal(0),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="For all values that have no price, and for events without the property. Leave blank to not charge "
        "for them, or to keep their price.",
    )
    free_units = NumberField(
        label="Free units of each price",
        required=False,
        max_digits=30,
        decimal_places=12,
        min_value=Decimal(0),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="Each billing period. Leave blank for none, or to keep them.",
    )
    currency = forms.CharField(max_length=3, min_length=3, widget=UnfoldAdminTextInputWidget())
    interval = forms.ChoiceField(
        label="Billing interval",
        choices=IntervalUnit.choices,
        initial=IntervalUnit.MONTH,
        widget=UnfoldAdminSelectWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"].initial = settings.DEFAULT_CURRENCY
        choice: Any = self.fields["feature"]
        choice.queryset = (
            Feature.objects.metered().active().filter(variant_of=None, reset=UsageReset.PERIODIC).order_by("name")
        )

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).upper()
        if not is_current(currency):
            raise ValidationError(f"{currency} isn't a currency in use. Enter its three letters, for example EUR.")
        return currency

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "listed" in cleaned:
            try:
                cleaned["prices"] = read_value_prices(cleaned["listed"])
            except ValidationError as error:
                self.add_error("listed", error)
            else:
                if cleaned.get("other") is not None:
                    cleaned["prices"].append(ValuePrice([], cleaned["other"]))
        return cleaned


def read_value_prices(text: str) -> list[ValuePrice]:
    """Read prices, one a line: `eu: 0.10`, and `us, ca: 0.08` for values with the same price."""
    prices = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        named, colon, amount = line.rpartition(":")
        values = [value.strip() for value in named.split(",")]
        if not colon or not all(values) or not is_number(amount) or not 0 <= Decimal(amount) < Decimal(10) ** 15:
            raise ValidationError(f"“{line}” isn't a price. Write eu: 0.10, or us, ca: 0.08.")
        prices.append(ValuePrice(values, Decimal(amount.strip())))
    return prices
