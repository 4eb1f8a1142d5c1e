"""API views that change a subscription's line items: the prices it pays, agreed instead of the plan's."""

from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.agreed import PriceRemoval, TermsEdit
from catalog.api.bodies.agreed import AddedLineItemIn, AgreedPriceFields, price_edits
from catalog.api.prices import RULES_OF_FIELDS
from catalog.models import Price
from config.api.errors import invalid
from config.api.fields import MomentField, TextField
from config.api.openapi import operation
from config.api.unknown_names import Unused
from config.api.views import ApiView, get_or_404, read_body
from customers.api.agreed_terms import added_edits, terms_of
from customers.api.bodies import own_proration
from customers.api.serializers.subscriptions import LineItemOut, SubscribedPrice, items_at
from customers.api.subscriptions import REASON, TAG, WRITE, check_proration, subscription_of
from customers.kinds import ChangeInvoicing
from customers.models import Subscription, SubscriptionPhase
from customers.subscriptions import agree_terms, get_phase_at

NO_METADATA = Unused("A line item has no metadata. Use the subscription's metadata, or reason.")


class WhenFields(serializers.Serializer[Any]):
    """From when on and until when terms are agreed."""

    end_date = MomentField(required=False, allow_null=True, help_text="Afterwards, the terms before apply again.")
    invoicing = serializers.ChoiceField(
        ChangeInvoicing.choices,
        default=ChangeInvoicing.IMMEDIATE,
        help_text="When the difference of fees in advance is invoiced. A credit always goes on the next invoice.",
    )
    proration_behavior = own_proration()
    reason = TextField(255, allow_null=True, help_text="Required to change the past.")


class LineItemChange(AgreedPriceFields, WhenFields):
    """What is agreed from `effective_from` on, now by default. Fields that are left out stay as they are."""

    unused: ClassVar[dict[str, Unused]] = AgreedPriceFields.unused | {"metadata": NO_METADATA}

    effective_from = MomentField(required=False, allow_null=True)


class LineItemRemoval(WhenFields):
    """The price isn't charged from `effective_from` on, now by default."""

    effective_from = MomentField(required=False, allow_null=True)


class LineItemIn(AddedLineItemIn, WhenFields):
    """A price that the subscription pays in addition: a new one, or one of its plan that it doesn't pay."""

    unused: ClassVar[dict[str, Unused]] = {
        name: reason for name, reason in AddedLineItemIn.unused.items() if name not in ("start_date", "end_date")
    }

    start_date = MomentField(required=False, allow_null=True, help_text="Defaults to now.")


def find_line_item(line_item_id: str, at: datetime) -> tuple[Subscription, Price]:
    """Return the subscription and the price of a line item, which can be charged at any time. 404 if there is none."""
    subscription_id, _, price_id = line_item_id.partition(":")
    subscription = subscription_of(subscription_id)
    prices = Price.objects.select_related("feature", "version__plan", "listed__version__plan")
    price = get_or_404(prices, "line item", public_id=price_id)
    phase = phase_at(subscription, at)
    if price.offer.is_addon:
        raise invalid({"id": [f"{price.label} is charged for an add-on. Add or remove the add-on."]})
    if price.version.plan_id != phase.plan_version.plan_id:
        raise invalid({"id": [f"The line item isn't one of {phase.plan_version}, which is in force at that time."]})
    return subscription, price


def phase_at(subscription: Subscription, at: datetime) -> SubscriptionPhase:
    """Return the phase in force at a moment, the first one before the start. 400 once the subscription has ended."""
    phase = get_phase_at(subscription, max(at, subscription.started_at))
    if phase is None:
        raise invalid({"effective_from": ["The subscription has ended by then."]})
    return phase


def change_terms(subscription: Subscription, edits: list[TermsEdit], body: dict[str, Any], at: datetime) -> None:
    """Agree the terms of a request, from a moment on."""
    check_proration(subscription, body)
    now = timezone.now()
    if at < now and body.get("effective_from", body.get("start_date")) and not body.get("reason"):
        raise invalid({"reason": ["A reason is required to change terms in the past."]})
    agree_terms(
        subscription,
        edits,
        at=max(at, subscription.started_at),
        until=body.get("end_date"),
        now=now,
        by=None,
        reason=body.get("reason") or REASON,
        invoicing=ChangeInvoicing(body["invoicing"]),
    )


