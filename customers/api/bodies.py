"""Request bodies that change customers and subscriptions."""

from typing import Any

from rest_framework import serializers

from catalog.api.names import PERIODS
from config.api.fields import MetadataField, MomentField, TextField
from customers.api.names import CANCELLATIONS, CYCLES, PRORATIONS, net_days_of

Invalid = serializers.ValidationError
COLUMNS = (
    *("name", "email", "contact", "timezone", "tax_treatment", "tax_note", "metadata"),
    *("address_line1", "address_line2", "address_city", "address_state", "address_postal_code", "address_country"),
)
UNSUPPORTED = (
    *("addons", "auto_invoice_threshold", "checkout", "commitment_amount", "credit_grants"),
    *("enable_true_up", "inheritance", "line_item_commitments", "line_item_coupons", "line_items", "overage_factor"),
    *("override_entitlements", "override_line_items", "phases"),
)


class CustomerChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values. The external id can't be changed."""

    name = serializers.CharField(max_length=255, required=False)
    external_id = TextField(255, allow_blank=False)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    contact = TextField(20)
    billing_currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_blank=True)
    timezone = TextField(64)
    tax_treatment = serializers.ChoiceField(["taxable", "exempt", "reverse_charge"], required=False)
    tax_note = TextField(255, allow_null=True, help_text="Printed on invoices without tax.")
    address_line1 = TextField()
    address_line2 = TextField()
    address_city = TextField()
    address_state = TextField()
    address_postal_code = TextField(32)
    address_country = serializers.RegexField(r"^[A-Za-z]{2}\Z", required=False, allow_blank=True)
    metadata = MetadataField(required=False, allow_null=True)


class CustomerIn(CustomerChange):
    """A new customer. Events already received with its external id are counted."""

    name = serializers.CharField(max_length=255)
    external_id = serializers.CharField(max_length=255)  # type: ignore[assignment]  # required for a new one


def customer_columns(body: dict[str, Any]) -> dict[str, Any]:
    """Translate a customer's body into columns."""
    columns = {name: body[name] for name in COLUMNS if body.get(name) is not None}
    if "timezone" in columns and not columns["timezone"]:
        columns["timezone"] = "UTC"
    if body.get("billing_currency") is not None:
        columns["currency"] = body["billing_currency"].upper()
    if "address_country" in columns:
        columns["address_country"] = columns["address_country"].upper()
    return columns


class SubscriptionCouponIn(serializers.Serializer[Any]):
    """A coupon to apply to the new subscription."""

    coupon_code = serializers.CharField(max_length=64)
    start_date = MomentField(required=False, allow_null=True)
    end_date = MomentField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and data.get("price_id"):
            raise Invalid({"price_id": "This field isn't supported. The coupon's scope determines what it discounts."})
        return super().to_internal_value(data)


class TaxOverrideIn(serializers.Serializer[Any]):
    """A tax for the subscription, instead of its customer's taxes."""

    tax_rate_code = serializers.CharField(max_length=64)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_blank=True, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)


class SubscriptionIn(serializers.Serializer[Any]):
    """A new subscription to a plan. It publishes the plan's draft, unless the draft is on hold."""

    customer_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    plan_id = serializers.CharField(max_length=64)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z")
    billing_period = serializers.ChoiceField(list(PERIODS))
    billing_period_count = serializers.IntegerField(min_value=1, max_value=1000, default=1)
    billing_cycle = serializers.ChoiceField(list(CYCLES), default="anniversary")
    billing_anchor = MomentField(required=False, allow_null=True)
    start_date = MomentField(required=False, allow_null=True, help_text="Defaults to now.")
    end_date = MomentField(required=False, allow_null=True)
    trial_period_days = serializers.IntegerField(min_value=0, max_value=3650, required=False, allow_null=True)
    proration_behavior = serializers.ChoiceField(list(PRORATIONS), required=False)
    payment_terms = TextField(16, allow_null=True, help_text="15 NET to 90 NET.")
    lookup_key = TextField(255, allow_null=True)
    coupons = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=20,
        help_text="Ids or codes of coupons to apply to the subscription.",
    )
    subscription_coupons = serializers.ListField(
        child=SubscriptionCouponIn(), required=False, allow_null=True, max_length=20
    )
    tax_rate_overrides = serializers.ListField(child=TaxOverrideIn(), required=False, allow_null=True, max_length=20)
    metadata = MetadataField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unsupported := [name for name in UNSUPPORTED if data.get(name)]):
            # Ignoring these fields would charge something else than the client expects.
            raise Invalid(dict.fromkeys(unsupported, "This field isn't supported."))
        if isinstance(data, dict) and data.get("subscription_status", "active") not in (None, "active"):
            raise Invalid(
                {"subscription_status": "Must be active. For a scheduled subscription, set a later start_date."}
            )
        return super().to_internal_value(data)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("customer_id") or attrs.get("external_customer_id")):
            raise Invalid({"customer_id": "Specify the customer by customer_id or external_customer_id."})
        if attrs["billing_cycle"] == "calendar" and attrs.get("billing_anchor"):
            raise Invalid({"billing_anchor": "Only allowed with the billing cycle anniversary."})
        if attrs.get("payment_terms") and net_days_of(attrs["payment_terms"]) is None:
            raise Invalid({"payment_terms": "Use 15 NET, 30 NET, … or 90 NET."})
        return attrs


class CancelIn(serializers.Serializer[Any]):
    """When the subscription ends. Usage until then is invoiced."""

    cancellation_type = serializers.ChoiceField(CANCELLATIONS)
    cancel_at = MomentField(required=False, allow_null=True)
    reason = TextField(255, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if attrs["cancellation_type"] == "scheduled_date" and not attrs.get("cancel_at"):
            raise Invalid({"cancel_at": "This field is required for the cancellation type scheduled_date."})
        return attrs


class PauseIn(serializers.Serializer[Any]):
    reason = TextField(255, allow_null=True)
    pause_end = MomentField(required=False, allow_null=True, help_text="Resume automatically at this time.")


class ResumeIn(serializers.Serializer[Any]):
    reason = TextField(255, allow_null=True)
