"""Filters for times, durations and JSON."""

import json
from datetime import datetime
from typing import Any

from django import template

from config.office.wording import moment as format_moment

register = template.Library()


@register.filter
def moment(when: datetime | None) -> str:
    """Write a time to the second, with the exact time as its title; an en dash for none."""
    return format_moment(when)


@register.filter
def as_title(text: Any) -> str:
    """Capitalize the first letter, except of IDs and event names, which are case-sensitive."""
    title = str(text)
    is_words = all(word.isalpha() for word in title.split())
    return title[:1].upper() + title[1:] if is_words else title


@register.filter
def seconds(duration: float) -> str:
    """Write a duration for people, rounded down: `0.4 s`, `12 s`, `3 min`, `2 h`, `4 days`."""
    if duration < 10:
        return f"{duration:.1f} s"
    for limit, unit, name in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if duration < limit:
            return f"{int(duration // unit)} {name}"
    return f"{int(duration // 86_400)} days"


@register.filter
def pretty_json(value: Any) -> str:
    """Write JSON on several lines, with keys in their order and without escaping letters."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
