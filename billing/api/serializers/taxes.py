"""What the API says and reads of taxes: rates, and who pays them."""

from typing import Any

from rest_framework import serializers

from billing.models import TaxAssignment, TaxRate
from config.api.fields import MetadataField, TextField, plain

ENTITIES = ("tenant", "customer", "subscription")
BEHAVIORS = ("exclusive", "inclusive")
STATUSES = ("ACTIVE", "INACTIVE")
Invalid = serializers.ValidationError


class RateOut(serializers.Serializer[Any]):
    """A named tax."""

    id = serializers.CharField()
    code = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    percentage_value = serializers.CharField()
    tax_behavior = serializers.ChoiceField(BEHAVIORS, help_text="On top of prices, or contained in them.")
    country = serializers.CharField()
    scope = serializers.ChoiceField(["INTERNAL"])
    tax_rate_type = serializers.ChoiceField(["percentage"])
    tax_rate_status = serializers.ChoiceField(STATUSES)
    metadata = MetadataField()
    status = serializers.ChoiceField(["published", "archived"])
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class AssignmentOut(serializers.Serializer[Any]):
    """That a customer, a subscription, or (tenant) everybody without own taxes pays a tax."""

    id = serializers.CharField()
    tax_rate_id = serializers.CharField()
    tax_rate = RateOut()
    entity_type = serializers.ChoiceField(ENTITIES)
    entity_id = serializers.CharField(allow_null=True)
    priority = serializers.IntegerField()
    auto_apply = serializers.BooleanField()
    currency = serializers.CharField(allow_null=True)
    tax_behavior = serializers.ChoiceField(BEHAVIORS)
    metadata = MetadataField()
    status = serializers.ChoiceField(["published"])
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def behavior(rate: TaxRate) -> str:
    return "inclusive" if rate.is_inclusive else "exclusive"


def rate_out(rate: TaxRate) -> dict[str, Any]:
    return {
        "id": rate.public_id,
        "code": rate.code,
        "name": rate.name,
        "description": rate.description,
        "percentage_value": plain(rate.percentage),
        "tax_behavior": behavior(rate),
        "country": rate.country,
        "scope": "INTERNAL",
        "tax_rate_type": "percentage",
        "tax_rate_status": "ACTIVE" if rate.archived_at is None else "INACTIVE",
        "metadata": rate.metadata,
        "status": "published" if rate.archived_at is None else "archived",
        "created_at": rate.created_at,
        "updated_at": rate.updated_at,
    }


def assignment_out(assignment: TaxAssignment) -> dict[str, Any]:
    """Write an assignment that was loaded with its rate, customer and subscription."""
    owner = assignment.subscription or assignment.customer
    kinds = {"subscription": assignment.subscription, "customer": assignment.customer}
    return {
        "id": assignment.public_id,
        "tax_rate_id": assignment.rate.public_id,
        "tax_rate": rate_out(assignment.rate),
        "entity_type": next((kind for kind, each in kinds.items() if each is not None), "tenant"),
        "entity_id": owner.public_id if owner else None,
        "priority": assignment.position,
        "auto_apply": True,
        "currency": assignment.currency or None,
        "tax_behavior": behavior(assignment.rate),
        "metadata": assignment.metadata,
        "status": "published",
        "created_at": assignment.created_at,
        "updated_at": assignment.updated_at,
    }


class RateIn(serializers.Serializer[Any]):
    """A new tax. Its code, percentage and behavior can't be changed later."""

    code = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=255)
    percentage_value = serializers.DecimalField(max_digits=9, decimal_places=6, min_value=0, max_value=100)
    tax_behavior = serializers.ChoiceField(BEHAVIORS, default="exclusive")
    country = serializers.RegexField(r"^[A-Za-z]{2}\Z", required=False, allow_blank=True, allow_null=True)
    description = TextField(2000, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)


class RateChange(serializers.Serializer[Any]):
    """What to change of a tax; the rest stays. An inactive one is as if nobody were assigned to it."""

    name = serializers.CharField(max_length=255, required=False)
    code = TextField(64, allow_null=True, help_text="Only as it is.")
    description = TextField(2000, allow_null=True)
    tax_rate_status = serializers.ChoiceField(STATUSES, required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)


class AssignmentIn(serializers.Serializer[Any]):
    """Who is to pay a tax. Naming nobody is everybody without own taxes."""

    tax_rate_code = serializers.CharField(max_length=64)
    entity_type = serializers.ChoiceField(ENTITIES, required=False, allow_null=True)
    entity_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z", required=False, allow_blank=True, allow_null=True)
    tax_behavior = serializers.ChoiceField(BEHAVIORS, required=False, allow_null=True, help_text="The rate's own.")
    metadata = MetadataField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        later = [name for name in ("start_date", "end_date") if isinstance(data, dict) and data.get(name)]
        if later:
            raise Invalid(dict.fromkeys(later, "This isn't supported: a tax is assigned from now on."))
        if isinstance(data, dict) and data.get("auto_apply") is False:
            raise Invalid({"auto_apply": "An assigned tax is always applied."})
        return super().to_internal_value(data)

    def validate(self, attrs: Any) -> Any:
        wanted = attrs.get("entity_type")
        if wanted == "subscription" and not attrs.get("entity_id"):
            raise Invalid({"entity_id": "Name the subscription."})
        if wanted == "customer" and not (attrs.get("entity_id") or attrs.get("external_customer_id")):
            raise Invalid({"entity_id": "Name the customer, by entity_id or external_customer_id."})
        if wanted is None and attrs.get("entity_id"):
            raise Invalid({"entity_type": "Say whether it is a customer or a subscription."})
        return attrs


class AssignmentChange(serializers.Serializer[Any]):
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)
