"""URLs of the API views of events."""

from django.urls import path

from events.api import (
    alerts,
    events,
    ingest,
    problems,
    usage,
)

urlpatterns = [
    path("events", events.Events.as_view(), name="event-ingest"),
    path("events/bulk", ingest.EventBulkIngest.as_view(), name="event-bulk-ingest"),
    path("events/query", events.EventSearch.as_view()),
    path("events/lookup", events.EventLookup.as_view()),
    path("events/usage", usage.UsageByName.as_view()),
    path("events/usage/meter", usage.UsageByMeter.as_view()),
    path("events/monitoring", events.EventMonitoring.as_view()),
    path("events/void", events.EventVoiding.as_view()),
    path("problems", problems.Problems.as_view()),
    path("problems/causes", problems.ProblemCauses.as_view()),
    path("problems/replay", problems.ProblemReplay.as_view()),
    path("problems/dismiss", problems.ProblemDismissal.as_view()),
    path("alerts", alerts.Alerts.as_view()),
    path("alerts/<str:alert_id>", alerts.OneAlert.as_view()),
]
