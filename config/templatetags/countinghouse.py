"""How the admin's own pages write times, spans, JSON and money."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def moment(when: datetime | None) -> str:
    """Write a time to the second, with the exact one as its title; an en dash for none."""
    from config.office.readonly import moment as shown

    return shown(when)


@register.filter
def as_title(text: Any) -> str:
    """Begin with a capital, unless it is an id or a name that systems send: there capitals count."""
    title = str(text)
    is_words = all(word.isalpha() for word in title.split())
    return title[:1].upper() + title[1:] if is_words else title


@register.filter
def seconds(span: float) -> str:
    """Write a span of seconds as people say it: `0.4 s`, `12 s`, `3 min`, `2 h`, `4 days`. Rounded down."""
    if span < 10:
        return f"{span:.1f} s"
    for limit, unit, name in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if span < limit:
            return f"{int(span // unit)} {name}"
    return f"{int(span // 86_400)} days"


@register.filter
def pretty_json(value: Any) -> str:
    """Write JSON over several lines, keys as they came, letters as letters."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def found(detail: dict[str, Any]) -> SafeString:
    """Write what a problem found: the field and its value, or what was sent instead."""
    from events.admin.problems import detail_html

    return detail_html(detail)


@register.filter
def allowed(fix: dict[str, Any], user: Any) -> bool:
    """Tell whether the user may open a fix's page."""
    return bool(user.has_perms(fix["permissions"]))


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Write an amount in its currency, with the currency's own places: `$1,234.50`."""
    from billing.money import format_amount

    return format_amount(amount, currency)
