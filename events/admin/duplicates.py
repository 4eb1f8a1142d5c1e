"""Duplicates of an event_id: harmless repeats, and conflicts, whose bodies can be compared."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action as list_action
from unfold.decorators import display

from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.keyset import Keyset, KeysetChangeList
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment, plural
from events.admin.comparing import compare
from events.admin.conflicts import ConflictPages, ConflictStateFilter, DifferenceFilter, describe_dismissal
from events.admin.dismissing import dismiss_selected
from events.admin.filters import EventNameFilter, ExternalIdFilter, SourceFilter
from events.history.lookup import find_event
from events.ledger.conflicts import dismiss_conflicts
from events.links import event_url
from events.models import ApiKey, DuplicateEvent, Event
from events.models.duplicates import IS_OPEN, DuplicateKind


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
class DuplicateEventAdmin(ConflictPages, LongListAdmin):
    """Events sent twice. The first event with an ID counts; a repeat with a different body is a conflict."""

    keyset = Keyset("last_at")
    ordering = ("-last_at",)
    list_display = (
        *("event", "kind_badge", "state_text", "times", "source_text", "key_text", "name", "customer_text"),
        *("first", "last"),
    )
    list_display_links = None
    list_select_related = ("api_key", "dismissed_by")
    list_filter = (
        *(KindFilter, ConflictStateFilter, DifferenceFilter, KeyFilter),
        *(SourceFilter, EventNameFilter, ExternalIdFilter),
        ("last_at", RangeDateTimeFilter),
    )
    search_fields = ("event_id",)
    search_help_text = "Exact event ID"
    list_before_template = "admin/events/duplicateevent/causes.html"
    actions = ("dismiss_selected",)
    actions_detail = ("dismiss_one",)
    change_form_before_template = "admin/events/duplicateevent/comparison.html"
    empty_title = "No duplicates"
    empty_text = "If a client sends an event again, the duplicate is listed here and isn't counted as usage."
    export_columns = (
        ("event_id", "event_id"),
        ("kind", lambda row: row.get_kind_display()),
        ("differs", lambda row: ", ".join(row.differs)),
        ("count", "count"),
        ("source", "source"),
        ("api_key", lambda row: str(row.api_key or "")),
        ("event_name", "event_name"),
        ("external_customer_id", "external_customer_id"),
        ("first_at", "first_at"),
        ("last_at", "last_at"),
        ("dismissed_at", "dismissed_at"),
        ("dismissal", "dismissal"),
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
            first = find_event(row.event_id)
            context |= {"duplicate": row, "first": first, "subtitle": row.event_id}
            context["debugger_url"] = event_url(row.event_id)
            if row.body is not None and first is not None:
                context["comparison"] = compare(first, row.body)
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def has_dismiss_one_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_dismiss_permission(request) and DuplicateEvent.objects.open().filter(pk=object_id).exists()

    @action(
        description="Dismiss",
        icon="done",
        permissions=["dismiss_one"],
        url_path="dismiss",
        dialog=confirm(
            "Dismiss this conflict?",
            "The event stays uncounted, and Home no longer shows the conflict.",
            "Dismiss",
            ReasonForm,
        ),
    )
    def dismiss_one(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Dismiss this conflict with a reason."""
        rows = DuplicateEvent.objects.filter(pk=object_id)
        count = dismiss_conflicts(rows, reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(request))
        url = reverse("admin:events_duplicateevent_change", args=[object_id])
        return open_page(request, url, describe_dismissal(count))

    @list_action(description="Dismiss selected…", permissions=["dismiss"])
    def dismiss_selected(self, request: HttpRequest, queryset: QuerySet[DuplicateEvent]) -> HttpResponse | None:
        """Ask for a reason, then dismiss the selected conflicts."""
        ids = list(queryset.filter(IS_OPEN).order_by("pk").values_list("pk", flat=True))

        def dismiss(ids: list[int], reason: str) -> str:
            rows = DuplicateEvent.objects.filter(pk__in=ids)
            return describe_dismissal(dismiss_conflicts(rows, reason=reason, now=timezone.now(), by=staff(request)))

        return dismiss_selected(
            self,
            request,
            ids,
            dismiss,
            title=f"Dismiss {plural(len(ids), 'conflict')}",
            text="The events stay uncounted, and Home no longer shows these conflicts. The conflicts stay on record.",
            maxlength=255,
        )

    @display(description="Event ID")
    def event(self, row: Any) -> SafeString:
        link = reverse("admin:events_duplicateevent_change", args=[row.pk])
        debugger = format_html('<a class="ch-link" href="{}">Open in debugger</a>', event_url(row.event_id))
        name = format_html('<a href="{}" class="ch-link">{}</a>', link, code(row.event_id))
        return format_html('{}<div class="ch-note">{}</div>', name, debugger)

    @display(description="Kind")
    def kind_badge(self, row: DuplicateEvent) -> SafeString:
        kind = badge(row.get_kind_display(), "danger" if row.kind == DuplicateKind.CONFLICT else "")
        return format_html('{}<div class="ch-note">{}</div>', kind, ", ".join(row.differs)) if row.differs else kind

    @display(description="Status")
    def state_text(self, row: DuplicateEvent) -> SafeString | str:
        if row.state is None:
            return "–"
        if row.is_open:
            return badge(str(row.state.label), "danger")
        author = f" · {row.dismissed_by}" if row.dismissed_by else ""
        return format_html('{}<div class="ch-note">{}{}</div>', badge(str(row.state.label)), row.dismissal, author)

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
