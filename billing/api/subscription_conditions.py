"""A subscription's coupons and taxes: those that it begins with, and those added or removed later."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.adjustments.coupons import apply_coupon, end_application
from billing.adjustments.tax_rates import assign, unassign
from billing.api.coupons import associations, coupon_by_code
from billing.api.taxes import assignments, rate_by_code, rate_of
from billing.models import Coupon
from config.api.errors import invalid
from config.api.fields import MomentField, TextField
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_body
from customers.api.serializers import SubscriptionOut
from customers.api.subscriptions import TAG, shown_one, subscription_of
from customers.models import Subscription

REASON = "Through the API"
Invalid = serializers.ValidationError


def begin(subscription: Subscription, asked: dict[str, Any], *, now: datetime) -> None:
    """Apply the coupons and taxes that a new subscription was asked for with. Refused as a whole if one can't be."""
    wanted: list[tuple[Coupon, datetime | None, datetime | None]] = []
    for named in asked.get("coupons") or []:
        coupon = Coupon.objects.filter(public_id=named).first() or Coupon.objects.filter(code=named).first()
        if coupon is None:
            raise invalid({"coupons": [f"There is no coupon {named}."]})
        wanted.append((coupon, None, None))
    wanted += [
        (coupon_by_code(one["coupon_code"]), one.get("start_date"), one.get("end_date"))
        for one in asked.get("subscription_coupons") or []
    ]
    for coupon, starts_at, ends_at in wanted:
        # Unless told otherwise it reduces the first invoice too, however far back the subscription starts.
        apply_coupon(
            coupon, subscription.customer, subscription=subscription, now=now, by=None, reason=REASON,
            starts_at=starts_at or min(now, subscription.started_at), ends_at=ends_at,
        )  # fmt: skip
    for one in asked.get("tax_rate_overrides") or []:
        rate, currency = rate_by_code(one["tax_rate_code"]), (one.get("currency") or "").upper()
        position = one.get("priority")
        assign(rate, subscription=subscription, by=None, currency=currency, position=position, reason=REASON)


class CouponParams(serializers.Serializer[Any]):
    """Which coupon to add, or which applied one to remove."""

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
    """Which tax to add, or which assigned one to remove."""

    action = serializers.ChoiceField(["add", "remove"])
    tax_rate_id = TextField(64, allow_null=True)
    tax_association_id = TextField(64, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        needed = "tax_rate_id" if attrs["action"] == "add" else "tax_association_id"
        if not attrs.get(needed):
            raise Invalid({needed: "This field is required."})
        return attrs


class ModifyIn(serializers.Serializer[Any]):
    """What to change of a subscription: its coupons, or its taxes."""

    type = serializers.ChoiceField(["coupon", "tax"])
    coupon_params = CouponParams(required=False, allow_null=True)
    tax_params = TaxParams(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        needed = f"{attrs['type']}_params"
        if not attrs.get(needed):
            raise Invalid({needed: "This field is required."})
        return attrs


class ModifyOut(serializers.Serializer[Any]):
    subscription = SubscriptionOut()


class SubscriptionModify(ApiView):
    """Add or remove a coupon or a tax of one subscription. Invoices that are drafted from now on go by it."""

    write_scope = "billing:write"

    @operation(
        "executeSubscriptionModify", "Change a subscription's coupons or taxes", tag=TAG, body=ModifyIn,
        answers={200: ModifyOut}, errors=(400, 404),
        example={"type": "coupon", "coupon_params": {"action": "add", "coupon_code": "SUMMER26"}},
    )  # fmt: skip
    def post(self, request: Request, subscription_id: str) -> Response:
        subscription, asked, now = subscription_of(subscription_id), read_body(request, ModifyIn), timezone.now()
        with transaction.atomic():
            if asked["type"] == "coupon":
                _modify_coupon(subscription, asked["coupon_params"], now)
            else:
                _modify_tax(subscription, asked["tax_params"])
        return Response({"subscription": shown_one(subscription)})


def _modify_coupon(subscription: Subscription, params: dict[str, Any], now: datetime) -> None:
    if params["action"] == "add":
        apply_coupon(
            coupon_by_code(params["coupon_code"]), subscription.customer, subscription=subscription, now=now, by=None,
            reason=REASON, starts_at=params.get("start_date"), ends_at=params.get("end_date"),
        )  # fmt: skip
        return
    mine = associations().filter(subscription=subscription)
    row = get_or_404(mine, "coupon association of this subscription", public_id=params["coupon_association_id"])
    end_application(row, at=params.get("end_date") or now, by=None, reason=REASON)


def _modify_tax(subscription: Subscription, params: dict[str, Any]) -> None:
    if params["action"] == "add":
        assign(rate_of(params["tax_rate_id"]), subscription=subscription, by=None, reason=REASON)
        return
    mine = assignments().filter(subscription=subscription)
    row = get_or_404(mine, "tax association of this subscription", public_id=params["tax_association_id"])
    unassign(row, by=None, reason=REASON)
