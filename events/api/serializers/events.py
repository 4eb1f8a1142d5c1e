"""Lists of events, their volume, and voiding, in requests and answers."""

from typing import Any, ClassVar

from rest_framework import serializers

from config.api.contract import ContractAnswer
from config.api.fields import TextField
from events.api.serializers.fields import Moment, Values
from events.ingest.payload import LONGEST_NAME
from events.models import EventState
from events.reasons import Reason

STATES = {str(state.label).lower().replace(" ", "_"): state for state in EventState}


class EventQuery(serializers.Serializer[Any]):
    """The events to list. All filters must match."""

    external_customer_id = TextField(LONGEST_NAME)
    event_name = TextField(LONGEST_NAME)
    event_id = TextField(LONGEST_NAME)
    source = TextField(LONGEST_NAME)  # type: ignore[assignment]  # a field named as the base class's argument
    state = serializers.ChoiceField(list(STATES), required=False, help_text="The event's state.")
    reason = serializers.ChoiceField(Reason.choices, required=False, help_text="The reason of an open problem.")
    start_time = Moment(help_text="Only events at or after this time.")
    end_time = Moment(help_text="Only events before this time.")
    property_filters = Values(help_text="Only events whose properties have one of these values.")
    page_size = serializers.IntegerField(min_value=1, max_value=50, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    iter_first_key = TextField(600, help_text="The page before this cursor.")
    iter_last_key = TextField(600, help_text="The page after this cursor.")
    count_total = serializers.BooleanField(default=False, help_text="Count the matching events, up to 10,000.")
    sort = serializers.CharField(
        required=False, allow_blank=True, help_text="Ignored. Events are sorted by the time they were received."
    )
    order = serializers.ChoiceField(["asc", "desc"], default="desc")


class EventListQuery(EventQuery):
    """The filters as query parameters; `property_filters` in the format `model:small,large;region:eu`."""

    property_filters = TextField(2000)  # type: ignore[assignment]  # the same filter, written in one text


class ListedEvent(ContractAnswer):
    """A processed event."""

    nulls: ClassVar[tuple[str, ...]] = ("environment_id",)

    id = serializers.CharField()
    event_name = serializers.CharField()
    external_customer_id = serializers.CharField()
    customer_id = serializers.CharField(allow_null=True)
    timestamp = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field named as the base class's argument
    properties = serializers.DictField(child=serializers.JSONField())
    ingested_at = serializers.DateTimeField()
    state = serializers.ChoiceField(list(STATES))
    reasons = serializers.ListField(child=serializers.ChoiceField(Reason.choices))


class EventPage(serializers.Serializer[Any]):
    """A page of events, most recently received first. Send `iter_last_key` to get the next page."""

    events = ListedEvent(many=True)
    has_more = serializers.BooleanField()
    iter_first_key = serializers.CharField(allow_null=True)
    iter_last_key = serializers.CharField(allow_null=True)
    offset = serializers.IntegerField(help_text="The offset of the next page.")
    total_count = serializers.IntegerField(allow_null=True)


class Volume(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    events = serializers.IntegerField()
    counted = serializers.IntegerField()
    partly = serializers.IntegerField()
    problems = serializers.IntegerField()
    duplicates = serializers.IntegerField()


class Monitoring(serializers.Serializer[Any]):
    """Events of the last 24 hours.

    `consumption_lag` is the number of events waiting to be processed (up to 10,001); `post_processing_lag` is the age
    of the oldest in seconds.
    """

    total_count = serializers.IntegerField()
    consumption_lag = serializers.IntegerField()
    post_processing_lag = serializers.FloatField()
    points = Volume(many=True)


class VoidBody(serializers.Serializer[Any]):
    """The events to void, and the reason."""

    event_ids = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_NAME), min_length=1, max_length=500
    )
    reason = serializers.CharField(max_length=255)


class VoidAnswer(serializers.Serializer[Any]):
    voided = serializers.ListField(child=serializers.CharField())
    already_voided = serializers.ListField(child=serializers.CharField(), source="before")
    final = serializers.ListField(child=serializers.CharField())
    unknown = serializers.ListField(child=serializers.CharField())
