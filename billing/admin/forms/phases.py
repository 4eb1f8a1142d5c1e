"""The form of a subscription's phases: rows such as half price for three months, or 50 seats from March on."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.money import exact, round_to
from catalog.agreed import PriceEdit, QuantityEdit, TermsEdit
from catalog.agreed.content import Content, PriceItem
from catalog.drafting import Tier
from catalog.models.prices import PriceKind
from config.inputs import DayField, NumberField
from config.office.dialogs import DayInput
from customers.models import Subscription
from customers.periods import local_midnight
from customers.subscriptions import TermsPhase

ROWS = 6
ALL = "all"


def _number(label: str, **limits: Any) -> NumberField:
    widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
    limits = {"max_digits": 30, "decimal_places": 12, "min_value": Decimal(0)} | limits
    return NumberField(label=label, required=False, widget=widget, **limits)


class PhaseRow(forms.Form):
    """What is agreed of one price, or of all, from a day on until another. A row without a change is left out."""

    charge = forms.ChoiceField(
        label="Charge", required=False, widget=UnfoldAdminSelectWidget(attrs={"class": "ch-medium-select"})
    )
    percent_off = _number("Percent off", max_value=Decimal(100))
    unit_amount = _number("Amount")
    quantity = _number("Quantity", max_digits=21, decimal_places=6)
    first_day = DayField(label="From", required=False, widget=DayInput())
    until = DayField(label="Until", required=False, widget=DayInput())

    def __init__(self, *args: Any, content: Content, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.items = {str(item.price.list_id): item for item in content.items}
        field: Any = self.fields["charge"]
        field.choices = [(ALL, "All prices"), *((key, item.price.label) for key, item in self.items.items())]

    @property
    def is_blank(self) -> bool:
        names = ("percent_off", "unit_amount", "quantity", "first_day", "until")
        return all(self.cleaned_data.get(name) is None for name in names)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors or self.is_blank:
            return cleaned
        item = self.items.get(cleaned["charge"])
        changes = [name for name in ("percent_off", "unit_amount", "quantity") if cleaned.get(name) is not None]
        if not changes:
            self.add_error("percent_off", "Enter percent off, an amount or a quantity.")
        if {"percent_off", "unit_amount"} <= set(changes):
            self.add_error("unit_amount", "Enter either percent off or an amount.")
        if not cleaned.get("first_day"):
            self.add_error("first_day", "Enter a day.")
        if item is None and changes and changes != ["percent_off"]:
            self.add_error("charge", "Choose the price that gets an amount or a quantity.")
        if item is not None and cleaned.get("unit_amount") is not None and item.price.unit_amount is None:
            self.add_error("unit_amount", "This price has no amount of its own. Enter percent off.")
        if item is not None and cleaned.get("quantity") is not None and item.price.kind != PriceKind.FIXED:
            self.add_error("quantity", "Only a recurring fee has a quantity.")
        return cleaned

    def phase(self, subscription: Subscription) -> TermsPhase:
        """Return the row's phase. Days start in the subscription's time zone, and not before its start."""
        data, zone = self.cleaned_data, subscription.timezone
        until: datetime | None = local_midnight(data["until"], zone) if data["until"] else None
        return TermsPhase(self._edits(), max(local_midnight(data["first_day"], zone), subscription.started_at), until)

    def _edits(self) -> list[TermsEdit]:
        data, item = self.cleaned_data, self.items.get(self.cleaned_data["charge"])
        edits: list[TermsEdit] = []
        if data["percent_off"] is not None:
            items = list(self.items.values()) if item is None else [item]
            edits += [_reduce(reduced, data["percent_off"]) for reduced in items]
        if item is not None and data["unit_amount"] is not None:
            edits.append(PriceEdit(item.price, {"unit_amount": data["unit_amount"]}))
        if item is not None and data["quantity"] is not None:
            edits.append(QuantityEdit(item.price, data["quantity"]))
        return edits


def _reduce(item: PriceItem, percent: Decimal) -> PriceEdit:
    """Return the price with all its amounts reduced, to twelve decimals."""

    def less(amount: Decimal) -> Decimal:
        with exact():
            return round_to(amount * (100 - percent) / 100, 12)

    names = ("unit_amount", "rate_percent", "fixed_amount_per_event")
    columns = {name: less(amount) for name in names if (amount := getattr(item.price, name)) is not None}
    tiers = [
        Tier(tier.up_to, less(tier.unit_amount), less(tier.flat_amount), less(tier.rate_percent)) for tier in item.tiers
    ]
    return PriceEdit(item.price, columns, tiers or None)


PhaseFormSet = forms.formset_factory(PhaseRow, extra=ROWS, max_num=50, absolute_max=50)


class PhasesForm(forms.Form):
    """Why the phases are agreed."""

    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Recorded with your name and the time, such as the order's number.",
    )


def phases_of(rows: Sequence[PhaseRow], subscription: Subscription) -> list[TermsPhase]:
    """Return the phases of valid rows that aren't blank."""
    return [row.phase(subscription) for row in rows if not row.is_blank]
