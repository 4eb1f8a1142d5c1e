"""API views for a subscription's coupons and taxes, those it starts with, and changes of them and of its line items."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.adjustments.coupons import apply_coupon, end_application
from billing.adjustments.tax_rates import assign, unassign
from billing.api.coupons import coupon_by_code, coupons_named
from billing.api.serializers.coupons import associations
from billing.api.serializers.taxes import assignments
from billing.api.serializers.usage import FullPeriod, InvoicedAtOnce, NextInvoice
from billing.api.subscription_terms import (
    AddonBulkParams,
    AddonParams,
    ChangedResourcesOut,
    ChangedTerms,
    EffectOut,
    LineItemChangeParams,
    QuantityChangeParams,
    change_line_items,
    changed_resources,
    modify_addons,
    write_effect,
)
from billing.api.taxes import rate_by_code, rate_of
from billing.invoicing.previews import preview_change
from billing.models import Coupon
from config.api.contract import ContractAnswer
from config.api.fields import MomentField, TextField
from config.api.openapi import operation
from config.api.unknown_names import Unused
from config.api.views import ApiView, get_or_404, read_body
from customers.api.serializers.subscriptions import SubscriptionOut
from customers.api.subscriptions import TAG, serialize_subscription, subscription_of
from customers.models import Customer, Subscription

REASON = "Through the API"
Invalid = serializers.ValidationError


def begin(subscription: Subscription, body: dict[str, Any], *, now: datetime) -> None:
    """Apply the coupons and taxes in a new subscription's body. Any that can't be applied refuses the whole request."""
    for coupon, starts_at, ends_at in _coupons_to_apply(body):
        # By default a coupon discounts the first invoice too, however far in the past the subscription starts.
        apply_coupon(
            coupon,
            subscription.customer,
            subscription=subscription,
            now=now,
            by=None,
            reason=REASON,
            starts_at=starts_at or min(now, subscription.started_at),
            ends_at=ends_at,
        )
    _assign_overrides(body, subscription=subscription)


def assign_taxes(customer: Customer, body: dict[str, Any]) -> None:
    """Assign the taxes in a new customer's body. One that can't be assigned refuses the whole request."""
    _assign_overrides(body, customer=customer)


def _assign_overrides(body: dict[str, Any], **owner: Any) -> None:
    for override in body.get("tax_rate_overrides") or []:
        assign(
            rate_by_code(override["tax_rate_code"]),
            by=None,
            currency=(override.get("currency") or "").upper(),
            position=override.get("priority"),
            reason=REASON,
            **owner,
        )


def _coupons_to_apply(body: dict[str, Any]) -> Iterator[tuple[Coupon, datetime | None, datetime | None]]:
    for coupon in coupons_named(body.get("coupons") or []):
        yield coupon, None, None
    for application in body.get("subscription_coupons") or []:
        coupon = coupon_by_code(application["coupon_code"])
        yield coupon, application.get("start_date"), application.get("end_date")


class CouponParams(serializers.Serializer[Any]):
    """The coupon to add, or the applied coupon to remove."""

    unused: ClassVar[dict[str, Unused]] = {
        "subscription_id": Unused("The subscription is the one in the path. Leave this field out."),
        "subscription_line_item_id": Unused("The coupon's scope determines what it discounts."),
    }

    action = serializers.ChoiceField(["add", "remove"])
    coupon_code = TextField(64, allow_null=True)
    coupon_association_id = TextField(64, allow_null=True)
    start_date = MomentField(required=False, allow_null=True)
    end_date = MomentField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        needed = "coupon_code" if attrs["action"] == "add" else "coupon_association_id"
        if not attrs.get(needed):
            raise Invalid({needed: "This field is required."})
        return attrs


class TaxParams(serializers.Serializer[Any]):
    """The tax to add, or the assigned tax to remove."""

    unused: ClassVar[dict[str, Unused]] = {
        "effective_date": Unused("Taxes are assigned and removed from now on. Leave this field out.")
    }

    action = serializers.ChoiceField(["add", "remove"])
    tax_rate_id = TextField(64, allow_null=True)
    tax_association_id = TextField(64, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        needed = "tax_rate_id" if attrs["action"] == "add" else "tax_association_id"
        if not attrs.get(needed):
            raise Invalid({needed: "This field is required."})
        return attrs


class ModifyIn(serializers.Serializer[Any]):
    """The change to make to the subscription's coupons, taxes, add-ons or line items."""

    unused: ClassVar[dict[str, Unused]] = dict.fromkeys(
        (
            *("checkout", "grouped_invoicing_params", "inheritance_params"),
            "trial_end_params",
        ),
        Unused("Only coupons, taxes, add-ons, quantities and line items can be modified here."),
    )

    type = serializers.ChoiceField(["coupon", "tax", "addon", "quantity_change", "line_item_change"])
    coupon_params = CouponParams(required=False, allow_null=True)
    tax_params = TaxParams(required=False, allow_null=True)
    addon_params = AddonParams(required=False, allow_null=True)
    addon_bulk_params = AddonBulkParams(required=False, allow_null=True)
    quantity_change_params = QuantityChangeParams(required=False, allow_null=True)
    line_item_change_params = LineItemChangeParams(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        needed = f"{attrs['type']}_params"
        if not attrs.get(needed) and not (attrs["type"] == "addon" and attrs.get("addon_bulk_params")):
            raise Invalid({needed: "This field is required."})
        return attrs


class ModifyOut(ContractAnswer):
    """The subscription, and what a change of line items did."""

    nulls: ClassVar[tuple[str, ...]] = ("checkout_session",)

    changed_resources = ChangedResourcesOut(allow_null=True)
    subscription = SubscriptionOut()


class ModifyPreviewOut(ModifyOut):
    """What a change would do, and its effect on invoices. Nothing is changed."""

    immediate_invoice = InvoicedAtOnce(allow_null=True)
    upcoming_invoice = NextInvoice()
    full_period = FullPeriod(allow_null=True, help_text="`null` if no billing period is over yet since the start.")


EXAMPLE = {
    "type": "quantity_change",
    "quantity_change_params": {"line_items": [{"id": "subs_1:price_1", "quantity": "25"}]},
}
RULES = (
    "The parameters of the `type` are required: `tax_params` or `coupon_params` with the fields that their `action` "
    "needs (`coupon_code`, `coupon_association_id`, `tax_rate_id`, `tax_association_id`), `addon_params` or "
    "`addon_bulk_params` with add-ons to add and to remove, `quantity_change_params` or `line_item_change_params` with "
    "line items of the subscription. A quantity must be one that the price allows. "
    "`reason` is required if an `effective_date` is in the past."
)


class SubscriptionModify(ApiView):
    """Add or remove a coupon, tax or add-on of a subscription, or change quantities and amounts of its line items."""

    write_scope = "billing:write"

    @operation(
        "executeSubscriptionModify",
        "Update a subscription's coupons, taxes, add-ons or line items",
        refusals=RULES,
        tag=TAG,
        body=ModifyIn,
        answers={200: ModifyOut},
        may_wait=True,
        errors=(400, 404),
        example=EXAMPLE,
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = subscription_of(subscription_id), read_body(request, ModifyIn), timezone.now()
        with transaction.atomic():
            changed = _modify(subscription, body, now)
        resources = None if changed is None else changed_resources(subscription, changed, now=now)
        answer = {"changed_resources": resources, "subscription": serialize_subscription(subscription)}
        return Response(dict.fromkeys(ModifyOut.nulls) | answer)


class SubscriptionModifyPreview(ApiView):
    """Preview what a change of a subscription's coupons, taxes, add-ons or line items does to its invoices."""

    is_reading = True

    @operation(
        "previewSubscriptionModify",
        "Preview an update of a subscription",
        refusals=RULES,
        tag=TAG,
        body=ModifyIn,
        answers={200: ModifyPreviewOut},
        errors=(400, 404),
        example=EXAMPLE,
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = subscription_of(subscription_id), read_body(request, ModifyIn), timezone.now()
        answer: dict[str, Any] = dict.fromkeys(ModifyOut.nulls)

        def change() -> None:
            changed = _modify(subscription, body, now)
            resources = None if changed is None else changed_resources(subscription, changed, now=now)
            answer.update(changed_resources=resources, subscription=serialize_subscription(subscription))

        effect = preview_change(subscription, change, now=now)
        return Response(answer | EffectOut(write_effect(effect, subscription.currency)).data)


def _modify(subscription: Subscription, body: dict[str, Any], now: datetime) -> ChangedTerms | None:
    """Make the change of a body. Returns what it did to line items."""
    kind = body["type"]
    if kind == "coupon":
        _modify_coupon(subscription, body["coupon_params"], now)
    elif kind == "tax":
        _modify_tax(subscription, body["tax_params"])
    elif kind == "addon":
        return modify_addons(subscription, body, now=now)
    else:
        name = f"{kind}_params"
        return change_line_items(subscription, body[name], name, now=now)
    return None


def _modify_coupon(subscription: Subscription, params: dict[str, Any], now: datetime) -> None:
    if params["action"] == "add":
        apply_coupon(
            coupon_by_code(params["coupon_code"]),
            subscription.customer,
            subscription=subscription,
            now=now,
            by=None,
            reason=REASON,
            starts_at=params.get("start_date"),
            ends_at=params.get("end_date"),
        )
        return
    applications = associations().filter(subscription=subscription)
    application = get_or_404(
        applications, "coupon association of this subscription", public_id=params["coupon_association_id"]
    )
    end_application(application, at=params.get("end_date") or now, by=None, reason=REASON)


def _modify_tax(subscription: Subscription, params: dict[str, Any]) -> None:
    if params["action"] == "add":
        assign(rate_of(params["tax_rate_id"]), subscription=subscription, by=None, reason=REASON)
        return
    of_subscription = assignments().filter(subscription=subscription)
    assignment = get_or_404(
        of_subscription, "tax association of this subscription", public_id=params["tax_association_id"]
    )
    unassign(assignment, by=None, reason=REASON)
