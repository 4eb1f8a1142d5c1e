"""The form that agrees terms with a subscription: a row for each price, with what differs from the list."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from catalog.agreed import FreeTierEdit, PriceAddition, PriceEdit, PriceRemoval, QuantityEdit, TermsEdit
from catalog.agreed.content import Content, PriceItem, sort_tiers
from catalog.drafting import Tier
from catalog.models import Entitlement, Feature, Price
from catalog.models.prices import Cadence, PriceKind, PriceModel
from catalog.wording import describe_free_tier, describe_price
from config.inputs import DayField, NumberField, is_number
from config.numbers import number
from config.office.dialogs import DayInput
from customers.admin.subscriptions.change_forms import DATE, MOMENTS, NOW
from customers.kinds import ChangeInvoicing
from customers.models import Subscription

FEE_MODELS = {PriceModel.FLAT, PriceModel.PER_UNIT}
MODELS = [
    (PriceModel.PER_UNIT.value, "Per unit"),
    (PriceModel.FLAT.value, "Flat"),
    (PriceModel.GRADUATED.value, "Graduated tiers"),
    (PriceModel.VOLUME.value, "Volume tiers"),
]
EDITABLE = {model for model, _ in MODELS}
TIERED = (PriceModel.GRADUATED, PriceModel.VOLUME)
UNLIMITED = "unlimited"
TIERS_HELP = "One tier a line: 1000: 0.08. Leave the last limit blank: : 0.05"
INCLUDED_HELP = f"Free units, or “{UNLIMITED}”."


def _text(**attrs: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs=attrs)


def _number(label: str, **attrs: str) -> NumberField:
    widget = _text(inputmode="decimal", **attrs)
    return NumberField(
        label=label, required=False, widget=widget, max_digits=30, decimal_places=12, min_value=Decimal(0)
    )


class TermsForm(forms.Form):
    """From when on and until when the terms apply, and why."""

    when = forms.ChoiceField(
        label="Apply from", choices=MOMENTS, initial=NOW, widget=UnfoldAdminRadioSelectWidget(choices=MOMENTS)
    )
    day = DayField(label="Date", required=False, widget=DayInput(), help_text="Only for “On a date”.")
    until = DayField(
        label="Until", required=False, widget=DayInput(), help_text="Leave blank for no end. The day isn't included."
    )
    invoicing = forms.TypedChoiceField(
        label="Invoice the difference",
        choices=ChangeInvoicing.choices,
        coerce=ChangeInvoicing,
        initial=ChangeInvoicing.IMMEDIATE,
        widget=UnfoldAdminRadioSelectWidget(choices=ChangeInvoicing.choices),
        help_text="Of fees in advance, when the terms take effect.",
    )
    reason = forms.CharField(
        max_length=255, widget=_text(), help_text="Recorded with your name and the time, such as the order's number."
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("when") == DATE and not cleaned.get("day") and "day" not in self.errors:
            self.add_error("day", "Enter a date.")
        return cleaned


class PriceRow(forms.Form):
    """One price: whether it is charged, and its terms. What is left as it is isn't changed."""

    is_charged = forms.BooleanField(label="Charged", required=False, widget=UnfoldBooleanSwitchWidget())
    model = forms.ChoiceField(label="Pricing model", required=False, choices=MODELS, widget=UnfoldAdminSelectWidget())
    unit_amount = _number("Amount")
    tiers = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), help_text=TIERS_HELP, max_length=2000
    )
    quantity = _number("Quantity")
    minimum_amount = _number("Minimum a period")
    minimum_quantity = _number("Or a minimum quantity")
    included = forms.CharField(label="Included", required=False, max_length=40, widget=_text(), help_text=INCLUDED_HELP)

    def __init__(self, data: Any, *, prefix: str, item: PriceItem, content: Content) -> None:
        self.item, self.price = item, item.price
        self.feature = item.price.feature
        self.free_tier = content.free_tiers.get(item.price.feature_id or 0)
        self.was_charged = content.find(item.price.list_id) is not None
        listed = content.listed.get(item.price.list_id)
        self.list_words = describe_price(listed.price) if listed else "Not in the list"
        self.agreed_words = describe_price(item.price) if listed is not item and self.was_charged else ""
        self.included_words = describe_free_tier(self.free_tier) if self.free_tier and self.feature else ""
        super().__init__(data, prefix=prefix, initial=self._initial())
        self._drop_fields()

    def _initial(self) -> dict[str, Any]:
        price = self.price
        return {
            "is_charged": self.was_charged,
            "model": price.model,
            "unit_amount": _plain(price.unit_amount),
            "quantity": _plain(price.quantity),
            "minimum_amount": _plain(price.minimum_amount),
            "minimum_quantity": _plain(price.minimum_quantity),
            "tiers": write_tiers(self.item.tiers),
            "included": _write_included(self.free_tier),
        }

    def _drop_fields(self) -> None:
        """Keep the fields that the kind and the model of the price use."""
        unused = (
            {"model", "tiers", "minimum_amount", "minimum_quantity", "included"}
            if self.price.kind == PriceKind.FIXED
            else {"quantity"}
        )
        if self.price.model not in EDITABLE:
            unused |= {"model", "tiers"} | (set() if self.price.model == PriceModel.PACKAGE else {"unit_amount"})
        for name in unused:
            del self.fields[name]

    def clean_tiers(self) -> list[Tier]:
        return read_tiers(self.cleaned_data["tiers"])

    def clean_included(self) -> str:
        text = str(self.cleaned_data["included"]).strip().lower().replace(",", "")
        if text and text != UNLIMITED and not (is_number(text) and Decimal(text) >= 0):
            raise ValidationError(f"Enter a number, or “{UNLIMITED}”.")
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        model = cleaned.get("model") or self.price.model
        if model in TIERED and not cleaned.get("tiers") and "tiers" in self.fields and "tiers" not in self.errors:
            self.add_error("tiers", "Enter the tiers.")
        needs_amount = model not in TIERED and cleaned.get("is_charged") and "unit_amount" in self.fields
        if needs_amount and cleaned.get("unit_amount") is None and "unit_amount" not in self.errors:
            self.add_error("unit_amount", "Enter an amount.")
        return cleaned

    def edits(self) -> list[TermsEdit]:
        """Return what the row changes."""
        data = self.cleaned_data
        edits: list[TermsEdit] = []
        if not data["is_charged"]:
            return [PriceRemoval(self.price)] if self.was_charged else []
        columns = self._changed_columns()
        tiers = data.get("tiers")
        model = data.get("model") or self.price.model
        has_new_tiers = model in TIERED and tiers is not None and sort_tiers(tiers) != sort_tiers(self.item.tiers)
        if columns or has_new_tiers or not self.was_charged:
            edits.append(PriceEdit(self.price, columns, tiers if model in TIERED else None))
        quantity = data.get("quantity")
        if quantity is not None and quantity != self.price.quantity:
            edits.append(QuantityEdit(self.price, quantity))
        if self.feature is not None and data.get("included", "") != _write_included(self.free_tier):
            edits.append(FreeTierEdit(self.feature, _read_included(data["included"])))
        return edits

    def _changed_columns(self) -> dict[str, Any]:
        data = self.cleaned_data
        columns: dict[str, Any] = {}
        model = data.get("model") or self.price.model
        if model != self.price.model:
            columns["model"] = model
        if "unit_amount" in self.fields and model not in TIERED and data["unit_amount"] != self.price.unit_amount:
            columns["unit_amount"] = data["unit_amount"]
        for name in ("minimum_amount", "minimum_quantity"):
            if name in self.fields and data[name] != getattr(self.price, name):
                columns[name] = data[name]
        return columns


