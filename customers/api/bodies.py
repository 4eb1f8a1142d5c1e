"""Request bodies that change customers and subscriptions."""

from typing import Any, ClassVar
from zoneinfo import available_timezones

from rest_framework import serializers

from catalog.api.bodies.agreed import AddedLineItemIn, CommitmentIn, OverrideEntitlementIn, OverrideLineItemIn
from catalog.api.names import PERIODS
from config.api.fields import MetadataField, MomentField, TextField
from config.api.unknown_names import Unused
from customers.api.commitments import CommitmentFields
from customers.api.names import CANCELLATIONS, CYCLES, PRORATIONS, PauseMode, net_days_of
from customers.kinds import UNTAXED_CATEGORIES, EInvoiceFormat
from customers.models.customers import MOST_RECIPIENTS

Invalid = serializers.ValidationError
MOST_TERMS = 100
COLUMNS = (
    *("name", "email", "email_to", "email_cc", "receives_email"),
    *("contact", "timezone", "tax_treatment", "tax_note", "metadata", "joins_invoices"),
    *("address_line1", "address_line2", "address_city", "address_state", "address_postal_code", "address_country"),
    *("tax_id", "einvoice_format", "buyer_reference", "peppol_id", "untaxed_category"),
)
SEPARATE = (
    "Subscriptions have no parents. Use parent_customer_id of its customer to have another customer pay its invoices."
)
JOINED = "Use joins_invoices of its customer: it applies to all subscriptions that the customer pays for."
INVOICED = "What was used until the end is always invoiced. Use generate_invoice."


class AddressesField(serializers.ListField):
    """Email addresses. A body without them leaves them as they are."""

    child = serializers.EmailField(max_length=254)

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "max_length": MOST_RECIPIENTS} | options)


class CustomerChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values. An external id can't be changed once events carry it."""

    unused: ClassVar[dict[str, Unused]] = {
        "contact_persons": Unused("Contact persons aren't stored. Use contact, email or metadata."),
        "integration_entity_mapping": Unused("Integrations aren't supported. Use metadata."),
    }

    name = serializers.CharField(max_length=255, required=False)
    external_id = TextField(255, allow_blank=False)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    email_to = AddressesField(help_text="Who gets invoices and other emails. Leave empty to use `email`.")
    email_cc = AddressesField(help_text="Who gets a copy of them.")
    receives_email = serializers.BooleanField(required=False, help_text="False: send this customer no emails.")
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
    tax_id = TextField(64, help_text="Electronic invoices need the VAT ID, for example BE0428759497.")
    einvoice_format = serializers.ChoiceField(
        EInvoiceFormat.choices, required=False, allow_blank=True, help_text="Leave empty for PDF only."
    )
    buyer_reference = TextField(64, help_text="What the customer assigns invoices by, for example the Leitweg-ID.")
    peppol_id = TextField(64, help_text="The address of electronic invoices, with its scheme: 0208:0428759497.")
    untaxed_category = serializers.ChoiceField(
        [(category.value, category.label) for category in UNTAXED_CATEGORIES],
        required=False,
        allow_blank=True,
        help_text="The category of VAT on electronic invoices without tax.",
    )
    parent_customer_id = TextField(
        64,
        allow_null=True,
        help_text="The customer who gets and pays the invoices of this customer's subscriptions. Blank for none.",
    )
    parent_customer_external_id = TextField(255, allow_null=True, help_text="Instead of parent_customer_id.")
    joins_invoices = serializers.BooleanField(
        required=False,
        help_text="True: charges of several subscriptions that are due at the same moment are on one joint invoice.",
    )
    metadata = MetadataField(required=False, allow_null=True)


class TaxOverrideIn(serializers.Serializer[Any]):
    """A tax for the customer, instead of the company's taxes, or for the subscription, instead of its customer's."""

    unused: ClassVar[dict[str, Unused]] = {
        "auto_apply": Unused("An assigned tax is always applied. Leave this field out.", (True,)),
        "metadata": Unused("Assign the tax with POST /v1/taxes/associations to store metadata."),
        "tax_behavior": Unused("An assignment has its tax rate's behavior. Leave this field out."),
    }

    tax_rate_code = serializers.CharField(max_length=64)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_blank=True, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)


