"""The form that sets up a plan: its fee, and its features with free units and prices."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.money import known_currency
from catalog.drafting import Tier
from catalog.models import Aggregation, Feature, IntervalUnit
from catalog.models.features import accept_numeric_strings_default
from catalog.models.prices import Cadence, Every, PriceModel
from catalog.setting_up import TIERED, PlanDesign, SoldFeature, new_feature
from config.inputs import NumberField

TIERS = 5
MODELS = (
    (PriceModel.PER_UNIT.value, "Per unit"),
    (PriceModel.GRADUATED.value, "Tiers: each prices its own units"),
    (PriceModel.VOLUME.value, "Volume: one tier prices all units"),
)
COUNTED = (
    (Aggregation.COUNT.value, "Count the events"),
    (Aggregation.SUM.value, "Add up a property"),
    (Aggregation.MAX.value, "Largest value of a property"),
    (Aggregation.UNIQUE_COUNT.value, "Distinct values of a property"),
    (Aggregation.LATEST.value, "Latest value of a property"),
)
FEE_INTERVALS = [
    (unit.value, unit.label)
    for unit in (IntervalUnit.MONTH, IntervalUnit.QUARTER, IntervalUnit.HALF_YEAR, IntervalUnit.YEAR)
]
TEXT_QUESTION = "Does your client send numbers as text?"
TEXT_HELP = 'The official Flexprice SDKs do: they send "2" for 2. If off, such events become problems and don\'t count.'


def _amount(**attrs: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", **attrs})


def _number(label: str, placeholder: str = "") -> NumberField:
    widget = _amount(placeholder=placeholder)
    return NumberField(
        label=label, required=False, widget=widget, max_digits=30, decimal_places=12, min_value=Decimal(0)
    )


class PlanSetupForm(forms.Form):
    """The plan and its recurring fee."""

    name = forms.CharField(
        label="Plan name", max_length=255, widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True})
    )
    currency = forms.CharField(max_length=3, min_length=3, widget=UnfoldAdminTextInputWidget())
    interval = forms.ChoiceField(
        label="Billed", choices=IntervalUnit.choices, initial=IntervalUnit.MONTH, widget=UnfoldAdminSelectWidget()
    )
    fee = _number("Recurring fee", "none")
    fee_every = forms.ChoiceField(
        label="Fee charged",
        choices=[("", "Every billing period"), *FEE_INTERVALS],
        required=False,
        widget=UnfoldAdminSelectWidget(),
        help_text="An annual fee can be invoiced beside monthly usage.",
    )
    cadence = forms.ChoiceField(
        label="Fee invoiced", choices=Cadence.choices, initial=Cadence.ADVANCE, widget=UnfoldAdminSelectWidget()
    )
    trial_days = forms.IntegerField(min_value=0, max_value=3650, required=False, widget=_amount(placeholder="none"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"].initial = settings.DEFAULT_CURRENCY

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).upper()
        if not known_currency(currency):
            raise forms.ValidationError(
                f"{currency} isn't a currency in use. Enter its three letters, for example EUR."
            )
        return currency

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("interval") and self._fee_periods() is None:
            self.add_error("fee_every", "It must be a multiple of the billing period.")
        return data

    def _fee_periods(self) -> int | None:
        data = self.cleaned_data
        if not data.get("fee_every"):
            return 1
        billed = Every(IntervalUnit(data.get("interval") or IntervalUnit.MONTH))
        return billed.times_in(Every(IntervalUnit(data["fee_every"])))

    def design(self, features: list[SoldFeature]) -> PlanDesign:
        """Return the plan with its features. Of an invalid form, what can be read."""
        data = self.cleaned_data
        return PlanDesign(
            name=data.get("name") or "New plan",
            currency=data.get("currency") or settings.DEFAULT_CURRENCY,
            interval=data.get("interval") or IntervalUnit.MONTH,
            fee=data.get("fee"),
            fee_periods=self._fee_periods() or 1,
            cadence=Cadence(data.get("cadence") or Cadence.ADVANCE),
            trial_days=data.get("trial_days") or 0,
            features=features,
        )


class SoldFeatureForm(forms.Form):
    """A feature of the plan: an existing one, or a new one with its name, its events and how they are counted."""

    feature = forms.ModelChoiceField(
        queryset=Feature.objects.none(), required=False, empty_label="New feature", widget=UnfoldAdminSelectWidget()
    )
    name = forms.CharField(label="Feature name", max_length=255, required=False, widget=_amount(inputmode="text"))
    event_name = forms.CharField(
        max_length=255, required=False, widget=_amount(inputmode="text", placeholder="api.calls")
    )
    aggregation = forms.ChoiceField(
        label="How events are counted", choices=COUNTED, required=False, widget=UnfoldAdminSelectWidget()
    )
    field = forms.CharField(
        label="Property", max_length=255, required=False, widget=_amount(inputmode="text", placeholder="tokens")
    )
    accepts_text = forms.BooleanField(
        label=TEXT_QUESTION, required=False, widget=UnfoldBooleanSwitchWidget(), help_text=TEXT_HELP
    )
    free_units = _number("Free units per period", "0")
    model = forms.ChoiceField(label="Price", choices=MODELS, required=False, widget=UnfoldAdminSelectWidget())
    unit_amount = _number("Price of one unit", "0.002")
    tried = _number("Try a usage of", "10000")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["feature"]
        choice.queryset = Feature.objects.metered().active().order_by("name")
        self.fields["accepts_text"].initial = accept_numeric_strings_default()
        for number in range(1, TIERS + 1):
            self.fields[f"up_to_{number}"] = _number(f"Tier {number} up to", "no limit")
            self.fields[f"tier_amount_{number}"] = _number(f"Tier {number} price of one unit")

    @property
    def tier_fields(self) -> list[tuple[int, Any, Any]]:
        """Return the fields of each tier."""
        return [(number, self[f"up_to_{number}"], self[f"tier_amount_{number}"]) for number in range(1, TIERS + 1)]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.is_blank:
            return data
        if data.get("feature") is None:
            self._require("name", "event_name")
            if data.get("aggregation") != Aggregation.COUNT:
                self._require("field")
        if self.pricing_model in TIERED:
            self._check_tiers()
        else:
            self._require("unit_amount")
        return data

    @property
    def is_blank(self) -> bool:
        """Tell whether nothing is entered in this row, which is then ignored."""
        data = self.cleaned_data
        names = ("feature", "name", "event_name", "unit_amount", "tier_amount_1")
        return not any(data.get(name) not in (None, "") for name in names) and not set(names) & set(self.errors)

    @property
    def pricing_model(self) -> PriceModel:
        return PriceModel(self.cleaned_data.get("model") or PriceModel.PER_UNIT)

    def sold(self) -> SoldFeature | None:
        """Return the feature with its price; None for a blank row. Of an invalid row, what can be read."""
        if self.is_blank:
            return None
        data = self.cleaned_data
        feature = data.get("feature") or new_feature(
            name=data.get("name") or data.get("event_name") or "New feature",
            event_name=data.get("event_name") or "",
            aggregation=data.get("aggregation") or Aggregation.COUNT,
            field=data.get("field") or "",
            accepts_text=bool(data.get("accepts_text")),
        )
        amount, free_units = data.get("unit_amount") or Decimal(0), data.get("free_units")
        return SoldFeature(feature, self.pricing_model, amount, self._tiers(), free_units)

    def _tiers(self) -> list[Tier]:
        data = self.cleaned_data
        return [
            Tier(data.get(f"up_to_{number}"), data[f"tier_amount_{number}"])
            for number in range(1, TIERS + 1)
            if data.get(f"tier_amount_{number}") is not None
        ]

    def _check_tiers(self) -> None:
        tiers = self._tiers()
        bounds = [tier.up_to for tier in tiers]
        if not tiers:
            self.add_error("tier_amount_1", "Enter the price of the first tier.")
        elif bounds[-1] is not None:
            self.add_error("up_to_1", "Leave “up to” blank in the last tier, so that all usage has a price.")
        elif None in bounds[:-1] or any(lower >= upper for lower, upper in pairwise(filter(None, bounds))):
            self.add_error("up_to_1", "Each tier must end at a higher quantity than the tier before.")

    def _require(self, *names: str) -> None:
        for name in names:
            if self.cleaned_data.get(name) in (None, "") and name not in self.errors:
                self.add_error(name, "Fill in this field.")


SoldFeatureFormSet = forms.formset_factory(SoldFeatureForm, extra=1, max_num=50, absolute_max=50)
