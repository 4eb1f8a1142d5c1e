"""Events and CloudEvents as they are sent, and the answers."""

from typing import Any

from rest_framework import serializers

from events.ingest.payload import LARGEST_BATCH, LONGEST_NAME


class EventBody(serializers.Serializer[Any]):
    """One event."""

    event_name = serializers.CharField(
        max_length=LONGEST_NAME,
        help_text="Determines which features count the event. Case-sensitive; surrounding spaces are removed. Events "
        "with a name that no feature has are accepted and stored as problems.",
    )
    external_customer_id = serializers.CharField(
        max_length=LONGEST_NAME,
        help_text="Your id of the customer. Events of unknown customers are accepted, and counted once the customer "
        "exists.",
    )
    event_id = serializers.CharField(
        max_length=LONGEST_NAME,
        required=False,
        allow_null=True,
        help_text="The idempotency key: only the first event with an id is counted. If you leave it out, an id is "
        "generated, and sending the event again counts it again.",
    )
    timestamp = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="When the event occurred: RFC 3339 with an offset, to the microsecond. Defaults to now.",
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a field named as the base class's argument
        max_length=LONGEST_NAME,
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="The system that sent the event.",
    )
    properties = serializers.DictField(
        child=serializers.JSONField(),
        required=False,
        allow_null=True,
        help_text="Values to aggregate, compare or filter by. Numbers are stored exactly as written: "
        "up to 100 digits, below 1e309.",
    )


class EventBatchBody(serializers.Serializer[Any]):
    """A batch of events. All are accepted, or none."""

    events = serializers.ListField(child=EventBody(), min_length=1, max_length=LARGEST_BATCH)


class CloudEventBody(serializers.Serializer[Any]):
    """A CloudEvent in the JSON format. Other attributes are ignored."""

    specversion = serializers.ChoiceField(["1.0"])
    id = serializers.CharField(max_length=LONGEST_NAME, help_text="The `event_id`, unique across all sources.")
    source = serializers.CharField(max_length=LONGEST_NAME)  # type: ignore[assignment]  # as in EventBody
    type = serializers.CharField(max_length=LONGEST_NAME, help_text="The `event_name`.")
    subject = serializers.CharField(max_length=LONGEST_NAME, help_text="The `external_customer_id`.")
    time = serializers.DateTimeField(required=False, allow_null=True, help_text="The `timestamp`.")
    data = serializers.DictField(  # type: ignore[assignment]  # a field named as the base class's property
        child=serializers.JSONField(),
        required=False,
        allow_null=True,
        help_text="The `properties`, a JSON object.",
    )


class EventAccepted(serializers.Serializer[Any]):
    """The event is stored durably and will be counted."""

    message = serializers.CharField()
    event_id = serializers.CharField(help_text="As sent, or generated.")
    warning = serializers.CharField(
        required=False, help_text="Only if a number is sent as text for a feature that counts JSON numbers."
    )


class EventsAccepted(serializers.Serializer[Any]):
    """All events are stored durably and will be counted."""

    message = serializers.CharField()
    warning = serializers.CharField(
        required=False, help_text="Only if a number is sent as text for a feature that counts JSON numbers."
    )


ONE_EVENT: dict[str, Any] = {
    "event_name": "tokens.used",
    "external_customer_id": "acme",
    "event_id": "req_8f14e45f",
    "timestamp": "2026-01-31T12:00:00Z",
    "properties": {"tokens": 1280, "model": "small"},
}
ONE_CLOUD_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "req_8f14e45f",
    "source": "/gateway/eu",
    "type": "tokens.used",
    "subject": "acme",
    "time": "2026-01-31T12:00:00Z",
    "data": {"tokens": 1280, "model": "small"},
}
