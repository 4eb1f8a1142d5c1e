"""Problems and their causes in requests and answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.api.fields import QuantityField, TextField
from events.api.fix_parameters import list_fixes
from events.api.serializers.diagnosis import OfferedFix
from events.diagnosis.billing_facts import billing
from events.fixing.at_risk import AtRisk
from events.fixing.causes import trouble_of
from events.fixing.offers import offers_for
from events.ingest.payload import LONGEST_NAME
from events.ledger.causes import Cause
from events.models import ProblemState
from events.reasons import Reason

MOST_AT_ONCE = 20_000
PROBLEM_STATES = {str(state.label).lower(): state for state in ProblemState}


class CauseBody(serializers.Serializer[Any]):
    """A cause of open problems."""

    reason = serializers.ChoiceField(Reason.choices)
    event_name = TextField(LONGEST_NAME)
    external_customer_id = TextField(LONGEST_NAME)
    feature_id = TextField(64)


class UnitsAtRisk(serializers.Serializer[Any]):
    feature_name = serializers.CharField()
    quantity = QuantityField()
    unit = serializers.CharField()


class AtRiskOut(serializers.Serializer[Any]):
    """What fixing a cause would add. `unknown` is the reason if it can't be calculated."""

    is_partial = serializers.BooleanField(help_text="Whether more events wait than were included.")
    is_subscribed = serializers.BooleanField(help_text="Whether some of the events are in a billing period.")
    units = serializers.SerializerMethodField()
    amounts = serializers.SerializerMethodField(help_text="By currency.")
    unknown = serializers.CharField()

    @extend_schema_field(UnitsAtRisk(many=True))
    def get_units(self, risk: AtRisk) -> list[dict[str, Any]]:
        names = ("feature_name", "quantity", "unit")
        return list(UnitsAtRisk([dict(zip(names, row, strict=True)) for row in risk.units], many=True).data)

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_amounts(self, risk: AtRisk) -> dict[str, str]:
        return {currency: billing().write_digits(amount, currency) for currency, amount in sorted(risk.amounts.items())}


class ProblemChoice(serializers.Serializer[Any]):
    """Open problems, by id or by cause."""

    problem_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=MOST_AT_ONCE, required=False
    )
    cause = CauseBody(required=False)

    def validate(self, attrs: Any) -> Any:
        if bool(attrs.get("problem_ids")) == bool(attrs.get("cause")):
            raise serializers.ValidationError("Specify either problem_ids or a cause.")
        return attrs


class Dismissal(ProblemChoice):
    reason = serializers.CharField(max_length=255, help_text="The reason for not counting the events.")


class ReplayAnswer(serializers.Serializer[Any]):
    """The result of a replay. If `has_more` is true, repeat the request to replay the remaining events."""

    events = serializers.IntegerField()
    closed = serializers.IntegerField()
    still_open = serializers.IntegerField()
    has_more = serializers.BooleanField()


class DismissAnswer(serializers.Serializer[Any]):
    dismissed = serializers.IntegerField()
    has_more = serializers.BooleanField()


class ProblemOut(serializers.Serializer[Any]):
    """The reason why an event isn't counted, by one feature or at all."""

    id = serializers.CharField(source="pk")
    event_id = serializers.CharField(source="event.event_id")
    event_name = serializers.CharField()
    external_customer_id = serializers.CharField()
    feature_id = serializers.CharField(source="feature.public_id", default=None, allow_null=True)
    reason = serializers.ChoiceField(Reason.choices)
    message = serializers.CharField(source="get_reason_display")
    detail = serializers.DictField()
    state = serializers.SerializerMethodField()
    timestamp = serializers.DateTimeField(source="occurred_at")
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closing = serializers.CharField()

    def get_state(self, problem: Any) -> str:
        return str(problem.get_state_display()).lower()


class CauseOut(serializers.Serializer[Any]):
    """Open problems with the same cause. If `is_capped` is true, there are more `problems` than counted."""

    reason = serializers.ChoiceField(Reason.choices)
    message = serializers.CharField(source="reason.label")
    fix = serializers.CharField(source="explanation.fix")
    guide = serializers.CharField(source="explanation.guide")
    event_name = serializers.CharField()
    external_customer_id = serializers.CharField(source="external_id")
    feature_id = serializers.CharField(source="feature.public_id", default=None, allow_null=True)
    problems = serializers.IntegerField()
    is_capped = serializers.BooleanField()
    customers = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    fixes = serializers.SerializerMethodField(help_text="The fixes for this cause, the likeliest first.")

    @extend_schema_field(OfferedFix(many=True))
    def get_fixes(self, cause: Cause) -> list[dict[str, Any]]:
        known_ids = {("feature_id", str(cause.feature.pk)): cause.feature.public_id} if cause.feature else {}
        return list_fixes(offers_for(trouble_of(cause), known_names=self.context["names"]), known_ids)


class Causes(serializers.Serializer[Any]):
    items = CauseOut(many=True)