class CustomerIn(CustomerChange):
    """A new customer. Events already received with its external id are counted."""

    unused: ClassVar[dict[str, Unused]] = CustomerChange.unused | {
        "onboarding_workflow_name": Unused("There are no onboarding workflows."),
        "skip_onboarding_workflow": Unused("There are no onboarding workflows.", (True, False)),
    }

    name = serializers.CharField(max_length=255)
    external_id = serializers.CharField(max_length=255)  # type: ignore[assignment]  # required for a new one
    tax_rate_overrides = serializers.ListField(child=TaxOverrideIn(), required=False, allow_null=True, max_length=20)


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

    unused: ClassVar[dict[str, Unused]] = {
        "price_id": Unused("This field isn't supported. The coupon's scope determines what it discounts.")
    }


def trial_days(**options: Any) -> serializers.IntegerField:
    """Make the field for a trial's length; 0 is no trial."""
    return serializers.IntegerField(min_value=0, max_value=3650, required=False, allow_null=True, **options)


class PhaseIn(serializers.Serializer[Any]):
    """What is agreed for a time. Afterwards, the terms before it apply again."""

    unused: ClassVar[dict[str, Unused]] = {
        "coupons": Unused("Use subscription_coupons of the subscription, with start_date and end_date."),
        "line_item_coupons": Unused("The coupon's scope determines what it discounts."),
        "metadata": Unused("Use the subscription's metadata."),
        "subscription_coupons": Unused("Use subscription_coupons of the subscription, with start_date and end_date."),
    }

    start_date = MomentField()
    end_date = MomentField(required=False, allow_null=True)
    override_line_items = serializers.ListField(
        child=OverrideLineItemIn(), required=False, allow_null=True, max_length=MOST_TERMS
    )
    line_items = serializers.ListField(child=AddedLineItemIn(), required=False, allow_null=True, max_length=MOST_TERMS)


class InheritanceIn(serializers.Serializer[Any]):
    """Who gets the subscription's invoices. That is its customer's parent; set it with `parent_customer_id`."""

    unused: ClassVar[dict[str, Unused]] = {
        "external_customer_ids_to_inherit_subscription": Unused("Create a subscription for each customer."),
        "grouped_invoicing_children_to_create": Unused(JOINED),
        "parent_subscription_id": Unused(SEPARATE),
        "subscriptions_ids_for_grouped_invoicing": Unused(JOINED),
    }

    invoicing_customer_external_id = TextField(255, allow_null=True)


def own_proration() -> serializers.ChoiceField:
    """Make the field for a proration behavior that can't differ from the subscription's."""
    return serializers.ChoiceField(
        list(PRORATIONS), required=False, allow_null=True, help_text="Must be the subscription's."
    )


NOW, PERIOD_END = "immediate", "end_of_period"


def change_at() -> serializers.ChoiceField:
    return serializers.ChoiceField(
        [NOW, PERIOD_END], required=False, allow_null=True, help_text="Instead of a date. Now by default."
    )


class AddonToAddIn(serializers.Serializer[Any]):
    """An add-on to add. Adding it again adds it a second time."""

    unused: ClassVar[dict[str, Unused]] = {
        "cadence": Unused("Add-ons recur. Use end_date, or a one-off invoice.", ("recurring",)),
        "coupons": Unused("Use coupons of the subscription. The coupon's scope determines what it discounts."),
    }

    addon_id = serializers.CharField(max_length=64)
    start_date = MomentField(required=False, allow_null=True, help_text="Defaults to now.")
    end_date = MomentField(required=False, allow_null=True, help_text="Not charged from this time on.")
    change_at = change_at()
    metadata = MetadataField(required=False, allow_null=True)
    proration_behavior = own_proration()
    override_line_items = serializers.ListField(
        child=OverrideLineItemIn(),
        required=False,
        allow_null=True,
        max_length=MOST_TERMS,
        help_text="Agreed instead of the add-on's prices.",
    )
    line_item_commitments = serializers.DictField(
        child=CommitmentIn(), required=False, allow_null=True, help_text="Minimums, by the ids of its usage prices."
    )

    def validate(self, attrs: Any) -> Any:
        if attrs.get("start_date") and attrs.get("change_at"):
            raise serializers.ValidationError({"start_date": "Specify either start_date or change_at."})
        return attrs


