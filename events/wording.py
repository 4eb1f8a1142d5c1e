"""How usage tracking writes times, quantities and sent texts."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.models import Aggregation, Feature
from config.numbers import number
from config.office.wording import code
from customers.periods import Period

AGGREGATES = {
    Aggregation.COUNT: "every event counts as 1",
    Aggregation.SUM: "the values are added up",
    Aggregation.MAX: "the largest value counts",
    Aggregation.MIN: "the smallest value counts",
    Aggregation.UNIQUE_COUNT: "every distinct value counts as 1",
    Aggregation.LATEST: "the latest value counts",
    Aggregation.AVERAGE: "the values are averaged",
    Aggregation.SUM_WITH_MULTIPLIER: "the values are multiplied and added up",
    Aggregation.WEIGHTED_SUM: "each value changes a level, which is averaged over time",
}


def timestamp(at: datetime, timezone: str = "UTC") -> str:
    """Write a time to the second, with its time zone."""
    return f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S} {timezone}"


def minute(at: datetime, timezone: str = "UTC") -> str:
    """Write a time to the minute, with its time zone."""
    return f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} {timezone}"


def span(period: Period, timezone: str) -> str:
    """Write a period with its start and end."""
    zone = ZoneInfo(timezone)
    return f"{period.start.astimezone(zone):%Y-%m-%d %H:%M} to {period.end.astimezone(zone):%Y-%m-%d %H:%M} {timezone}"


def units(quantity: Decimal, feature: Feature) -> str:
    """Write a quantity with the feature's unit."""
    return f"{number(quantity)} {feature.unit_for(quantity)}"


def duration(start: datetime, end: datetime) -> str:
    """Write the time between two moments in its largest unit, such as "3 hours"."""
    seconds = int(abs((end - start).total_seconds()))
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "a moment"


def ago(then: datetime, now: datetime) -> str:
    """Write how long ago a time was, or how far in the future it is."""
    return f"{duration(then, now)} ago" if then <= now else f"in {duration(now, then)}"


def quoted(text: str) -> str:
    """Put a sent text in quotes, so that leading and trailing spaces show."""
    return f"“{text}”"


def detail_html(detail: dict[str, Any]) -> SafeString:
    """Write a problem's detail: the field and its value, or the properties that were sent instead."""
    if "sent" in detail:
        sent = ", ".join(detail["sent"][:8]) or "nothing"
        return format_html("{} is missing<div class='ch-note'>sent: {}</div>", code(detail["field"]), sent)
    if "value" in detail:
        return format_html("{} = {}", code(detail["field"]), code(str(detail["value"])[:60]))
    return SafeString("–")
