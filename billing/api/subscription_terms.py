"""Quantities and amounts of a subscription's line items, changed together or previewed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from rest_framework import serializers

from billing.api.serializers.invoices import InvoiceOut, invoices
from billing.api.serializers.usage import FullPeriod, InvoicedAtOnce, NextInvoice
from billing.invoicing.previews import ChangePreview
from billing.kinds import InvoiceKind
from billing.money import money
from catalog.agreed import PriceEdit, QuantityEdit, TermsEdit
from catalog.api.bodies.prices import AmountIn, QuantityIn
from catalog.models import Price
from config.api.contract import ContractAnswer
from config.api.errors import invalid
from config.api.fields import ConstantField, MomentField, TextField
from config.api.unknown_names import Unused
from config.api.views import get_or_404
from customers.api.addons import AddonRemovalIn, add_from_body, addons_of, remove_from_body
from customers.api.bodies import AddonToAddIn
from customers.api.line_items import find_line_item
from customers.api.serializers.subscriptions import SubscribedPrice, items_at
from customers.api.subscriptions import REASON
from customers.kinds import ChangeInvoicing
from customers.models import AddonStatus, Subscription, SubscriptionAddon
from customers.subscriptions import agree_terms, get_phase_at

Invalid = serializers.ValidationError
MOST_ITEMS = 100


class QuantityChangeIn(serializers.Serializer[Any]):
    """How many times a fee is charged from a date on, now by default."""

    id = serializers.CharField(max_length=128, help_text="The line item's id.")
    quantity = QuantityIn()
    effective_date = MomentField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if attrs.get("quantity") is None:
            raise Invalid({"quantity": "This field is required."})
        return attrs


class LineItemChangeIn(serializers.Serializer[Any]):
    """The amount and quantity of a line item from a date on, now by default."""

    unused: ClassVar[dict[str, Unused]] = {"coupons": Unused("The coupon's scope determines what it discounts.")}

    id = serializers.CharField(max_length=128, help_text="The line item's id.")
    amount = AmountIn(required=False, allow_null=True)
    quantity = QuantityIn()
    effective_date = MomentField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if attrs.get("quantity") is None and attrs.get("amount") is None:
            raise Invalid({"quantity": "Specify the quantity or the amount."})
        return attrs


class TermsParams(serializers.Serializer[Any]):
    """When the difference of fees in advance is invoiced, and why the terms change."""

    invoicing = serializers.ChoiceField(ChangeInvoicing.choices, default=ChangeInvoicing.IMMEDIATE)
    reason = TextField(255, allow_null=True, help_text="Required to change the past.")


class QuantityChangeParams(TermsParams):
    line_items = serializers.ListField(child=QuantityChangeIn(), min_length=1, max_length=MOST_ITEMS)


class AddonParams(serializers.Serializer[Any]):
    """The add-on to add, or to remove."""

    action = serializers.ChoiceField(["add", "remove"])
    add = AddonToAddIn(required=False, allow_null=True)
    remove = AddonRemovalIn(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if not attrs.get(attrs["action"]):
            raise Invalid({attrs["action"]: "This field is required."})
        return {attrs["action"]: attrs[attrs["action"]]}


class AddonBulkParams(serializers.Serializer[Any]):
    """The add-ons to remove and to add. All are changed, or none."""

    adds = serializers.ListField(child=AddonToAddIn(), required=False, allow_null=True, max_length=MOST_ITEMS)
    removes = serializers.ListField(child=AddonRemovalIn(), required=False, allow_null=True, max_length=MOST_ITEMS)


class LineItemChangeParams(TermsParams):
    line_items = serializers.ListField(child=LineItemChangeIn(), min_length=1, max_length=MOST_ITEMS)


@dataclass(slots=True)
class ChangedTerms:
    """What a change of line items did: the items before and after, with their dates, and the invoices it made."""

    ended: list[SubscribedPrice] = field(default_factory=list)
    created: list[SubscribedPrice] = field(default_factory=list)
    moments: dict[int, datetime] = field(default_factory=dict)
    addons: list[tuple[str, SubscriptionAddon]] = field(default_factory=list)


def change_line_items(subscription: Subscription, params: dict[str, Any], name: str, *, now: datetime) -> ChangedTerms:
    """Change the line items of a request, one after another. 400 or 404 for what can't be changed."""
    changed = ChangedTerms()
    for index, row in enumerate(params["line_items"]):
        at = row.get("effective_date") or now
        if at < now and not params.get("reason"):
            raise invalid({f"{name}.reason": ["A reason is required to change terms in the past."]})
        owner, price = find_line_item(row["id"], at)
        if owner != subscription:
            raise invalid({f"{name}.line_items[{index}].id": ["It is a line item of another subscription."]})
        before = _item(subscription, price, at)
        agree_terms(
            subscription,
            _edits(price, row),
            at=at,
            now=now,
            by=None,
            reason=params.get("reason") or REASON,
            invoicing=ChangeInvoicing(params["invoicing"]),
        )
        after = _item(subscription, price, at)
        if before is not None and after is not None and before.price != after.price:
            changed.ended.append(before)
            changed.created.append(after)
            changed.moments[before.price.pk] = at
    return changed


