"""What the API says and reads of discounts: coupons and where they are applied."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.models import Coupon, CouponApplication, CouponDuration, CouponScope
from billing.money import money
from config.api.fields import MetadataField, MomentField, TextField, plain

CADENCES = {
    "once": CouponDuration.ONCE,
    "repeated": CouponDuration.REPEATED,
    "forever": CouponDuration.FOREVER,
}
TYPES = ("fixed", "percentage")
Invalid = serializers.ValidationError


class CouponOut(serializers.Serializer[Any]):
    """A reduction by an amount or a percentage."""

    id = serializers.CharField()
    name = serializers.CharField()
    coupon_code = serializers.CharField()
    type = serializers.ChoiceField(TYPES)
    amount_off = serializers.CharField(allow_null=True)
    percentage_off = serializers.CharField(allow_null=True)
    currency = serializers.CharField(allow_null=True)
    cadence = serializers.ChoiceField(list(CADENCES))
    duration_in_periods = serializers.IntegerField(allow_null=True, help_text="How many invoices it reduces.")
    scope = serializers.ChoiceField(CouponScope.values)
    feature_ids = serializers.ListField(child=serializers.CharField())
    plan_ids = serializers.ListField(child=serializers.CharField())
    redeem_after = serializers.DateTimeField(allow_null=True)
    redeem_before = serializers.DateTimeField(allow_null=True)
    max_redemptions = serializers.IntegerField(allow_null=True)
    total_redemptions = serializers.IntegerField(help_text="How often it was applied.")
    metadata = MetadataField()
    status = serializers.ChoiceField(["published", "archived"])
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class AssociationOut(serializers.Serializer[Any]):
    """A coupon at work for a customer or a subscription."""

    id = serializers.CharField()
    coupon_id = serializers.CharField()
    coupon = CouponOut()
    customer_id = serializers.CharField()
    subscription_id = serializers.CharField(allow_null=True)
    start_date = serializers.DateTimeField()
    end_date = serializers.DateTimeField(allow_null=True)
    times_used = serializers.IntegerField(help_text="How many invoices it reduced that aren't void.")
    metadata = MetadataField()
    status = serializers.ChoiceField(["published"])
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def coupon_out(coupon: Coupon) -> dict[str, Any]:
    """Write a coupon that was loaded with `features`, `plans` and `redemptions`."""
    is_amount = coupon.amount_off is not None
    return {
        "id": coupon.public_id,
        "name": coupon.name,
        "coupon_code": coupon.code,
        "type": "fixed" if is_amount else "percentage",
        "amount_off": money(coupon.amount_off, coupon.currency) if coupon.amount_off is not None else None,
        "percentage_off": plain(coupon.percent_off) if coupon.percent_off is not None else None,
        "currency": coupon.currency or None,
        "cadence": coupon.duration,
        "duration_in_periods": coupon.periods,
        "scope": coupon.scope,
        "feature_ids": [feature.public_id for feature in coupon.features.all()],
        "plan_ids": [plan.public_id for plan in coupon.plans.all()],
        "redeem_after": coupon.redeem_after,
        "redeem_before": coupon.redeem_by,
        "max_redemptions": coupon.max_redemptions,
        "total_redemptions": getattr(coupon, "redemptions", 0),
        "metadata": coupon.metadata,
        "status": "published" if coupon.archived_at is None else "archived",
        "created_at": coupon.created_at,
        "updated_at": coupon.updated_at,
    }


def association_out(application: CouponApplication) -> dict[str, Any]:
    """Write an application that was loaded with its coupon, customer, subscription and `times_used`."""
    return {
        "id": application.public_id,
        "coupon_id": application.coupon.public_id,
        "coupon": coupon_out(application.coupon),
        "customer_id": application.customer.public_id,
        "subscription_id": application.subscription.public_id if application.subscription else None,
        "start_date": application.starts_at,
        "end_date": application.ended_at,
        "times_used": getattr(application, "times_used", 0),
        "metadata": application.metadata,
        "status": "published",
        "created_at": application.created_at,
        "updated_at": application.updated_at,
    }


class CouponIn(serializers.Serializer[Any]):
    """A new coupon. What it takes off can't be changed later."""

    name = serializers.CharField(max_length=255)
    type = serializers.ChoiceField(TYPES)
    cadence = serializers.ChoiceField(list(CADENCES))
    coupon_code = TextField(64, allow_null=True, help_text="Made up unless given.")
    amount_off = serializers.DecimalField(max_digits=24, decimal_places=4, required=False, allow_null=True)
    percentage_off = serializers.DecimalField(
        max_digits=9, decimal_places=6, min_value=Decimal("0.000001"), max_value=100, required=False, allow_null=True
    )
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_null=True, allow_blank=True)
    duration_in_periods = serializers.IntegerField(min_value=1, max_value=10_000, required=False, allow_null=True)
    max_redemptions = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False, allow_null=True)
    redeem_after = MomentField(required=False, allow_null=True)
    redeem_before = MomentField(required=False, allow_null=True)
    scope = serializers.ChoiceField(CouponScope.values, default=CouponScope.EVERYTHING.value)
    feature_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=500)
    plan_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=500)
    metadata = MetadataField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and data.get("rules"):
            raise Invalid({"rules": "This isn't supported: say by scope, feature_ids and plan_ids what it takes off."})
        return super().to_internal_value(data)

    def validate(self, attrs: Any) -> Any:
        needed = "amount_off" if attrs["type"] == "fixed" else "percentage_off"
        other = "percentage_off" if needed == "amount_off" else "amount_off"
        if attrs.get(needed) is None:
            raise Invalid({needed: f"This field is required for a {attrs['type']} coupon."})
        if attrs.get(other):
            raise Invalid({other: f"Not for a {attrs['type']} coupon."})
        if attrs["type"] == "fixed" and not attrs.get("currency"):
            raise Invalid({"currency": "This field is required for a fixed coupon."})
        if (attrs["cadence"] == "repeated") != bool(attrs.get("duration_in_periods")):
            raise Invalid({"duration_in_periods": "Say it for a repeated coupon, and only there."})
        if (attrs["scope"] == CouponScope.CHOSEN) != bool(attrs.get("feature_ids") or attrs.get("plan_ids")):
            raise Invalid({"scope": "Name features or plans for the scope chosen, and only there."})
        return attrs


