"""Filters of the Usage Tracking pages."""

from typing import Any

from django import template
from django.utils.safestring import SafeString

from events.samples import sample_json
from events.wording import detail_html

register = template.Library()


@register.filter
def found(detail: dict[str, Any]) -> SafeString:
    """Write what a problem found: the field and its value, or what was sent instead."""
    return detail_html(detail)


@register.simple_tag
def sample_event() -> str:
    """Write an event with the company's own names, for a shell."""
    return sample_json()


@register.filter
def allowed(fix: dict[str, Any], user: Any) -> bool:
    """Tell whether the user may open a fix's page."""
    return bool(user.has_perms(fix["permissions"]))
