"""Filters of the event lists. Filters by time of receipt use the primary key, so they need no index."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from catalog.models import EventNameAlias, Feature
from config.office.filters import RangeDateTimeFilter
from customers.models import CustomerAlias
from events.models import EventState, Problem, ProblemState
from events.overview.dashboard import first_id_received_since
from events.reasons import Reason
from events.usage.contributing_events import counts_for

DEFAULT_DAYS = 7
MOST_FEATURES = 500

EVENT_REASONS = tuple(
    reason
    for reason in Reason
    if reason
    in {
        Reason.UNKNOWN_EVENT_NAME,
        Reason.FEATURE_ARCHIVED,
        Reason.FILTER_MISMATCH,
        Reason.BEFORE_FEATURE_START,
        Reason.AGGREGATION_FIELD_MISSING,
        Reason.NOT_A_NUMBER,
        Reason.UNUSABLE_VALUE,
        Reason.VALUE_OUT_OF_RANGE,
        Reason.UNKNOWN_CUSTOMER,
        Reason.CUSTOMER_ARCHIVED,
    }
)


class PeriodFilter(DropdownFilter):
    """Filter by time of receipt. Defaults to the last week, unless another filter limits the list."""

    title = "received"
    parameter_name = "received"
    all_option = ["", f"Last {DEFAULT_DAYS} days"]
    SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=31)}
    first_id: int | None = None  # the lowest ledger ID that passes

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("hour", "Last hour"), ("day", "Last 24 hours"), ("month", "Last 31 days"), ("all", "Any time")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all" or (not self.value() and _is_limited_otherwise(request)):
            return queryset
        since = timezone.now() - self.SPANS.get(self.value() or "", timedelta(days=DEFAULT_DAYS))
        self.first_id = first_id_received_since(since)
        return queryset.filter(pk__gte=self.first_id, received_at__gte=since)


def _is_limited_otherwise(request: HttpRequest) -> bool:
    """Return whether the request has a filter that uses an index, or its own range."""
    names = ("q", "customer__id__exact", "reason", "ids", "received_at_from_0", "received_at_to_0")
    return any(request.GET.get(name) for name in names)


class MomentRangeFilter(RangeDateTimeFilter):
    """Filter between two times, the first inclusive, the second exclusive. Invalid times are ignored."""

    name = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = self.name


class ReceivedRangeFilter(MomentRangeFilter):
    name = "received between"
    first_id: int | None = None
    last_id: int | None = None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = self.moment("from"), self.moment("to")
        if since:
            self.first_id = first_id_received_since(since)
            queryset = queryset.filter(pk__gte=self.first_id, received_at__gte=since)
        if until:
            # IDs follow the time of receipt within a minute: one minute for each side of the time.
            end = first_id_received_since(until + timedelta(minutes=2))
            queryset = queryset.filter(received_at__lt=until)
            self.last_id = end or None
            queryset = queryset.filter(pk__lte=end) if end else queryset
        return queryset


class OccurredRangeFilter(MomentRangeFilter):
    """Filter by time of occurrence. Combined with a customer and an event name, it uses an index."""

    name = "occurred between"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = self.moment("from"), self.moment("to")
        queryset = queryset.filter(occurred_at__gte=since) if since else queryset
        return queryset.filter(occurred_at__lt=until) if until else queryset


class StateFilter(DropdownFilter):
    """Filter by the state of the event."""

    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in EventState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(state=int(value)) if value.isdecimal() and len(value) < 4 else queryset


class OpenReasonFilter(DropdownFilter):
    """Filter by the reason of an open problem."""

    title = "open problem"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, str(reason.label)) for reason in EVENT_REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in Reason.values:
            return queryset
        open_problems = Problem.objects.filter(event=OuterRef("pk"), state=ProblemState.OPEN, reason=self.value())
        return queryset.filter(Exists(open_problems))


class ExactTextFilter(TextFilter):
    """Filter by the exact text, case-sensitive like everything in usage."""

    column = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class EventNameFilter(ExactTextFilter):
    title = "event name"
    parameter_name = column = "event_name"


class MeteredNameFilter(EventNameFilter):
    """Filter by the event name, including names mapped to it, as features do."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.value()
        if not name:
            return queryset
        return queryset.filter(event_name__in=metered_names(name))


def metered_names(name: str) -> list[str]:
    """Return an event name and the names that are mapped to it."""
    metered = Feature.objects.metered().values("event_name")
    mapped = EventNameAlias.objects.filter(event_name=name).exclude(alias__in=metered)
    return [name, *mapped.values_list("alias", flat=True)]


class CountsForFilter(DropdownFilter):
    """Filter to the events that count for a feature: by its event name, filter, start and state."""

    title = "counts for"
    parameter_name = "counts_for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        features = Feature.objects.metered().order_by("name").values_list("pk", "name")
        return [(str(pk), name) for pk, name in features[:MOST_FEATURES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        feature = Feature.objects.metered().filter(pk=int(value)).first() if _is_key(value) else None
        if feature is None:
            return queryset
        # The names make the index on customer, name and time usable; the condition alone would decide it too.
        return queryset.filter(counts_for(feature), event_name__in=metered_names(feature.event_name))


def _is_key(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 19


class SourceFilter(ExactTextFilter):
    title = "source"
    parameter_name = column = "source"


class ExternalIdFilter(ExactTextFilter):
    """Filter by external customer ID, including the aliases of the customer."""

    title = "external customer ID"
    parameter_name = column = "external_customer_id"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.value()
        if not name:
            return queryset
        aliases = CustomerAlias.objects.filter(customer__external_id=name).values_list("alias", flat=True)
        return queryset.filter(external_customer_id__in=[name, *aliases])


class PropertyFilter(TextFilter):
    """Filter by a property, written `key:value`. A value that is valid JSON also matches as JSON."""

    title = "property (key:value)"
    parameter_name = "property"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        key, sign, value = (self.value() or "").partition(":")
        key, value = key.strip(), value.strip()
        if not key:
            return queryset
        if not sign:
            return queryset.filter(properties__has_key=key)
        condition = Q(properties__contains={key: value})
        with suppress(orjson.JSONDecodeError):  # not JSON: matches as a string only
            condition |= Q(properties__contains={key: orjson.loads(value)})
        return queryset.filter(condition)