def coupon_columns(asked: dict[str, Any]) -> dict[str, Any]:
    """Bring a new coupon's body into columns, without features, plans and the code."""
    is_amount = asked["type"] == "fixed"
    return {
        "name": asked["name"],
        "amount_off": asked["amount_off"] if is_amount else None,
        "percent_off": None if is_amount else Decimal(asked["percentage_off"]),
        "currency": asked["currency"].upper() if is_amount else "",
        "duration": CADENCES[asked["cadence"]],
        "periods": asked.get("duration_in_periods"),
        "scope": asked["scope"],
        "redeem_after": asked.get("redeem_after"),
        "redeem_by": asked.get("redeem_before"),
        "max_redemptions": asked.get("max_redemptions"),
        "metadata": asked.get("metadata") or {},
    }


class CouponChange(serializers.Serializer[Any]):
    """What to change of a coupon; the rest stays."""

    name = serializers.CharField(max_length=255, required=False)
    metadata = MetadataField(required=False, allow_null=True)


class AssociationIn(serializers.Serializer[Any]):
    """Where to apply a coupon: to a customer, or to one subscription."""

    coupon_id = TextField(64, allow_null=True)
    coupon_code = TextField(64, allow_null=True)
    customer_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    subscription_id = TextField(64, allow_null=True)
    start_date = MomentField(required=False, allow_null=True, help_text="Default: now.")
    end_date = MomentField(required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("coupon_id") or attrs.get("coupon_code")):
            raise Invalid({"coupon_code": "Name the coupon, by coupon_code or coupon_id."})
        if not any(attrs.get(name) for name in ("customer_id", "external_customer_id", "subscription_id")):
            raise Invalid({"subscription_id": "Name the subscription, or the customer."})
        return attrs
