"""The panel on Home with usage that no customer is billed for."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from config.office.links import admin_url
from config.office.pages import AdminView
from events.links import occurred_between
from events.reasons import EXPLANATIONS, Reason
from events.usage.unbilled import Unbilled, unbilled


class UnbilledPanel(AdminView):
    """Show this month's usage that isn't billed. Home loads it after its own figures."""

    permission = "events.view_event"
    template_name = "admin/events/unbilled.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        return super().get_context_data(rows=[row_context(row, now) for row in unbilled(now=now)], **kwargs)


def row_context(row: Unbilled, now: datetime) -> dict[str, Any]:
    """Add links to a row: its events, and the usage of each customer."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    filters: dict[str, str | int] = {"counts_for": row.feature.pk, "received": "all"}
    if row.customer:
        filters = {"counts_for": row.feature.pk, "customer__id__exact": row.customer.pk}
    return {
        "usage": row,
        "reason": row.reason.label if row.reason == Reason.FEATURE_NOT_IN_PLAN else "No subscription",
        "meaning": EXPLANATIONS[row.reason].fix,
        "events_url": admin_url("events_event_changelist", **filters, **occurred_between(month, None)),
        "customers_url": admin_url("events_query", feature=row.feature.pk, window="month", timezone="UTC"),
    }
