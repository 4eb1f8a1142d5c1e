"""Requests for approval on the page of their object."""

from typing import Any

from django import template
from django.utils import timezone

from config.approvals.models import Approval
from config.approvals.requests import waiting_about

register = template.Library()

# The tables whose rows can be the object of a request.
ABOUT = {
    "billing.creditnote",
    "billing.invoice",
    "billing.payment",
    "billing.wallet",
    "catalog.planversion",
    "config.approvalrule",
    "events.apikey",
}


@register.inclusion_tag("admin/config/approval/waiting.html", takes_context=True)
def waiting_approvals(context: Any) -> dict[str, list[Approval]]:
    """Show the requests that wait about the object of the page, to everyone who can see the object."""
    original = context.get("original")
    if original is None or getattr(original, "_meta", None) is None or original._meta.label_lower not in ABOUT:
        return {"approvals": []}
    return {"approvals": list(waiting_about(original, now=timezone.now())[:5])}
