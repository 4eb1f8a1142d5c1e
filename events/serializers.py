"""How the ingest doors' bodies are described in the OpenAPI schema. `events/payload.py` reads them, not these."""

from typing import Any

from rest_framework import serializers

from events.payload import LARGEST_BATCH, LONGEST_NAME


class EventBody(serializers.Serializer[Any]):
    """One event."""

    event_name = serializers.CharField(
        max_length=LONGEST_NAME,
        help_text="Which features it counts for. Capitals count; blanks around it are dropped. "
        "A name that no feature has is accepted, and kept as a problem.",
    )
    external_customer_id = serializers.CharField(
        max_length=LONGEST_NAME,
        help_text="Your id of the customer. An unknown one is accepted, and counted once the customer exists.",
    )
    event_id = serializers.CharField(
        max_length=LONGEST_NAME,
        required=False,
        allow_null=True,
        help_text="The idempotency key: the first event with an id counts, for ever. Made if it is left out; "
        "then sending the event again counts again.",
    )
    timestamp = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="When it occurred: RFC 3339 with a zone, to the microsecond. Now, if it is left out.",
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a field named as the base class's argument
        max_length=LONGEST_NAME, required=False, allow_null=True, allow_blank=True, help_text="Which system sent it."
    )
    properties = serializers.DictField(
        child=serializers.JSONField(allow_null=True),
        required=False,
        allow_null=True,
        help_text="What is summed, compared or filtered by. Numbers are kept exactly as they are written: "
        "up to 100 digits, below 1e309.",
    )


class EventBatchBody(serializers.Serializer[Any]):
    """A batch of events: all are accepted, or none."""

    events = serializers.ListField(child=EventBody(), min_length=1, max_length=LARGEST_BATCH)


class EventAccepted(serializers.Serializer[Any]):
    """The event is stored for good, and will be counted."""

    message = serializers.CharField()
    event_id = serializers.CharField(help_text="As sent, or made.")


class EventsAccepted(serializers.Serializer[Any]):
    """All events are stored for good, and will be counted."""

    message = serializers.CharField()


ONE_EVENT: dict[str, Any] = {
    "event_name": "tokens.used",
    "external_customer_id": "acme",
    "event_id": "req_8f14e45f",
    "timestamp": "2026-01-31T12:00:00Z",
    "properties": {"tokens": 1280, "model": "small"},
}