def modify_addons(subscription: Subscription, body: dict[str, Any], *, now: datetime) -> ChangedTerms:
    """Remove and add the add-ons of a request, one after another."""
    single, bulk = body.get("addon_params") or {}, body.get("addon_bulk_params") or {}
    changed = ChangedTerms()
    for removal in [*filter(None, [single.get("remove")]), *(bulk.get("removes") or [])]:
        row = get_or_404(
            addons_of(subscription), "add-on of this subscription", public_id=removal["addon_association_id"]
        )
        changed.addons.append(("ended", remove_from_body(row, removal, now=now)))
    for addition in [*filter(None, [single.get("add")]), *(bulk.get("adds") or [])]:
        changed.addons.append(("created", add_from_body(subscription, addition, now=now)))
    return changed


def _edits(price: Price, row: dict[str, Any]) -> list[TermsEdit]:
    edits: list[TermsEdit] = []
    if row.get("amount") is not None:
        if price.unit_amount is None:
            raise invalid({"amount": [f"{price.label} has no amount of its own. Change the line item with its tiers."]})
        edits.append(PriceEdit(price, {"unit_amount": row["amount"]}))
    if row.get("quantity") is not None:
        edits.append(QuantityEdit(price, row["quantity"]))
    return edits


def _item(subscription: Subscription, price: Price, at: datetime) -> SubscribedPrice | None:
    phase = get_phase_at(subscription, at)
    items: Sequence[SubscribedPrice] = items_at(subscription, phase) if phase else ()
    return next((item for item in items if item.price.list_id == price.list_id), None)


class ChangedLineItemOut(serializers.Serializer[Any]):
    """A line item that ends or is created."""

    id = serializers.CharField()
    change_action = serializers.ChoiceField(["created", "ended"])
    price_id = serializers.CharField()
    quantity = serializers.CharField()
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField(allow_null=True)
    subscription_id = serializers.CharField()


class ChangedInvoiceOut(ContractAnswer):
    """An invoice that the change made."""

    nulls: ClassVar[tuple[str, ...]] = ("status", "wallet_transaction")

    id = serializers.CharField(source="public_id")
    action = ConstantField("created")
    invoice = InvoiceOut(source="*")


class ChangedAddonOut(serializers.Serializer[Any]):
    """An add-on that was added or removed."""

    id = serializers.CharField()
    addon_id = serializers.CharField()
    addon_status = serializers.ChoiceField([status.value for status in AddonStatus])
    change_action = serializers.ChoiceField(["created", "ended"])
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField(allow_null=True)
    subscription_id = serializers.CharField()


class ChangedResourcesOut(ContractAnswer):
    """What a change of line items did."""

    nulls: ClassVar[tuple[str, ...]] = ("subscriptions",)

    addon_associations = ChangedAddonOut(many=True)
    line_items = ChangedLineItemOut(many=True)
    invoices = ChangedInvoiceOut(many=True)


def changed_resources(subscription: Subscription, changed: ChangedTerms, *, now: datetime) -> Any:
    """Describe what a change of line items did."""
    made = invoices().filter(subscription=subscription, kind=InvoiceKind.CHANGE, computed_at=now)
    ended = [_describe(item, "ended", end=changed.moments[item.price.pk]) for item in changed.ended]
    created = [_describe(item, "created", end=item.phase.ends_at) for item in changed.created]
    addons = [_describe_addon(row, action, now) for action, row in changed.addons]
    return ChangedResourcesOut(
        {"line_items": ended + created, "addon_associations": addons, "invoices": list(made)}
    ).data


def _describe_addon(row: SubscriptionAddon, action: str, now: datetime) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "addon_id": row.version.plan.public_id,
        "addon_status": row.status_at(now).value,
        "change_action": action,
        "start_date": row.starts_at,
        "end_date": row.ends_at,
        "subscription_id": row.subscription.public_id,
    }


def _describe(item: SubscribedPrice, action: str, *, end: datetime | None) -> dict[str, Any]:
    return {
        "id": f"{item.subscription.public_id}:{item.price.public_id}",
        "change_action": action,
        "price_id": item.price.public_id,
        "quantity": f"{item.price.quantity.normalize():f}",
        "start_date": item.phase.starts_at,
        "end_date": end,
        "subscription_id": item.subscription.public_id,
    }


class EffectOut(serializers.Serializer[Any]):
    """What a change does to invoices."""

    immediate_invoice = InvoicedAtOnce(allow_null=True)
    upcoming_invoice = NextInvoice()
    full_period = FullPeriod(allow_null=True, help_text="`null` if no billing period is over yet since the start.")


def write_effect(effect: ChangePreview, currency: str) -> dict[str, Any]:
    """Write the effect of a change on invoices, as previews answer it."""
    immediate = {"total": money(effect.immediate, currency), "currency": currency} if effect.at_once else None
    upcoming = {
        "total": money(effect.later, currency),
        "difference": money(effect.difference, currency),
        "currency": currency,
    }
    return {
        "immediate_invoice": immediate,
        "upcoming_invoice": upcoming,
        "full_period": _write_period(effect, currency),
    }


def _write_period(effect: ChangePreview, currency: str) -> dict[str, Any] | None:
    before, after = effect.period_before, effect.period_after
    if before is None or after is None:
        return None
    return {
        "start": before.period.start,
        "end": before.period.end,
        "total_before": money(before.total, currency),
        "total_after": money(after.total, currency),
        "difference": money(effect.period_difference, currency),
        "currency": currency,
    }
