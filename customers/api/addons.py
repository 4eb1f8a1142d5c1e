"""API views for the add-ons of subscriptions: add one, remove one, and list them."""

from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.addons import addon_of
from catalog.api.serializers.plans import AddonOut
from config.api.contract import ContractRecord
from config.api.errors import invalid
from config.api.fields import ConstantField, ConstantText, MetadataField, MomentField, TextField
from config.api.openapi import Message, listed, operation
from config.api.unknown_names import Unused
from config.api.views import ApiView, get_or_404, read_body
from customers.api.agreed_terms import addon_edits
from customers.api.bodies import PERIOD_END, AddonToAddIn, change_at, own_proration
from customers.api.subscriptions import REASON, TAG, WRITE, check_proration, subscription_of
from customers.kinds import ChangeInvoicing
from customers.models import AddonStatus, Subscription, SubscriptionAddon
from customers.subscriptions import add_addon, get_period_end, remove_addon


class SubscriptionAddonIn(AddonToAddIn):
    """An add-on to add to a subscription."""

    unused: ClassVar[dict[str, Unused]] = AddonToAddIn.unused | {
        "checkout": Unused("There is no checkout. Record payments with POST /v1/payments.")
    }

    subscription_id = serializers.CharField(max_length=64)
    invoicing = serializers.ChoiceField(ChangeInvoicing.choices, default=ChangeInvoicing.IMMEDIATE)
    reason = TextField(255, allow_null=True, help_text="Required to change the past.")


class AddonRemovalIn(serializers.Serializer[Any]):
    """An add-on to remove. Its fees in advance are credited by the day on the next invoice."""

    addon_association_id = serializers.CharField(max_length=64)
    change_at = change_at()
    effective_date = MomentField(required=False, allow_null=True, help_text="Defaults to now.")
    proration_behavior = own_proration()
    reason = TextField(255, allow_null=True, help_text="Required to change the past.")

    def validate(self, attrs: Any) -> Any:
        if attrs.get("effective_date") and attrs.get("change_at"):
            raise serializers.ValidationError({"effective_date": "Specify either effective_date or change_at."})
        return attrs


class AddonAssociationOut(ContractRecord):
    """An add-on that a subscription has for a time."""

    nulls: ClassVar[tuple[str, ...]] = ("synced_price_sequence", "subscription")

    id = serializers.CharField(source="public_id")
    addon_id = serializers.CharField(source="version.plan.public_id")
    addon = serializers.SerializerMethodField()
    addon_version = serializers.IntegerField(source="version.number")
    addon_status = serializers.SerializerMethodField()
    entity_type = ConstantText("subscription")
    entity_id = serializers.CharField(source="subscription.public_id")
    start_date = serializers.DateTimeField(source="starts_at")
    end_date = serializers.DateTimeField(source="ends_at", allow_null=True)
    cancelled_at = serializers.DateTimeField(source="removed_at", allow_null=True)
    cancellation_reason = serializers.SerializerMethodField()
    metadata = MetadataField()
    status = ConstantField("published")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    @extend_schema_field(AddonOut())
    def get_addon(self, row: SubscriptionAddon) -> Any:
        return AddonOut(row.version.plan).data

    @extend_schema_field(serializers.ChoiceField([status.value for status in AddonStatus]))
    def get_addon_status(self, row: SubscriptionAddon) -> str:
        return row.status_at(timezone.now()).value

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_cancellation_reason(self, row: SubscriptionAddon) -> str | None:
        return row.reason if row.removed_at is not None else None


def addons_of(subscription: Subscription) -> QuerySet[SubscriptionAddon]:
    """Return the add-ons that a subscription has, will have and had, with what `AddonAssociationOut` shows."""
    return associations().filter(subscription=subscription)


def associations() -> QuerySet[SubscriptionAddon]:
    rows = SubscriptionAddon.objects.select_related("subscription", "version__plan")
    return rows.prefetch_related("version__plan__compatible_plans").order_by("starts_at", "pk")


