"""An event's diagnosis, and the fixes it offers, in requests and answers."""

from typing import Any

from rest_framework import serializers

from config.api.fields import TextField
from events.api.serializers.fields import Moment
from events.ingest.payload import LONGEST_NAME


class OwnerQuery(serializers.Serializer[Any]):
    """The customer and the time of the event to look up."""

    external_customer_id = TextField(LONGEST_NAME, help_text="Only if the event was sent for this customer.")
    start_time = Moment(help_text="Only if the event occurred at or after this time.")
    end_time = Moment(help_text="Only if the event occurred before this time.")


class LookupQuery(OwnerQuery):
    """The event to look up."""

    id = serializers.CharField(help_text="The event's id, as sent.")


class OfferedFix(serializers.Serializer[Any]):
    """A fix to preview and apply, after adding the parameters in `missing`."""

    label = serializers.CharField()  # type: ignore[assignment]  # a field named as the base class's argument
    action = serializers.CharField()
    parameters = serializers.DictField(child=serializers.CharField())
    missing = serializers.ListField(child=serializers.CharField())


class DiagnosisStep(serializers.Serializer[Any]):
    """A step of the diagnosis."""

    step = serializers.CharField()
    status = serializers.ChoiceField(["pass", "warning", "fail", "info"])
    reason = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    feature_id = serializers.CharField(allow_null=True)
    guide = serializers.CharField(allow_null=True)
    fix = serializers.CharField(allow_null=True)
    fixes = OfferedFix(many=True)


class Lookup(serializers.Serializer[Any]):
    """An event with its diagnosis.

    `processed_events` is null unless the event is billed, `debug_tracker` if it is. `steps` lists all checks, also
    those after the first failure.
    """

    event = serializers.DictField()
    events = serializers.ListField(child=serializers.DictField())
    status = serializers.ChoiceField(["processed", "processing", "failed"])
    processed_events = serializers.ListField(child=serializers.DictField(), allow_null=True)
    debug_tracker = serializers.DictField(allow_null=True)
    steps = DiagnosisStep(many=True)
