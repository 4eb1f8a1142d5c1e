"""How admin pages write times, states, ids and counts."""

from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime

from config.numbers import number


def moment(when: datetime | None, *, seconds: bool = True) -> str:
    """Write a time with its zone, and how long ago it was as its title; an en dash for none."""
    if when is None:
        return "–"
    local = localtime(when)
    distance = f"{timesince(when)} ago" if when <= timezone.now() else "in the future"
    return format_html(
        '<time datetime="{}" title="{} · {}" class="ch-time">{} <small>{}</small></time>',
        local.isoformat(),
        f"{local:%A, %d %B %Y %H:%M:%S.%f %Z}",
        distance,
        f"{local:%Y-%m-%d %H:%M:%S}" if seconds else f"{local:%Y-%m-%d %H:%M}",
        f"{local:%Z}",
    )


def local_day(at: datetime | None, zone: str = "UTC") -> str:
    """Write the day in a time zone, with the time and the zone unless it is midnight there; an en dash for none."""
    if at is None:
        return "–"
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%d %b %Y}" if local.time() == time() else f"{local:%d %b %Y %H:%M %Z}"


def badge(text: str, variant: str = "", *, title: str = "") -> SafeString:
    """Show a state in color: `success`, `warning`, `danger`, `info`, or gray by default."""
    css_class = f"ch-badge ch-badge-{variant}" if variant else "ch-badge"
    return format_html('<span class="{}" title="{}">{}</span>', css_class, title, text)


def code(text: str) -> SafeString:
    """Show an id or a name exactly as it was sent, in a monospaced font."""
    return format_html('<code class="ch-code">{}</code>', text)


def number_cell(value: Decimal | int) -> SafeString:
    """Write a number for a right-aligned column."""
    return format_html('<span class="ch-number">{}</span>', number(Decimal(value)))


def trim_zeros(text: str) -> str:
    """Remove the zeros that a column's precision adds to a number. For `readonly_preprocess_fields`."""
    return text.rstrip("0").rstrip(".") if "." in text else text