def _item_of(subscription: Subscription, price: Price, at: datetime) -> SubscribedPrice | None:
    items = items_at(subscription, phase_at(subscription, at))
    return next((item for item in items if item.price.list_id == price.list_id), None)


class OneLineItem(ApiView):
    """Agree another price or quantity of a line item, or remove it, from a moment on. The plan doesn't change."""

    write_scope = WRITE

    @operation(
        "updateSubscriptionLineItem",
        "Agree another price or quantity",
        refusals=f"{RULES_OF_FIELDS} `quantity` must be one that the price allows. `reason` is required if "
        "`effective_from` is in the past.",
        tag=TAG,
        body=LineItemChange,
        answers={200: LineItemOut},
        may_wait=True,
        errors=(400, 404),
        example={"quantity": "25", "effective_from": "2026-12-01T00:00:00Z"},
        description="The line item keeps its list price in `price.parent_price_id`. Its `id` is another from then on, "
        "because its price is.",
    )
    def put(self, request: Request, line_item_id: str) -> Response:
        body = read_body(request, LineItemChange)
        at = body.get("effective_from") or timezone.now()
        subscription, price = find_line_item(line_item_id, at)
        edits = price_edits(price, body)
        if not edits:
            raise invalid({"amount": ["Specify what changes: amount, tiers, quantity or a limit."]})
        change_terms(subscription, edits, body, at)
        return Response(LineItemOut(_item_of(subscription, price, at)).data)

    @operation(
        "deleteSubscriptionLineItem",
        "Stop charging a line item",
        refusals="`reason` is required if `effective_from` is in the past.",
        tag=TAG,
        body=LineItemRemoval,
        answers={200: LineItemOut},
        may_wait=True,
        errors=(400, 404),
        example={"effective_from": "2026-12-01T00:00:00Z"},
        description="The answer is the line item as it was until then.",
    )
    def delete(self, request: Request, line_item_id: str) -> Response:
        body = read_body(request, LineItemRemoval)
        at = body.get("effective_from") or timezone.now()
        subscription, price = find_line_item(line_item_id, at)
        item = _item_of(subscription, price, at)
        change_terms(subscription, [PriceRemoval(price)], body, at)
        return Response(LineItemOut(item).data)


class LineItems(ApiView):
    """Add a price to a subscription, from a moment on."""

    write_scope = WRITE

    @operation(
        "createSubscriptionLineItem",
        "Add a price to a subscription",
        refusals="Specify either `price` or `price_id`. The rules of `price` are those of a new price; `meter_id` must "
        "exist. Specify either `commitment_amount` or `commitment_quantity`, as `commitment_type` says. "
        "`reason` is required if `start_date` is in the past.",
        tag=TAG,
        body=LineItemIn,
        answers={201: LineItemOut},
        may_wait=True,
        errors=(400, 404),
        example={
            "price": {
                "type": "FIXED",
                "billing_model": "FLAT_FEE",
                "billing_period": "MONTHLY",
                "invoice_cadence": "ADVANCE",
                "price_unit_type": "FIAT",
                "amount": "250",
                "display_name": "Dedicated support",
            }
        },
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body = subscription_of(subscription_id), read_body(request, LineItemIn)
        at = body.get("start_date") or timezone.now()
        phase = phase_at(subscription, at)
        edits = added_edits(phase.plan_version.terms, terms_of(subscription), body)
        change_terms(subscription, edits, body, at)
        items = items_at(subscription, phase_at(subscription, at))
        added = max(items, key=lambda item: item.price.pk)
        if body.get("price_id"):
            added = next(item for item in items if body["price_id"] in (item.price.public_id, item.list_price_id))
        return Response(LineItemOut(added).data, status=201)