def add_from_body(subscription: Subscription, body: dict[str, Any], *, now: datetime) -> SubscriptionAddon:
    """Add the add-on of a body to a subscription."""
    at = _moment(subscription, body, "start_date", now)
    addon = addon_of(body["addon_id"])
    return add_addon(
        subscription,
        addon,
        at=max(at, subscription.started_at),
        until=body.get("end_date"),
        metadata=body.get("metadata"),
        now=now,
        by=None,
        reason=body.get("reason") or REASON,
        invoicing=ChangeInvoicing(body.get("invoicing") or ChangeInvoicing.IMMEDIATE),
        edits=addon_edits(body, addon, now=now),
    )


def remove_from_body(row: SubscriptionAddon, body: dict[str, Any], *, now: datetime) -> SubscriptionAddon:
    """Remove an add-on as a body says."""
    at = _moment(row.subscription, body, "effective_date", now)
    return remove_addon(row, at=at, now=now, by=None, reason=body.get("reason") or REASON)


def _moment(subscription: Subscription, body: dict[str, Any], name: str, now: datetime) -> datetime:
    check_proration(subscription, body)
    at: datetime = body.get(name) or now
    if at < now and not body.get("reason"):
        raise invalid({"reason": ["A reason is required to change add-ons in the past."]})
    return get_period_end(subscription, now) if body.get("change_at") == PERIOD_END else at


class AddedAddonOut(AddonAssociationOut):
    """The add-on that was added. What it charges at once is on the subscription's newest invoice."""

    nulls: ClassVar[tuple[str, ...]] = (*AddonAssociationOut.nulls, "checkout_session", "invoice")


class SubscriptionAddons(ApiView):
    """Add an add-on to a subscription, or remove one."""

    write_scope = WRITE

    @operation(
        "addSubscriptionAddon",
        "Add an add-on to a subscription",
        refusals="Specify either `start_date` or `change_at`; `end_date` can't be before the start. `reason` is "
        "required if `start_date` is in the past. The add-on needs prices in the subscription's currency and billing "
        "period, must be compatible with its plan, and its `maximum` isn't exceeded. `override_line_items` and "
        "`line_item_commitments` name prices of the add-on; a commitment has either a `commitment_amount` or a "
        "`commitment_quantity`, as its `commitment_type` says.",
        tag=TAG,
        body=SubscriptionAddonIn,
        answers={200: AddedAddonOut},
        errors=(400, 404),
        example={"subscription_id": "subs_1", "addon_id": "addon_1"},
        description="What it costs until the end of the billing period is invoiced when it starts, or with the next "
        "invoice with `invoicing` next_invoice. Preview it with `modify/preview`.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, SubscriptionAddonIn)
        row = add_from_body(subscription_of(body["subscription_id"]), body, now=timezone.now())
        return Response(AddedAddonOut(associations().get(pk=row.pk)).data)

    @operation(
        "removeSubscriptionAddon",
        "Remove an add-on from a subscription",
        refusals="`addon_association_id` is required in the JSON body. Specify either `effective_date` or `change_at`. "
        "`reason` is required if `effective_date` is in the past.",
        tag=TAG,
        body=AddonRemovalIn,
        answers={200: Message},
        errors=(400, 404),
        example={"addon_association_id": "subaddon_1", "change_at": "end_of_period"},
        description="The body is JSON with `addon_association_id`, and `effective_date` or `change_at` if it isn't "
        "removed now.",
    )
    def delete(self, request: Request) -> Response:
        body = read_body(request, AddonRemovalIn)
        row = get_or_404(associations(), "add-on of a subscription", public_id=body["addon_association_id"])
        remove_from_body(row, body, now=timezone.now())
        return Response({"message": "Add-on removed"})


class AddonAssociations(ApiView):
    """List the add-ons that a subscription has, will have and had."""

    @operation(
        "getSubscriptionAddonAssociations",
        "List a subscription's add-ons",
        tag=TAG,
        errors=(404,),
        answers={200: listed("AddonAssociationList", AddonAssociationOut)},
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        rows = list(addons_of(subscription_of(subscription_id)))
        pagination = {"total": len(rows), "limit": max(len(rows), 1), "offset": 0}
        return Response({"items": AddonAssociationOut(rows, many=True).data, "pagination": pagination})
