"""Coupons and their applications, in requests and answers."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from rest_framework import serializers

from billing.api.fields import ArchivableStatusField, MoneyField, amount_field
from billing.models import Coupon, CouponApplication, CouponDuration, CouponScope
from config.api.contract import ContractRecord
from config.api.fields import (
    BlankAsNullField,
    ComputedChoice,
    ComputedList,
    ConstantField,
    MetadataField,
    MomentField,
    NumberIn,
    QuantityField,
    TextField,
)
from config.api.unknown_names import Unused

CADENCES = {
    "once": CouponDuration.ONCE,
    "repeated": CouponDuration.REPEATED,
    "forever": CouponDuration.FOREVER,
}
FIXED, PERCENTAGE = TYPES = ("fixed", "percentage")
Invalid = serializers.ValidationError


class CouponOut(ContractRecord):
    """A discount of a fixed amount or a percentage."""

    nulls: ClassVar[tuple[str, ...]] = ("rules",)

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    coupon_code = serializers.CharField(source="code")
    type = ComputedChoice(TYPES)
    amount_off = MoneyField(allow_null=True)
    percentage_off = QuantityField(source="percent_off", allow_null=True)
    currency = BlankAsNullField()
    cadence = serializers.ChoiceField(list(CADENCES), source="duration")
    duration_in_periods = serializers.IntegerField(
        source="periods", allow_null=True, help_text="The number of invoices that the coupon discounts."
    )
    keeps_rest = serializers.BooleanField(
        help_text="Whether what an invoice doesn't use of the amount is taken off the next ones."
    )
    scope = serializers.ChoiceField(CouponScope.values)
    feature_ids = ComputedList(child=serializers.CharField())
    plan_ids = ComputedList(child=serializers.CharField())
    redeem_after = serializers.DateTimeField(allow_null=True)
    redeem_before = serializers.DateTimeField(source="redeem_by", allow_null=True)
    max_redemptions = serializers.IntegerField(allow_null=True)
    total_redemptions = serializers.IntegerField(
        source="redemptions", help_text="The number of times the coupon was applied."
    )
    metadata = MetadataField()
    status = ArchivableStatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_type(self, coupon: Coupon) -> str:
        return PERCENTAGE if coupon.amount_off is None else FIXED

    def get_feature_ids(self, coupon: Coupon) -> list[str]:
        return [feature.public_id for feature in coupon.features.all()]

    def get_plan_ids(self, coupon: Coupon) -> list[str]:
        return [plan.public_id for plan in coupon.plans.all()]


class AssociationOut(ContractRecord):
    """A coupon applied to a customer or a subscription."""

    nulls: ClassVar[tuple[str, ...]] = ("subscription_line_item", "subscription_line_item_id", "subscription_phase_id")

    id = serializers.CharField(source="public_id")
    coupon_id = serializers.CharField(source="coupon.public_id")
    coupon = CouponOut()
    customer_id = serializers.CharField(source="customer.public_id")
    subscription_id = serializers.CharField(source="subscription.public_id", allow_null=True)
    invoice_id = serializers.CharField(
        source="invoice.public_id", allow_null=True, help_text="The one-off invoice that it reduces, and no other."
    )
    start_date = serializers.DateTimeField(source="starts_at")
    end_date = serializers.DateTimeField(source="ended_at", allow_null=True)
    times_used = serializers.IntegerField(help_text="The number of discounted invoices, without voided ones.")
    metadata = MetadataField()
    status = ConstantField("published")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def coupons() -> QuerySet[Coupon]:
    """Load coupons as `CouponOut` needs them, newest first."""
    applications = CouponApplication.objects.filter(coupon=OuterRef("pk")).order_by().values("coupon")
    count = Coalesce(Subquery(applications.annotate(number=Count("pk")).values("number")), 0)
    rows: QuerySet[Coupon] = Coupon.objects.annotate(redemptions=count).prefetch_related("features", "plans")
    return rows.order_by("-created_at", "-pk")


def associations() -> QuerySet[CouponApplication]:
    """Load applications as `AssociationOut` needs them, newest first."""
    used = Count("uses", filter=Q(uses__returned_at=None))
    rows: QuerySet[CouponApplication] = CouponApplication.objects.select_related("customer", "subscription", "invoice")
    return rows.prefetch_related(Prefetch("coupon", coupons())).annotate(times_used=used).order_by("-pk")


class CouponChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values."""

    name = serializers.CharField(max_length=255, required=False)
    metadata = MetadataField(required=False, allow_null=True)


