"""API views for a subscription's coupons and taxes: those it starts with, and later changes; a new customer's taxes."""

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
from billing.api.taxes import rate_by_code, rate_of
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
    """The change to make to the subscription's coupons or taxes."""

    unused: ClassVar[dict[str, Unused]] = dict.fromkeys(
        (
            *("addon_bulk_params", "addon_params", "checkout", "grouped_invoicing_params", "inheritance_params"),
            *("line_item_change_params", "quantity_change_params", "trial_end_params"),
        ),
        Unused("Only coupons and taxes can be modified here."),
    )

    type = serializers.ChoiceField(["coupon", "tax"])
    coupon_params = CouponParams(required=False, allow_null=True)
    tax_params = TaxParams(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        needed = f"{attrs['type']}_params"
        if not attrs.get(needed):
            raise Invalid({needed: "This field is required."})
        return attrs


class ModifyOut(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = ("changed_resources", "checkout_session")

    subscription = SubscriptionOut()


class SubscriptionModify(ApiView):
    """Add or remove a coupon or a tax of a subscription. The change applies to future invoices."""

    write_scope = "billing:write"

    @operation(
        "executeSubscriptionModify",
        "Update a subscription's coupons or taxes",
        refusals="`tax_params` or `coupon_params` are required, with the fields that their `action` needs: "
        "`coupon_code`, `coupon_id`, `tax_rate_id`, `tax_association_id`.",
        tag=TAG,
        body=ModifyIn,
        answers={200: ModifyOut},
        errors=(400, 404),
        example={"type": "coupon", "coupon_params": {"action": "add", "coupon_code": "SUMMER26"}},
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, body, now = subscription_of(subscription_id), read_body(request, ModifyIn), timezone.now()
        with transaction.atomic():
            if body["type"] == "coupon":
                _modify_coupon(subscription, body["coupon_params"], now)
            else:
                _modify_tax(subscription, body["tax_params"])
        return Response(dict.fromkeys(ModifyOut.nulls) | {"subscription": serialize_subscription(subscription)})


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