class AddedRow(forms.Form):
    """A charge that isn't in the plan: a fee, or a feature's usage. Left blank, nothing is added."""

    name = forms.CharField(required=False, max_length=255, widget=_text())
    feature = forms.ModelChoiceField(
        queryset=Feature.objects.none(),
        required=False,
        empty_label="Recurring fee",
        widget=UnfoldAdminSelectWidget(),
    )
    unit_amount = _number("Amount")
    quantity = _number("Quantity", placeholder="1")
    cadence = forms.ChoiceField(
        label="Fee invoiced",
        choices=Cadence.choices,
        initial=Cadence.ADVANCE,
        required=False,
        widget=UnfoldAdminSelectWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        features: Any = self.fields["feature"]
        features.queryset = Feature.objects.metered().filter(state="active").order_by("name")

    @property
    def is_blank(self) -> bool:
        data = getattr(self, "cleaned_data", {})
        return not data.get("name") and not data.get("feature") and data.get("unit_amount") is None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.is_blank or self.errors:
            return cleaned
        if cleaned.get("unit_amount") is None:
            self.add_error("unit_amount", "Enter an amount.")
        if not cleaned.get("name") and not cleaned.get("feature"):
            self.add_error("name", "Enter the name that the invoice shows.")
        return cleaned

    def edits(self, subscription: Subscription) -> list[TermsEdit]:
        if self.is_blank:
            return []
        data = self.cleaned_data
        is_usage = data["feature"] is not None
        columns = {
            "kind": PriceKind.USAGE if is_usage else PriceKind.FIXED,
            "feature": data["feature"],
            "name": data["name"],
            "currency": subscription.currency,
            "interval": subscription.interval,
            "interval_count": subscription.interval_count,
            "cadence": Cadence.ARREARS if is_usage else data["cadence"] or Cadence.ADVANCE,
            "model": PriceModel.PER_UNIT,
            "unit_amount": data["unit_amount"],
            "quantity": Decimal(1) if is_usage or data["quantity"] is None else data["quantity"],
        }
        return [PriceAddition(columns)]


def make_rows(content: Content, subscription: Subscription, data: Any = None) -> list[PriceRow]:
    """Make a row for each price in force, and for each list price that isn't charged."""
    terms = (subscription.currency, subscription.interval, subscription.interval_count)
    charged = {item.price.list_id for item in content.items}
    removed = [item for pk, item in content.listed.items() if pk not in charged]
    items = [item for item in [*content.items, *removed] if _terms_of(item.price) == terms]
    items.sort(key=lambda item: (item.price.position, item.price.list_id))
    return [PriceRow(data, prefix=f"price-{item.price.list_id}", item=item, content=content) for item in items]


def read_edits_of(rows: Sequence[PriceRow], added: AddedRow, subscription: Subscription) -> list[TermsEdit]:
    """Return what valid rows change."""
    return [edit for row in rows for edit in row.edits()] + added.edits(subscription)


def write_tiers(tiers: Sequence[Tier]) -> str:
    return "\n".join(
        f"{'' if tier.up_to is None else _plain(tier.up_to)}: {_plain(tier.unit_amount)}"
        + (f" + {_plain(tier.flat_amount)}" if tier.flat_amount else "")
        for tier in sort_tiers(tiers)
    )


def read_tiers(text: str) -> list[Tier]:
    """Read tiers, one a line: `1000: 0.08`, `: 0.05 + 10` for a last tier with a flat amount."""
    tiers = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        bound, colon, amounts = line.partition(":")
        amount, _, flat = amounts.partition("+")
        parts = [part.strip() for part in (bound, amount, flat)]
        if not colon or not is_number(parts[1]) or not all(is_number(part) for part in (parts[0], parts[2]) if part):
            raise ValidationError(f"“{line}” isn't a tier. Write 1000: 0.08, and : 0.05 for the last one.")
        tiers.append(Tier(Decimal(parts[0]) if parts[0] else None, Decimal(parts[1]), Decimal(parts[2] or 0)))
    return tiers


def _terms_of(price: Price) -> tuple[str, str, int]:
    return price.currency, price.interval, price.interval_count


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else number(amount).replace(",", "")


def _write_included(free_tier: Entitlement | None) -> str:
    if free_tier is None or not free_tier.is_enabled:
        return ""
    return UNLIMITED if free_tier.free_units is None else _plain(free_tier.free_units) or "0"


def _read_included(text: str) -> dict[str, Any]:
    units = None if text == UNLIMITED else Decimal(text or 0)
    return {"free_units": units, "is_enabled": True}
