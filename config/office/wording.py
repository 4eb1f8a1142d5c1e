"""How admin pages write times, states, ids and counts."""

from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from config.numbers import number


def moment(when: datetime | None, *, seconds: bool = True) -> str:
    """Write a time with its zone, and exactly as its title, to which shell.js adds how long ago it was; or an en dash.

    A list writes a hundred of them, so nothing is escaped: a time contains no markup.
    """
    if when is None:
        return "–"
    local = localtime(when)
    shown = f"{local:%Y-%m-%d %H:%M:%S}" if seconds else f"{local:%Y-%m-%d %H:%M}"
    return SafeString(
        f'<time datetime="{local.isoformat()}" title="{local:%A, %d %B %Y %H:%M:%S.%f %Z}" class="ch-time">'
        f"{shown} <small>{local:%Z}</small></time>"
    )


def local_day(at: datetime | None, zone: str = "UTC") -> str:
    """Write the day in a time zone, with the time and the zone unless it is midnight there; an en dash for none."""
    if at is None:
        return "–"
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%Y-%m-%d}" if local.time() == time() else f"{local:%Y-%m-%d %H:%M %Z}"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: 1 invoice, 1,250 invoices."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
