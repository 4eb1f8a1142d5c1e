"""Events, usage and problems in requests and answers."""

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from catalog.api.names import AGGREGATIONS
from config.api.fields import TextField
from events.ingest.payload import LARGEST_BATCH, LONGEST_NAME
from events.models import EventState, ProblemState
from events.reasons import Reason
from events.usage.windows import SIZES

MOST_AT_ONCE = 20_000
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
STATES = {str(state.label).lower().replace(" ", "_"): state for state in EventState}
PROBLEM_STATES = {str(state.label).lower(): state for state in ProblemState}


class Values(serializers.DictField):
    """Property names, each with the accepted values."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=100)
        super().__init__(child=child, required=False, allow_null=True, **kwargs)


class Moment(serializers.DateTimeField):
    """The start or end of a time range, limited to the years 1970 to 2200."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        return min(max(super().to_internal_value(value), FIRST), LAST)


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


class ListedEvent(serializers.Serializer[Any]):
    """A processed event."""

    id = serializers.CharField()
    event_name = serializers.CharField()
    external_customer_id = serializers.CharField()
    customer_id = serializers.CharField(allow_null=True)
    timestamp = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field named as the base class's argument
    properties = serializers.DictField(child=serializers.JSONField(allow_null=True))
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


class DiagnosisStep(serializers.Serializer[Any]):
    """A step of the diagnosis."""

    step = serializers.CharField()
    status = serializers.ChoiceField(["pass", "warning", "fail", "info"])
    reason = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    feature_id = serializers.CharField(allow_null=True)
    guide = serializers.CharField(allow_null=True)
    fix = serializers.CharField(allow_null=True)


class Lookup(serializers.Serializer[Any]):
    """An event with its diagnosis.

    `processed_events` is present if the event is counted, `debug_tracker` if it isn't. `steps` lists all checks, also
    those after the first failure.
    """

    event = serializers.DictField()
    events = serializers.ListField(child=serializers.DictField())
    status = serializers.ChoiceField(["processed", "processing", "failed"])
    processed_events = serializers.ListField(child=serializers.DictField(), required=False)
    debug_tracker = serializers.DictField(required=False)
    steps = DiagnosisStep(many=True)


class UsageWindow(serializers.Serializer[Any]):
    start_time = Moment(help_text="Defaults to 30 days before end_time.")
    end_time = Moment(help_text="Defaults to now.")
    window_size = serializers.ChoiceField(list(SIZES), required=False, allow_null=True, allow_blank=True)
    timezone = TextField(64, help_text="The time zone of the windows. Defaults to the customer's.")
    billing_anchor = Moment(help_text="MONTH windows start on this day of the month.")
    filters = Values()
    external_customer_id = TextField(LONGEST_NAME)
    customer_id = TextField(64)


class MeterQuery(UsageWindow):
    """A customer's usage of one feature."""

    meter_id = serializers.CharField(help_text="The id of the meter or the feature.")


class UsageQuery(UsageWindow):
    """A customer's usage by event name, as measured by the feature with this aggregation."""

    event_name = serializers.CharField(max_length=LONGEST_NAME)
    aggregation_type = serializers.ChoiceField(list(AGGREGATIONS))
    property_name = TextField(LONGEST_NAME)
    multiplier = serializers.DecimalField(max_digits=60, decimal_places=20, required=False, allow_null=True)


class UsagePoint(serializers.Serializer[Any]):
    window_size = serializers.DateTimeField(help_text="The window's start.")
    value = serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False)


class UsageAnswer(serializers.Serializer[Any]):
    """The usage, in exact JSON numbers."""

    type = serializers.CharField()
    event_name = serializers.CharField()
    value = serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False)
    results = UsagePoint(many=True)


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


class CauseBody(serializers.Serializer[Any]):
    """A cause of open problems."""

    reason = serializers.ChoiceField(Reason.choices)
    event_name = TextField(LONGEST_NAME)
    external_customer_id = TextField(LONGEST_NAME)
    feature_id = TextField(64)


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


class Causes(serializers.Serializer[Any]):
    items = CauseOut(many=True)


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
        child=serializers.JSONField(allow_null=True),
        required=False,
        allow_null=True,
        help_text="Values to aggregate, compare or filter by. Numbers are stored exactly as written: "
        "up to 100 digits, below 1e309.",
    )


class EventBatchBody(serializers.Serializer[Any]):
    """A batch of events. All are accepted, or none."""

    events = serializers.ListField(child=EventBody(), min_length=1, max_length=LARGEST_BATCH)


class EventAccepted(serializers.Serializer[Any]):
    """The event is stored durably and will be counted."""

    message = serializers.CharField()
    event_id = serializers.CharField(help_text="As sent, or generated.")


class EventsAccepted(serializers.Serializer[Any]):
    """All events are stored durably and will be counted."""

    message = serializers.CharField()


ONE_EVENT: dict[str, Any] = {
    "event_name": "tokens.used",
    "external_customer_id": "acme",
    "event_id": "req_8f14e45f",
    "timestamp": "2026-01-31T12:00:00Z",
    "properties": {"tokens": 1280, "model": "small"},
}