class SubscriptionIn(CommitmentFields):
    """A new subscription to a plan. It publishes the plan's draft, unless the draft is on hold."""

    unused: ClassVar[dict[str, Unused]] = {
        "auto_invoice_threshold": Unused("Invoices are made at the end of each billing period, not at a threshold."),
        "billing_cadence": Unused("Subscriptions recur.", ("RECURRING",)),
        "checkout": Unused("There is no checkout. Record payments with POST /v1/payments."),
        "collection_method": Unused("Invoices are sent.", ("send_invoice", "charge_automatically")),
        "credit_grants": Unused("Add credit to a wallet: POST /v1/wallets/{id}/top-up."),
        "fx_rates": Unused("Amounts aren't converted: every subscription has one currency."),
        "gateway_payment_method_id": Unused("Payments aren't collected. Record them with POST /v1/payments."),
        "line_item_coupons": Unused("The coupon's scope determines what it discounts. Use coupons."),
        "line_item_grouping": Unused("Every charge has its own line.", ("per_charge_period",)),
        "payment_behavior": Unused("Subscriptions don't wait for a payment. Use default_active.", ("default_active",)),
        "proration_mode": Unused("Use proration_behavior."),
        "quantity": Unused("Set the quantity of a fee in override_line_items."),
        "subscription_status": Unused(
            "Must be active. For a scheduled subscription, set a later start_date.", ("active",)
        ),
    }

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
    cancel_at = MomentField(required=False, allow_null=True, help_text="The same as end_date.")
    cancel_at_period_end = serializers.BooleanField(
        default=False, help_text="End after the current billing period, or after the trial."
    )
    timezone = TextField(64, allow_null=True, help_text="Of the billing periods. Defaults to the customer's.")
    trial_period_days = trial_days()
    trial_days = trial_days(help_text="The same as trial_period_days.")
    trial_end = MomentField(required=False, allow_null=True, help_text="Instead of trial_period_days.")
    proration_behavior = serializers.ChoiceField(list(PRORATIONS), required=False)
    payment_terms = TextField(16, allow_null=True, help_text="15 NET to 90 NET.")
    lookup_key = TextField(255, allow_null=True)
    coupons = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=20,
        help_text="IDs or codes of coupons to apply to the subscription.",
    )
    coupon = TextField(64, allow_null=True, help_text="The id or code of a coupon, in addition to coupons.")
    subscription_coupons = serializers.ListField(
        child=SubscriptionCouponIn(), required=False, allow_null=True, max_length=20
    )
    tax_rate_overrides = serializers.ListField(child=TaxOverrideIn(), required=False, allow_null=True, max_length=20)
    include_price_ids = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        max_length=MOST_TERMS,
        help_text="Only these prices of the plan are charged. By default, all are.",
    )
    override_line_items = serializers.ListField(
        child=OverrideLineItemIn(),
        required=False,
        allow_null=True,
        max_length=MOST_TERMS,
        help_text="Agreed instead of the plan's prices.",
    )
    override_entitlements = serializers.ListField(
        child=OverrideEntitlementIn(), required=False, allow_null=True, max_length=MOST_TERMS
    )
    line_item_commitments = serializers.DictField(
        child=CommitmentIn(), required=False, allow_null=True, help_text="Minimum amounts, by the ids of usage prices."
    )
    line_items = serializers.ListField(
        child=AddedLineItemIn(),
        required=False,
        allow_null=True,
        max_length=MOST_TERMS,
        help_text="Charged in addition to the plan.",
    )
    phases = serializers.ListField(
        child=PhaseIn(), required=False, allow_null=True, max_length=MOST_TERMS, help_text="What is agreed for a time."
    )
    inheritance = InheritanceIn(required=False, allow_null=True)
    addons = serializers.ListField(
        child=AddonToAddIn(),
        required=False,
        allow_null=True,
        max_length=MOST_TERMS,
        help_text="From the start on by default.",
    )
    metadata = MetadataField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("customer_id") or attrs.get("external_customer_id")):
            raise Invalid({"customer_id": "Specify the customer by customer_id or external_customer_id."})
        if attrs["billing_cycle"] == "calendar" and attrs.get("billing_anchor"):
            raise Invalid({"billing_anchor": "Only allowed with the billing cycle anniversary."})
        if attrs.get("payment_terms") and net_days_of(attrs["payment_terms"]) is None:
            raise Invalid({"payment_terms": "Use 15 NET, 30 NET, … or 90 NET."})
        if attrs.get("timezone") and attrs["timezone"] not in available_timezones():
            raise Invalid({"timezone": "Use a name such as Europe/Berlin."})
        return self._without_second_names(attrs)

    def _without_second_names(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Move values to the fields' first names. Refuse two different values."""
        for second, first in (("cancel_at", "end_date"), ("trial_days", "trial_period_days")):
            value = attrs.pop(second, None)
            if value is not None and attrs.setdefault(first, value) != value:
                raise Invalid({second: f"Specify either {second} or {first}."})
        if attrs.get("trial_end") and attrs.get("trial_period_days") is not None:
            raise Invalid({"trial_end": "Specify either trial_end or trial_period_days."})
        if attrs["cancel_at_period_end"] and attrs.get("end_date"):
            raise Invalid({"cancel_at_period_end": "Specify either cancel_at_period_end or end_date."})
        if attrs.get("coupon"):
            attrs["coupons"] = [*(attrs.get("coupons") or []), attrs["coupon"]]
        return attrs


class SubscriptionChange(serializers.Serializer[Any]):
    """The subscription's end. Null and false undo a scheduled cancellation."""

    unused: ClassVar[dict[str, Unused]] = {
        "parent_subscription_id": Unused(SEPARATE),
        "status": Unused("Use the endpoints cancel, pause and resume."),
    }

    cancel_at = MomentField(required=False, allow_null=True, help_text="Cancel at this time, which is in the future.")
    cancel_at_period_end = serializers.BooleanField(required=False)
    reason = TextField(255, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if attrs.get("cancel_at") and "cancel_at_period_end" in attrs:
            raise Invalid({"cancel_at": "Send either cancel_at or cancel_at_period_end."})
        if not {"cancel_at", "cancel_at_period_end"} & set(attrs):
            raise Invalid({"cancel_at": "Send cancel_at or cancel_at_period_end."})
        return attrs


class CancelIn(serializers.Serializer[Any]):
    """When the subscription ends. Usage until then is invoiced."""

    unused: ClassVar[dict[str, Unused]] = {
        "cancel_immediately_invoice_policy": Unused(INVOICED, ("generate_invoice",)),
        "cancel_immediately_inovice_policy": Unused(INVOICED, ("generate_invoice",)),
    }

    cancellation_type = serializers.ChoiceField(CANCELLATIONS)
    cancel_at = MomentField(required=False, allow_null=True)
    proration_behavior = own_proration()
    reason = TextField(255, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if attrs["cancellation_type"] == "scheduled_date" and not attrs.get("cancel_at"):
            raise Invalid({"cancel_at": "This field is required for the cancellation type scheduled_date."})
        return attrs


UNUSED_OF_PAUSES = {"metadata": Unused("A pause has no metadata. Use reason.")}


class PauseIn(serializers.Serializer[Any]):
    """When the pause starts and ends. During a trial, the period ends with the trial."""

    unused: ClassVar[dict[str, Unused]] = UNUSED_OF_PAUSES

    proration_behavior = own_proration()
    pause_mode = serializers.ChoiceField(list(PauseMode), default=PauseMode.IMMEDIATE)
    pause_start = MomentField(required=False, allow_null=True, help_text="Only for the mode scheduled.")
    pause_end = MomentField(required=False, allow_null=True, help_text="Resume automatically at this time.")
    reason = TextField(255, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        is_scheduled = attrs["pause_mode"] == PauseMode.SCHEDULED
        if is_scheduled and not attrs.get("pause_start"):
            raise Invalid({"pause_start": "This field is required for the mode scheduled."})
        if attrs.get("pause_start") and not is_scheduled:
            raise Invalid({"pause_start": "Only allowed with the mode scheduled."})
        return attrs


class ResumeIn(serializers.Serializer[Any]):
    """When the pause ends."""

    unused: ClassVar[dict[str, Unused]] = UNUSED_OF_PAUSES

    proration_behavior = own_proration()
    resume_at = MomentField(required=False, allow_null=True, help_text="Defaults to now. During the pause.")
    reason = TextField(255, allow_null=True)
