"""What Home asks for beside its own numbers: usage that nobody is billed for."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from config.office.links import admin_url
from config.office.pages import ensure_may_view
from events.links import occurred_between
from events.reasons import EXPLANATIONS
from events.usage.unbilled import Unbilled, unbilled


@require_GET
def unbilled_panel(request: HttpRequest) -> HttpResponse:
    """Answer with the panel of this month's usage that isn't billed. For staff who may view events."""
    ensure_may_view(request)
    rows = [_shown(one) for one in unbilled(now=timezone.now())]
    return render(request, "admin/events/unbilled.html", {"rows": rows})


def _shown(found: Unbilled) -> dict[str, Any]:
    """Give a row its addresses: the events, and the customers with what each used."""
    month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    given: dict[str, str | int] = {"event_name": found.feature.event_name, "received": "all"}
    if found.customer:
        given = {"event_name": found.feature.event_name, "customer__id__exact": found.customer.pk}
    explanation = EXPLANATIONS[found.reason]
    return {
        "usage": found,
        "reason": found.reason.label if found.reason.value == "feature_not_in_plan" else "No subscription",
        "meaning": explanation.fix,
        "events_url": admin_url("events_event_changelist", **given, **occurred_between(month, None)),
        "customers_url": admin_url("events_query", feature=found.feature.pk, window="month", timezone="UTC"),
    }
