"""Template filters that format times, durations, titles and JSON on admin pages."""

import json
from datetime import datetime
from typing import Any

from django import template

from config.office.wording import moment as format_moment

register = template.Library()


@register.filter
def moment(when: datetime | None) -> str:
    """Format a time to the second, with the exact time as its title. None is an en dash."""
    return format_moment(when)


@register.filter
def as_title(text: Any) -> str:
    """Capitalize the first letter, except in ids and names that systems send, which are case-sensitive."""
    title = str(text)
    is_words = all(word.isalpha() for word in title.split())
    return title[:1].upper() + title[1:] if is_words else title


@register.filter
def seconds(span: float) -> str:
    """Format a duration, rounded down: `0.4 s`, `12 s`, `3 min`, `2 h`, `4 days`."""
    if span < 10:
        return f"{span:.1f} s"
    for limit, unit, name in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if span < limit:
            return f"{int(span // unit)} {name}"
    return f"{int(span // 86_400)} days"


@register.filter
def pretty_json(value: Any) -> str:
    """Format JSON over several lines, keys in their original order, without escaping letters."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
