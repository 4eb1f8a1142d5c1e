"""Bodies of the doors that read events, usage and problems."""

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
    """Property names, each with the values that will do."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=100)
        super().__init__(child=child, required=False, allow_null=True, **kwargs)


class Moment(serializers.DateTimeField):
    """A window's edge. One before 1970 or after 2200, such as a client's zero, is taken for that year's start."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        return min(max(super().to_internal_value(value), FIRST), LAST)


class EventQuery(serializers.Serializer[Any]):
    """Which events to list. All that is given must hold."""

    external_customer_id = TextField(LONGEST_NAME)
    event_name = TextField(LONGEST_NAME)
    event_id = TextField(LONGEST_NAME)
    source = TextField(LONGEST_NAME)  # type: ignore[assignment]  # a field named as the base class's argument
    state = serializers.ChoiceField(list(STATES), required=False, help_text="What became of it.")
    reason = serializers.ChoiceField(Reason.choices, required=False, help_text="Of an open problem.")
    start_time = Moment(help_text="Occurred at or after.")
    end_time = Moment(help_text="Occurred before.")
    property_filters = Values(help_text="Each property has one of its values.")
    page_size = serializers.IntegerField(min_value=1, max_value=50, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    iter_first_key = TextField(600, help_text="Go on to what comes before this cursor.")
    iter_last_key = TextField(600, help_text="Go on to what comes after this cursor.")
    count_total = serializers.BooleanField(default=False, help_text="Count them, up to 10,000.")
    sort = serializers.CharField(required=False, allow_blank=True, help_text="Ignored: the order is that of arrival.")
    order = serializers.ChoiceField(["asc", "desc"], default="desc")


class EventListQuery(EventQuery):
    """The same as query parameters; `property_filters` as `model:small,large;region:eu`."""

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
    """A page of events, newest arrivals first. Pass `iter_last_key` on for the next."""

    events = ListedEvent(many=True)
    has_more = serializers.BooleanField()
    iter_first_key = serializers.CharField(allow_null=True)
    iter_last_key = serializers.CharField(allow_null=True)
    offset = serializers.IntegerField(help_text="Of the next page.")
    total_count = serializers.IntegerField(allow_null=True)


class DiagnosisStep(serializers.Serializer[Any]):
    """One step of the troubleshooting guide."""

    step = serializers.CharField()
    status = serializers.ChoiceField(["pass", "warning", "fail", "info"])
    reason = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    feature_id = serializers.CharField(allow_null=True)
    guide = serializers.CharField(allow_null=True)
    fix = serializers.CharField(allow_null=True)


class Lookup(serializers.Serializer[Any]):
    """One event with all that is known of it. `debug_tracker` where it doesn't count, `processed_events` where it
    does; `steps` always: the whole path, never stopping at the first failure."""

    event = serializers.DictField()
    events = serializers.ListField(child=serializers.DictField())
    status = serializers.ChoiceField(["processed", "processing", "failed"])
    processed_events = serializers.ListField(child=serializers.DictField(), required=False)
    debug_tracker = serializers.DictField(required=False)
    steps = DiagnosisStep(many=True)


class UsageWindow(serializers.Serializer[Any]):
    start_time = Moment(help_text="Default: 30 days ago.")
    end_time = Moment(help_text="Default: now.")
    window_size = serializers.ChoiceField(list(SIZES), required=False, allow_null=True, allow_blank=True)
    timezone = TextField(64, help_text="Of the windows; default: the customer's.")
    billing_anchor = Moment(help_text="MONTH windows begin on its day.")
    filters = Values()
    external_customer_id = TextField(LONGEST_NAME)
    customer_id = TextField(64)


class MeterQuery(UsageWindow):
    """Usage of one feature by one customer."""

    meter_id = serializers.CharField(help_text="The meter's or the feature's id.")


class UsageQuery(UsageWindow):
    """Usage of an event name by one customer, as the feature that measures it this way adds it up."""

    event_name = serializers.CharField(max_length=LONGEST_NAME)
    aggregation_type = serializers.ChoiceField(list(AGGREGATIONS))
    property_name = TextField(LONGEST_NAME)
    multiplier = serializers.DecimalField(max_digits=60, decimal_places=20, required=False, allow_null=True)


class UsagePoint(serializers.Serializer[Any]):
    window_size = serializers.DateTimeField(help_text="The window's start.")
    value = serializers.DecimalField(max_digits=None, decimal_places=None, coerce_to_string=False)


class UsageAnswer(serializers.Serializer[Any]):
    """Usage as exact JSON numbers."""

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
    """The last 24 hours. `consumption_lag` counts what waits to be processed (up to 10,001), `post_processing_lag`
    is for how many seconds the oldest of it has."""

    total_count = serializers.IntegerField()
    consumption_lag = serializers.IntegerField()
    post_processing_lag = serializers.FloatField()
    points = Volume(many=True)


class VoidBody(serializers.Serializer[Any]):
    """Which events to take back, and why."""

    event_ids = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_NAME), min_length=1, max_length=500
    )
    reason = serializers.CharField(max_length=255)


class VoidAnswer(serializers.Serializer[Any]):
    voided = serializers.ListField(child=serializers.CharField())
    already_voided = serializers.ListField(child=serializers.CharField())
    final = serializers.ListField(child=serializers.CharField())
    unknown = serializers.ListField(child=serializers.CharField())


class CauseBody(serializers.Serializer[Any]):
    """A cause: what open problems have in common."""

    reason = serializers.ChoiceField(Reason.choices)
    event_name = TextField(LONGEST_NAME)
    external_customer_id = TextField(LONGEST_NAME)
    feature_id = TextField(64)


class ProblemChoice(serializers.Serializer[Any]):
    """Open problems: by id, or by cause."""

    problem_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), max_length=MOST_AT_ONCE, required=False
    )
    cause = CauseBody(required=False)

    def validate(self, attrs: Any) -> Any:
        if bool(attrs.get("problem_ids")) == bool(attrs.get("cause")):
            raise serializers.ValidationError("Give problem_ids, or a cause.")
        return attrs


class Dismissal(ProblemChoice):
    reason = serializers.CharField(max_length=255, help_text="Why they need not count.")


class ReplayAnswer(serializers.Serializer[Any]):
    """What a replay did. `has_more`: the cause has more events than one call replays; call again."""

    events = serializers.IntegerField()
    closed = serializers.IntegerField()
    still_open = serializers.IntegerField()
    has_more = serializers.BooleanField()


class DismissAnswer(serializers.Serializer[Any]):
    dismissed = serializers.IntegerField()
    has_more = serializers.BooleanField()


class ProblemOut(serializers.Serializer[Any]):
    """Why one event doesn't count, for one feature or at all."""

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
    """Open problems with one cause. `problems` stops at 10,000 read of one reason and name: `is_capped`."""

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
