"""Duplicates of an event_id: harmless repeats, and conflicts, whose bodies can be compared."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from config.office.filters import RangeDateTimeFilter
from config.office.keyset import Keyset, KeysetChangeList
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment
from events.admin.comparing import compare
from events.admin.filters import EventNameFilter, ExternalIdFilter, SourceFilter
from events.models import ApiKey, DuplicateEvent, Event
from events.models.ledger import DuplicateKind


class KindFilter(DropdownFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, str(kind.label)) for kind in DuplicateKind]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() in DuplicateKind.values else queryset


class KeyFilter(DropdownFilter):
    """Filter by the API key that sent the duplicate."""

    title = "API key"
    parameter_name = "key"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(key.pk), str(key)) for key in ApiKey.objects.order_by("name", "pk")[:200]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value() or ""
        return queryset.filter(api_key=int(value)) if value.isdecimal() and len(value) < 10 else queryset


class DuplicateChangeList(KeysetChangeList):
    """A page of duplicates with the ledger's events that they repeat, read in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        ids = {row.event_id for row in self.result_list}
        firsts = dict(Event.objects.filter(event_id__in=ids).values_list("event_id", "pk"))
        for row in self.result_list:
            row.first_pk = firsts.get(row.event_id)


@admin.register(DuplicateEvent)
class DuplicateEventAdmin(LongListAdmin):
    """Events sent twice. The first event with an ID counts; a repeat with a different body is a conflict."""

    keyset = Keyset("last_at")
    ordering = ("-last_at",)
    list_display = ("event", "kind_badge", "times", "source_text", "key_text", "name", "customer_text", "first", "last")
    list_display_links = None
    list_select_related = ("api_key",)
    list_filter = (
        *(KindFilter, KeyFilter, SourceFilter, EventNameFilter, ExternalIdFilter),
        ("last_at", RangeDateTimeFilter),
    )
    search_fields = ("event_id",)
    search_help_text = "Exact event ID"
    change_form_before_template = "admin/events/duplicateevent/comparison.html"
    empty_title = "No duplicates"
    empty_text = "If a client sends an event again, the duplicate is listed here and isn't counted as usage."
    export_columns = (
        ("event_id", "event_id"),
        ("kind", lambda row: row.get_kind_display()),
        ("count", "count"),
        ("source", "source"),
        ("api_key", lambda row: str(row.api_key or "")),
        ("event_name", "event_name"),
        ("external_customer_id", "external_customer_id"),
        ("first_at", "first_at"),
        ("last_at", "last_at"),
        ("body", "body"),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DuplicateChangeList]:
        return DuplicateChangeList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(event_id=term) if term else queryset), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return []  # the page has its own template

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a duplicate next to the first event, with differences marked."""
        row = self.get_object(request, object_id)
        context: dict[str, Any] = {"title": "Duplicate"}
        if row is not None and self.has_view_permission(request):
            first = Event.objects.filter(event_id=row.event_id).select_related("customer").first()
            context |= {"duplicate": row, "first": first, "subtitle": row.event_id}
            if row.body is not None and first is not None:
                context["comparison"] = compare(first, row.body)
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @display(description="Event ID")
    def event(self, row: Any) -> SafeString:
        link = reverse("admin:events_duplicateevent_change", args=[row.pk])
        return format_html('<a href="{}" class="ch-link">{}</a>', link, code(row.event_id))

    @display(description="Kind")
    def kind_badge(self, row: DuplicateEvent) -> SafeString:
        return badge(row.get_kind_display(), "danger" if row.kind == DuplicateKind.CONFLICT else "")

    @display(description="Times", formatting="price")
    def times(self, row: DuplicateEvent) -> SafeString:
        url = reverse("admin:events_duplicateevent_change", args=[row.pk])
        return format_html('<a class="ch-link ch-number" href="{}">{}</a>', url, f"{row.count:,}")

    @display(description="Source")
    def source_text(self, row: DuplicateEvent) -> str:
        return row.source or "–"

    @display(description="API key")
    def key_text(self, row: DuplicateEvent) -> str:
        return str(row.api_key or "–")

    @display(description="Event name")
    def name(self, row: DuplicateEvent) -> SafeString:
        return code(row.event_name)

    @display(description="External customer ID")
    def customer_text(self, row: DuplicateEvent) -> SafeString:
        return code(row.external_customer_id)

    @display(description="First (UTC)")
    def first(self, row: DuplicateEvent) -> str:
        return moment(row.first_at)

    @display(description="Last (UTC)")
    def last(self, row: DuplicateEvent) -> str:
        return moment(row.last_at)
