"""The /v1 doors of the events app."""

from django.urls import path

from events import api, api_alerts, api_problems, api_reading, api_usage

urlpatterns = [
    path("events", api_reading.Events.as_view(), name="event-ingest"),
    path("events/bulk", api.EventBulkIngest.as_view(), name="event-bulk-ingest"),
    path("events/query", api_reading.EventSearch.as_view()),
    path("events/lookup", api_reading.EventLookup.as_view()),
    path("events/usage", api_usage.UsageByName.as_view()),
    path("events/usage/meter", api_usage.UsageByMeter.as_view()),
    path("events/monitoring", api_reading.EventMonitoring.as_view()),
    path("events/void", api_reading.EventVoiding.as_view()),
    path("problems", api_problems.Problems.as_view()),
    path("problems/causes", api_problems.ProblemCauses.as_view()),
    path("problems/replay", api_problems.ProblemReplay.as_view()),
    path("problems/dismiss", api_problems.ProblemDismissal.as_view()),
    path("alerts", api_alerts.Alerts.as_view()),
    path("alerts/<str:alert_id>", api_alerts.OneAlert.as_view()),
]
