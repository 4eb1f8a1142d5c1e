"""How numbers are written for staff."""

from datetime import datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime

LOCALE = "en_US"


def number(quantity: Decimal) -> str:
    """Write a quantity with thousands marks and all its decimals: 1,000, 0.25."""
    text = f"{quantity:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(when: datetime | None, *, seconds: bool = True) -> str:
    """Write a time as staff read it, with its zone, and how long ago as its title; an en dash where there is none."""
    if when is None:
        return "–"
    local = localtime(when)
    return format_html(
        '<time datetime="{}" title="{} · {} ago" class="ch-time">{} <small>{}</small></time>',
        local.isoformat(),
        f"{local:%A, %d %B %Y %H:%M:%S.%f %Z}",
        timesince(when) if when <= timezone.now() else "not",
        f"{local:%Y-%m-%d %H:%M:%S}" if seconds else f"{local:%Y-%m-%d %H:%M}",
        f"{local:%Z}",
    )


def badge(text: str, variant: str = "default", *, title: str = "") -> SafeString:
    """Show a short state in colour: `success`, `warning`, `danger`, `info` or `default`."""
    return format_html('<span class="ch-badge ch-badge-{}" title="{}">{}</span>', variant, title, text)


def code(text: str) -> SafeString:
    """Show an id or a name as it was sent, in letters of one width."""
    return format_html('<code class="ch-code">{}</code>', text)
