"""How a diagnosis writes times, numbers and features."""

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
    Aggregation.WEIGHTED_SUM: "a level that every value changes is averaged over time",
}


def moment(at: datetime, timezone: str = "UTC") -> str:
    """Write a moment to the second, with its zone."""
    return f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S} {timezone}"


def minute(at: datetime, timezone: str = "UTC") -> str:
    """Write a moment to the minute."""
    return f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} {timezone}"


def span(period: Period, timezone: str) -> str:
    """Write a period with both its edges; its end is not part of it."""
    zone = ZoneInfo(timezone)
    return f"{period.start.astimezone(zone):%Y-%m-%d %H:%M} to {period.end.astimezone(zone):%Y-%m-%d %H:%M} {timezone}"


def units(quantity: Decimal, feature: Feature) -> str:
    """Write a quantity with the feature's unit."""
    return f"{number(quantity)} {feature.unit_for(quantity)}"


def ago(then: datetime, now: datetime) -> str:
    """Write how long ago a moment was, or how far ahead it is."""
    seconds = int(abs((now - then).total_seconds()))
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds // size
            words = f"{count} {name}" if count == 1 else f"{count} {name}s"
            return f"{words} ago" if then <= now else f"in {words}"
    return "just now"


def quoted(text: str) -> str:
    """Put a sent text in quotes, so that blanks at its ends show."""
    return f"“{text}”"


def detail_html(detail: dict[str, Any]) -> SafeString:
    """Write what was found: the field and its value, or the properties that were sent instead of it."""
    if "sent" in detail:
        sent = ", ".join(detail["sent"][:8]) or "nothing"
        return format_html("{} is missing<div class='ch-note'>sent: {}</div>", code(detail["field"]), sent)
    if "value" in detail:
        return format_html("{} = {}", code(detail["field"]), code(str(detail["value"])[:60]))
    return SafeString("–")