class CouponIn(CouponChange):
    """A new coupon. Its discount can't be changed later."""

    unused: ClassVar[dict[str, Unused]] = {
        "rules": Unused("Rules aren't supported. Use scope, feature_ids and plan_ids instead.")
    }

    name = serializers.CharField(max_length=255)
    type = serializers.ChoiceField(TYPES)
    cadence = serializers.ChoiceField(list(CADENCES))
    coupon_code = TextField(64, allow_null=True, help_text="Generated if you don't specify a code.")
    amount_off = amount_field(required=False, allow_null=True)
    percentage_off = NumberIn(
        max_digits=9, decimal_places=6, min_value=Decimal("0.000001"), max_value=100, required=False, allow_null=True
    )
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_null=True, allow_blank=True)
    duration_in_periods = serializers.IntegerField(min_value=1, max_value=10_000, required=False, allow_null=True)
    keeps_rest = serializers.BooleanField(
        default=False, help_text="For an amount off once: take what an invoice doesn't use off the next ones."
    )
    max_redemptions = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False, allow_null=True)
    redeem_after = MomentField(required=False, allow_null=True)
    redeem_before = MomentField(required=False, allow_null=True)
    scope = serializers.ChoiceField(CouponScope.values, default=CouponScope.EVERYTHING.value)
    feature_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=500)
    plan_ids = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=500)

    def validate(self, attrs: Any) -> Any:
        needed = "amount_off" if attrs["type"] == FIXED else "percentage_off"
        other = "percentage_off" if needed == "amount_off" else "amount_off"
        if attrs.get(needed) is None:
            raise Invalid({needed: f"This field is required for a {attrs['type']} coupon."})
        if attrs.get(other):
            raise Invalid({other: f"This field isn't allowed for a {attrs['type']} coupon."})
        if attrs["keeps_rest"] and (attrs["type"] != FIXED or attrs["cadence"] != CouponDuration.ONCE):
            raise Invalid({"keeps_rest": "Only a fixed coupon that applies once can keep the rest."})
        if attrs["type"] == FIXED and not attrs.get("currency"):
            raise Invalid({"currency": "This field is required for a fixed coupon."})
        if (attrs["cadence"] == CouponDuration.REPEATED) != bool(attrs.get("duration_in_periods")):
            raise Invalid(
                {"duration_in_periods": "This field is required for a repeated coupon, and only allowed there."}
            )
        if (attrs["scope"] == CouponScope.CHOSEN) != bool(attrs.get("feature_ids") or attrs.get("plan_ids")):
            raise Invalid({"scope": "Use the scope chosen together with feature_ids or plan_ids."})
        return attrs


def coupon_columns(body: dict[str, Any]) -> dict[str, Any]:
    """Translate a new coupon's body into columns, without features, plans and the code."""
    is_fixed = body["type"] == FIXED
    return {
        "name": body["name"],
        "amount_off": body["amount_off"] if is_fixed else None,
        "percent_off": None if is_fixed else Decimal(body["percentage_off"]),
        "currency": body["currency"].upper() if is_fixed else "",
        "duration": CADENCES[body["cadence"]],
        "periods": body.get("duration_in_periods"),
        "keeps_rest": body["keeps_rest"],
        "scope": body["scope"],
        "redeem_after": body.get("redeem_after"),
        "redeem_by": body.get("redeem_before"),
        "max_redemptions": body.get("max_redemptions"),
        "metadata": body.get("metadata") or {},
    }


class AssociationIn(serializers.Serializer[Any]):
    """The coupon, and the customer or subscription to apply it to."""

    coupon_id = TextField(64, allow_null=True)
    coupon_code = TextField(64, allow_null=True)
    customer_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    subscription_id = TextField(64, allow_null=True)
    start_date = MomentField(required=False, allow_null=True, help_text="Defaults to now.")
    end_date = MomentField(required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("coupon_id") or attrs.get("coupon_code")):
            raise Invalid({"coupon_code": "Specify the coupon by coupon_code or coupon_id."})
        if not any(attrs.get(name) for name in ("customer_id", "external_customer_id", "subscription_id")):
            raise Invalid({"subscription_id": "Specify a subscription_id, customer_id or external_customer_id."})
        return attrs
