"""Accepted events waiting to be processed."""

from typing import Any

import orjson
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from config.office.keyset import NumberedKeyset
from config.office.readonly import LongListAdmin
from config.office.wording import code, moment
from events.admin.filters import ExternalIdFilter, OccurredRangeFilter
from events.models import InboxEvent
from events.overview import dashboard


@admin.register(InboxEvent)
class InboxEventAdmin(LongListAdmin):
    """Events stored durably but not processed yet. A running worker processes them within a second."""

    list_display = ("event_id_text", "name", "customer_text", "occurred", "received", "source", "properties_text")
    list_display_links = ("event_id_text",)
    keyset = NumberedKeyset("request_id")
    list_filter = (ExternalIdFilter, ("occurred_at", OccurredRangeFilter))
    ordering = ("-request_id", "-pk")
    search_fields = ("event_id",)
    search_help_text = "Exact event ID"
    list_before_template = "admin/events/inboxevent/waiting.html"
    fields = (
        *("event_id", "event_name", "external_customer_id", "occurred_at", "has_timestamp", "received_at", "source"),
        *("api_key", "properties"),
    )
    empty_title = "No waiting events"
    empty_text = "All accepted events have been processed. See the Events dashboard."

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.called(term) if term else queryset), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> InboxEvent | None:
        is_number = object_id.isascii() and object_id.isdecimal() and len(object_id) <= 18
        return InboxEvent.objects.at(int(object_id)).first() if is_number else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show waiting events, newest first, and how long the oldest has been waiting."""
        now = timezone.now()
        context = {
            "title": "Waiting events",
            "waiting": dashboard.waiting(now=now),
            "last_processed_at": dashboard.last_processed_at(),
        }
        return super().changelist_view(request, context | (extra_context or {}))

    @display(description="Event ID")
    def event_id_text(self, event: InboxEvent) -> SafeString:
        return code(event.event_id)

    @display(description="Event name")
    def name(self, event: InboxEvent) -> SafeString:
        return code(event.event_name)

    @display(description="External customer ID")
    def customer_text(self, event: InboxEvent) -> SafeString:
        return code(event.external_customer_id)

    @display(description="Occurred (UTC)")
    def occurred(self, event: InboxEvent) -> str:
        return moment(event.occurred_at)

    @display(description="Received (UTC)")
    def received(self, event: InboxEvent) -> str:
        return moment(event.received_at)

    @display(description="Properties")
    def properties_text(self, event: InboxEvent) -> SafeString:
        return code(orjson.dumps(event.properties).decode()[:80])
