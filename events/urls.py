"""The /v1 doors of the events app."""

from django.urls import path

from events import api

urlpatterns = [
    path("events", api.EventIngest.as_view(), name="event-ingest"),
    path("events/bulk", api.EventBulkIngest.as_view(), name="event-bulk-ingest"),
]
