"""The charts of events that Home and the Problems page load after their own figures."""

from typing import Any

from django.utils import timezone

from config.office.pages import AdminView
from events.overview.by_day import events_by_day, problems_by_day
from events.overview.charts import events_chart, problems_chart


class EventCharts(AdminView):
    """Show events by the day they occurred, and to staff who can view problems the open problems; `only` leaves one."""

    permission = "events.view_event"
    template_name = "admin/events/charts.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        only = self.request.GET.get("only", "")
        charts = [] if only == "problems" else [events_chart(events_by_day(now=now))]
        if self.request.user.has_perm("events.view_problem"):
            charts.append(problems_chart(problems_by_day(now=now)))
        return super().get_context_data(charts=charts, **kwargs)
