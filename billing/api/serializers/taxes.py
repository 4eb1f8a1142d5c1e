"""Tax rates and their assignments, in requests and answers."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from billing.api.fields import ArchivableStatusField
from billing.models import TaxAssignment, TaxRate
from config.api.contract import ContractRecord
from config.api.fields import (
    BlankAsNullField,
    ComputedBoolean,
    ComputedChoice,
    ComputedText,
    ConstantField,
    MetadataField,
    NumberIn,
    QuantityField,
    TextField,
)
from config.api.unknown_names import Unused

ENTITIES = ("tenant", "customer", "subscription")
BEHAVIORS = ("exclusive", "inclusive")
ACTIVE, INACTIVE = STATUSES = ("ACTIVE", "INACTIVE")
Invalid = serializers.ValidationError


def behavior_of(rate: TaxRate) -> str:
    return "inclusive" if rate.is_inclusive else "exclusive"


class RateOut(ContractRecord):
    """A tax rate."""

    nulls: ClassVar[tuple[str, ...]] = ("fixed_value",)

    id = serializers.CharField(source="public_id")
    code = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    percentage_value = QuantityField(source="percentage")
    tax_behavior = ComputedChoice(BEHAVIORS, help_text="Added to prices (exclusive) or included in them (inclusive).")
    country = serializers.CharField()
    scope = ConstantField("INTERNAL")
    tax_rate_type = ConstantField("percentage")
    tax_rate_status = ComputedChoice(STATUSES)
    metadata = MetadataField()
    status = ArchivableStatusField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_tax_behavior(self, rate: TaxRate) -> str:
        return behavior_of(rate)

    def get_tax_rate_status(self, rate: TaxRate) -> str:
        return ACTIVE if rate.archived_at is None else INACTIVE


class AssignmentOut(ContractRecord):
    """A tax rate assigned to a customer, to a subscription, or (tenant) to everyone without taxes of their own."""

    nulls: ClassVar[tuple[str, ...]] = ("end_date", "start_date")

    id = serializers.CharField(source="public_id")
    tax_rate_id = serializers.CharField(source="rate.public_id")
    tax_rate = RateOut(source="rate")
    entity_type = ComputedChoice(ENTITIES)
    entity_id = ComputedText(allow_null=True)
    priority = serializers.IntegerField(source="position")
    auto_apply = ComputedBoolean()
    currency = BlankAsNullField()
    tax_behavior = ComputedChoice(BEHAVIORS)
    metadata = MetadataField()
    status = ConstantField("published")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_entity_type(self, assignment: TaxAssignment) -> str:
        if assignment.subscription is not None:
            return "subscription"
        return "tenant" if assignment.customer is None else "customer"

    def get_entity_id(self, assignment: TaxAssignment) -> str | None:
        owner = assignment.subscription or assignment.customer
        return owner.public_id if owner else None

    def get_auto_apply(self, assignment: TaxAssignment) -> bool:
        return True

    def get_tax_behavior(self, assignment: TaxAssignment) -> str:
        return behavior_of(assignment.rate)


def assignments() -> QuerySet[TaxAssignment]:
    """Load assignments as `AssignmentOut` needs them, in the order in which taxes apply."""
    return TaxAssignment.objects.select_related("rate", "customer", "subscription").order_by("position", "pk")


class RateFields(serializers.Serializer[Any]):
    """The fields that new and changed tax rates share."""

    description = TextField(2000, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)


class RateIn(RateFields):
    """A new tax rate. Its code, percentage and behavior can't be changed later."""

    unused: ClassVar[dict[str, Unused]] = {
        "scope": Unused("Tax rates are your own. Use INTERNAL.", ("INTERNAL",)),
        "tax_rate_type": Unused("Taxes are a percentage.", ("percentage",)),
    }

    code = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=255)
    percentage_value = NumberIn(max_digits=9, decimal_places=6, min_value=0, max_value=100)
    tax_behavior = serializers.ChoiceField(BEHAVIORS, default="exclusive")
    country = serializers.RegexField(r"^[A-Za-z]{2}\Z", required=False, allow_blank=True, allow_null=True)


class RateChange(RateFields):
    """The fields to change; the others keep their values. An inactive tax rate is no longer charged to anyone."""

    unused: ClassVar[dict[str, Unused]] = dict.fromkeys(
        ("percentage_value", "tax_behavior", "country"), Unused("This can't be changed. Create a new tax rate.")
    )

    name = serializers.CharField(max_length=255, required=False)
    code = TextField(64, allow_null=True, help_text="Must be the current code.")
    tax_rate_status = serializers.ChoiceField(STATUSES, required=False, allow_null=True)


UNUSED_OF_ASSIGNMENTS = {"auto_apply": Unused("An assigned tax is always applied. Leave this field out.", (True,))}


class AssignmentChange(serializers.Serializer[Any]):
    unused: ClassVar[dict[str, Unused]] = UNUSED_OF_ASSIGNMENTS | {
        "tax_behavior": Unused("An assignment has its tax rate's behavior. Leave this field out.")
    }

    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)


class AssignmentIn(AssignmentChange):
    """The tax rate, and who is charged for it. Without an entity, everyone without taxes of their own."""

    unused: ClassVar[dict[str, Unused]] = UNUSED_OF_ASSIGNMENTS | {
        "start_date": Unused("Taxes are assigned from now on. Leave this field out."),
        "end_date": Unused("Taxes are assigned from now on. Delete the association when it ends."),
    }

    tax_rate_code = serializers.CharField(max_length=64)
    entity_type = serializers.ChoiceField(ENTITIES, required=False, allow_null=True)
    entity_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_blank=True, allow_null=True)
    tax_behavior = serializers.ChoiceField(
        BEHAVIORS, required=False, allow_null=True, help_text="Must be the tax rate's behavior."
    )

    def validate(self, attrs: Any) -> Any:
        entity = attrs.get("entity_type")
        if entity == "subscription" and not attrs.get("entity_id"):
            raise Invalid({"entity_id": "Specify the subscription's id."})
        if entity == "customer" and not (attrs.get("entity_id") or attrs.get("external_customer_id")):
            raise Invalid({"entity_id": "Specify the customer by entity_id or external_customer_id."})
        if entity is None and attrs.get("entity_id"):
            raise Invalid({"entity_type": "Specify whether entity_id is a customer or a subscription."})
        return attrs
