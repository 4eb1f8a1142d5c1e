"""Usage for the API: of a feature or an event name, in total and by windows, filtered by property values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import batched
from zoneinfo import ZoneInfo

from catalog.models import Aggregation, Feature
from config.refusals import Refused
from customers.models import Customer
from customers.periods import Interval, Period, Schedule, periods_between, windows
from events.models import UsageBucket
from events.usage.meter import Quantity, UsageRequest, floor_hour, usage_many
from events.usage.search import Search, usage_of

MOST_WINDOWS = 800
SIZES: Mapping[str, tuple[str, int, timedelta]] = {
    "MINUTE": ("minute", 1, timedelta(minutes=1)),
    "15MIN": ("minute", 15, timedelta(minutes=15)),
    "30MIN": ("minute", 30, timedelta(minutes=30)),
    "HOUR": ("hour", 1, timedelta(hours=1)),
    "3HOUR": ("hour", 3, timedelta(hours=3)),
    "6HOUR": ("hour", 6, timedelta(hours=6)),
    "12HOUR": ("hour", 12, timedelta(hours=12)),
    "DAY": ("day", 1, timedelta(days=1)),
    "WEEK": ("week", 1, timedelta(days=7)),
    "MONTH": ("month", 1, timedelta(days=28)),
}


class TooFine(Refused):
    """The period has too many windows of this size."""


class NotMetered(Refused):
    """No feature measures the requested usage."""


@dataclass(frozen=True, slots=True)
class MeterRequest:
    """A request for a customer's usage in a period; `size` is one of SIZES, or empty for the total only."""

    customer: Customer
    period: Period
    size: str = ""
    timezone: str = "UTC"
    anchor: datetime | None = None
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: Sequence[str] = ()

    @property
    def search(self) -> Search | None:
        """Select the events to measure; None for all, which the hourly totals know."""
        return Search(include=self.filters, sources=self.sources) if self.filters or self.sources else None


@dataclass(frozen=True, slots=True)
class MeteredWindow:
    """The usage of the whole period, and of each window in order."""

    total: Quantity
    windows: Sequence[tuple[Period, Quantity]] = ()


def meter(feature: Feature, request: MeterRequest) -> MeteredWindow:
    """Calculate the usage: with filters from the ledger's events, else from hourly totals. Raises TooFine."""
    return meter_many([feature], request)[0]


def meter_many(features: Sequence[Feature], request: MeterRequest) -> list[MeteredWindow]:
    """Calculate the usage of several features; without filters, in as many queries as for a single feature."""
    spans = [request.period, *cut(request)]
    pairs = [(feature, span) for feature in features for span in spans]
    if search := request.search:
        quantities = [usage_of(request.customer.pk, feature, span.start, span.end, search) for feature, span in pairs]
    else:
        requests = [UsageRequest(request.customer.pk, feature.pk, span.start, span.end) for feature, span in pairs]
        quantities = usage_many(requests, features={feature.pk: feature for feature in features})
    return [
        MeteredWindow(total, list(zip(spans[1:], parts, strict=True)))
        for total, *parts in batched(quantities, len(spans))
    ]


def cut(request: MeterRequest) -> list[Period]:
    """Split the period at local clock or calendar boundaries; months also at an anchor's day."""
    if not request.size:
        return []
    unit, count, length = SIZES[request.size]
    if (request.period.end - request.period.start) / length > MOST_WINDOWS:
        raise TooFine(
            f"The period is too long for windows of {request.size}: at most {MOST_WINDOWS} windows are calculated."
        )
    if request.size == "MONTH" and request.anchor:
        schedule = Schedule(Interval("month"), request.anchor, request.timezone)
        return list(periods_between(schedule, request.period.start, request.period.end))
    parts = windows(request.period, unit, request.timezone)
    return list(parts) if count == 1 else _joined(parts, unit, count, request.timezone)


def _joined(parts: Sequence[Period], unit: str, count: int, timezone: str) -> list[Period]:
    """Join minutes or hours up to the next local multiple of their count."""
    joined: list[Period] = []
    for part in parts:
        local = part.start.astimezone(ZoneInfo(timezone))
        starts_window = (local.minute if unit == "minute" else local.hour) % count == 0
        if joined and not starts_window:
            joined[-1] = Period(joined[-1].start, part.end)
        else:
            joined.append(part)
    return joined


def feature_measuring(event_name: str, aggregation: str, name: str, multiplier: Decimal | None) -> Feature:
    """Find the feature with this event name and aggregation. Raises NotMetered, which says what to create.

    Without a property name the events are counted, whatever the aggregation.
    """
    how = aggregation if name else Aggregation.COUNT
    features = Feature.objects.metered().filter(event_name=event_name, aggregation=how, field=name)
    if multiplier is not None and how == Aggregation.SUM_WITH_MULTIPLIER:
        features = features.filter(multiplier=multiplier)
    # A feature without filters measures all events; the others measure a part of them.
    ranked = sorted(features, key=lambda feature: (feature.is_filtered, feature.archived_at is not None, feature.pk))
    if not ranked:
        label = Aggregation(how).label.lower()
        of = f" of {name}" if name else ""
        raise NotMetered(f"No feature measures the {label}{of} of {event_name}. Create it: earlier events count, too.")
    return ranked[0]


def features_used(customer_id: int, period: Period) -> list[int]:
    """List the ids of features with usage by the customer in the hours of the period."""
    hours = UsageBucket.objects.filter(customer_id=customer_id, hour__gte=floor_hour(period.start), hour__lt=period.end)
    return list(hours.order_by().values_list("feature_id", flat=True).distinct())
