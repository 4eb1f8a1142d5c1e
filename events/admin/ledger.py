"""The Events dashboard and the page of an event."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from catalog.models import Feature
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment
from customers.models import Customer
from events.admin.event_list import EventChangeList
from events.admin.filters import (
    CountsForFilter,
    MeteredNameFilter,
    OccurredRangeFilter,
    OpenReasonFilter,
    PeriodFilter,
    PropertyFilter,
    ReceivedRangeFilter,
    SourceFilter,
    StateFilter,
)
from events.admin.meters import verdicts
from events.admin.replays import describe_replay
from events.fixing.offers import Trouble, nearly_named, offers_for
from events.history.lookup import find_event, get_event
from events.history.planning import sealed_until
from events.history.stores import is_on
from events.ledger.causes import Cause, open_causes
from events.ledger.replaying import replay
from events.ledger.voiding import void_event
from events.links import event_url
from events.models import DuplicateEvent, Event, EventState, Problem, ProblemState
from events.overview import charts, dashboard
from events.reasons import EXPLANATIONS, Reason

CHART_HOURS = 24
CHART_TITLE = "Events per hour by state on arrival, last 24 hours (UTC)"
FOUND_BY_EXTERNAL_ID = 10_000
VARIANTS = {
    EventState.COUNTED: "success",
    EventState.PARTLY: "warning",
    EventState.PROBLEM: "danger",
    EventState.VOIDED: "",
    EventState.DISMISSED: "",
}


@admin.register(Event)
class EventAdmin(LongListAdmin):
    """All processed events, newest first. The content of an event is never edited."""

    list_display = (
        "event_link",
        "state_badge",
        "name",
        "customer_link",
        "value",
        "occurred",
        "received",
        "source_text",
        "payload",
    )
    list_display_links = None
    list_filter = (
        PeriodFilter,
        StateFilter,
        OpenReasonFilter,
        MeteredNameFilter,
        CountsForFilter,
        ("customer", AutocompleteSelectFilter),
        SourceFilter,
        PropertyFilter,
        ("received_at", ReceivedRangeFilter),
        ("occurred_at", OccurredRangeFilter),
    )
    shows_history = True  # of replays and voiding
    list_select_related = ("customer",)
    search_fields = ("event_id",)
    search_help_text = "Exact event ID or external customer ID"
    list_before_template = "admin/events/event/dashboard.html"
    change_form_before_template = "admin/events/event/detail.html"
    actions_detail = ("debug_event", "replay_event", "void")
    empty_title = "No events in this period"
    empty_text = "Send an event with an API key to POST /v1/events. It appears here within a second."
    no_matches_text = "No events match the filters. Reset the filters, or choose a longer period."
    empty_link = ("Send a test event", "events_dry_run")
    export_columns = (
        ("event_id", "event_id"),
        ("state", lambda event: event.get_state_display()),
        ("event_name", "event_name"),
        ("external_customer_id", "external_customer_id"),
        ("customer", "customer__name"),
        ("occurred_at", "occurred_at"),
        ("received_at", "received_at"),
        ("processed_at", "processed_at"),
        ("source", "source"),
        ("properties", "properties"),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EventChangeList]:
        return EventChangeList

    def get_urls(self) -> list[Any]:
        payload = path(
            "<path:object_id>/payload/", self.admin_site.admin_view(self.payload_view), name="events_event_payload"
        )
        return [payload, *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Find the event with this ID, or the events of the customer with this external customer ID, by exact match."""
        term = search_term.strip()
        if not term:
            return queryset, False
        condition = Q(pk__in=list(Event.objects.filter(event_id=term).values_list("pk", flat=True)))
        matches = Q(external_id=term) | Q(aliases__alias=term)
        if customers := list(Customer.objects.filter(matches).values_list("pk", flat=True)):
            condition |= Q(customer__in=customers)
        else:
            problems = Problem.objects.filter(external_customer_id=term, state=ProblemState.OPEN)
            condition |= Q(pk__in=list(problems.order_by().values_list("event_id", flat=True)[:FOUND_BY_EXTERNAL_ID]))
        return queryset.filter(condition), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the events of the last week below an overview of the last day, or the events that match the filters."""
        context: dict[str, Any] = {"title": "Events dashboard", "sealed_until": sealed_until()}
        if (event := _find_sealed(request)) and self.has_view_permission(request):
            return HttpResponseRedirect(_event_url(event))
        if not request.GET:
            context |= overview()
        return super().changelist_view(request, context | (extra_context or {}))

    def payload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the payload of an event in a dialog."""
        if not self.has_view_permission(request):
            raise Http404
        event = _get_or_404(object_id)
        return TemplateResponse(request, "admin/events/event/payload.html", {"event": event, "payload": payload(event)})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        event = get_event(_ledger_id(object_id))
        context = event_context(event) if event and self.has_view_permission(request) else {}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Event | None:
        """Return an event of the ledger, sealed or not."""
        event: Event | None = super().get_object(request, object_id, from_field) or get_event(_ledger_id(object_id))
        return event

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return []  # the page has its own template

    def has_void_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("events.change_event") and not _is_voided(object_id)

    def has_replay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("events.change_problem") and not _is_voided(object_id)

    @action(description="Open in debugger", icon="bug_report", permissions=["view"], url_path="debug")
    def debug_event(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open this event in the Event Debugger."""
        event = _get_or_404(object_id)
        return HttpResponseRedirect(debugger_url(event) or _event_url(event))

    @action(
        description="Replay",
        icon="replay",
        permissions=["replay"],
        url_path="replay",
        dialog=confirm(
            "Replay this event?",
            "The event is processed with the current features and customers. If nothing prevents it from counting, it"
            " counts in the period in which it occurred. Replaying is safe: an event never counts twice.",
            "Replay",
        ),
    )
    def replay_event(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Replay the event with the current configuration and show the result."""
        event = _get_or_404(object_id)
        done = replay([event.pk], closing="Replayed from the event's page", by=staff(request))
        self.log_change(request, event, f"Replayed: {describe_replay(done)}")
        return open_page(request, _event_url(event), describe_replay(done))

    @action(
        description="Void",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["void"],
        url_path="void",
        dialog=confirm(
            "Void this event?",
            "The event is no longer counted and its problems are closed. It stays in the ledger, and its event_id can't"
            " be used again: to count the usage later, the client must send it with a new event_id.",
            "Void event",
            ReasonForm,
        ),
    )
    def void(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Void the event and record the reason."""
        event = _get_or_404(object_id)
        void_event(event, reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(request))
        self.log_change(request, event, f"Voided: {form.cleaned_data['reason']}")
        return open_page(request, _event_url(event), "The event was voided and is no longer counted.")

    @display(description="Event")
    def event_link(self, event: Event) -> SafeString:
        return format_html('<a href="{}" class="ch-link">{}</a>', _event_url(event), code(event.event_id))

    @display(description="Status")
    def state_badge(self, event: Any) -> SafeString:
        state = badge(event.get_state_display(), VARIANTS[EventState(event.state)])
        reasons = ", ".join(event.open_reasons)
        return format_html('{}<div class="ch-note">{}</div>', state, reasons) if reasons else state

    @display(description="Event name")
    def name(self, event: Event) -> SafeString:
        return code(event.event_name)

    @display(description="Customer")
    def customer_link(self, event: Event) -> SafeString:
        return customer_html(event)

    @display(description="Value")
    def value(self, event: Any) -> SafeString:
        texts = ((text,) for text in event.measured or ["–"])
        return format_html_join("", '<div class="ch-value">{}</div>', texts)

    @display(description="Occurred (UTC)")
    def occurred(self, event: Event) -> str:
        return moment(event.occurred_at)

    @display(description="Received (UTC)")
    def received(self, event: Event) -> str:
        return moment(event.received_at)

    @display(description="Source")
    def source_text(self, event: Event) -> str:
        return event.source or "–"

    @display(description="Sent as")
    def payload(self, event: Event) -> SafeString:
        return format_html(
            '<a href="{0}" class="ch-link" hx-get="{0}" hx-target="#modal-content" hx-select="#payload"'
            ' x-on:htmx:after-on-load="openModal = true">Payload</a>',
            reverse("admin:events_event_payload", args=[event.pk]),
        )


def overview() -> dict[str, Any]:
    """Return the overview above the list. Five queries, none of the ledger."""
    now = timezone.now()
    return {
        "waiting": dashboard.waiting(now=now),
        "last_day": dashboard.ended(since=now - timedelta(hours=CHART_HOURS)),
        "per_minute": dashboard.arriving_per_minute(now=now),
        "chart": charts.by_hour(dashboard.volume(now=now, hours=CHART_HOURS), CHART_TITLE),
        "reasons": _by_reason(open_causes()),
    }


def _by_reason(causes: list[Cause]) -> list[dict[str, Any]]:
    """Add up causes by reason, most frequent first, for the badges that filter the list."""
    totals: dict[Reason, dict[str, Any]] = {}
    for cause in causes:
        total = totals.setdefault(cause.reason, {"reason": cause.reason, "problems": 0, "is_capped": False})
        total["problems"] += cause.problems
        total["is_capped"] |= cause.is_capped
    return sorted(totals.values(), key=lambda total: -total["problems"])


def payload(event: Event) -> dict[str, Any]:
    """Return the event as a client would send it."""
    return {
        "event_id": event.event_id,
        "event_name": event.event_name,
        "external_customer_id": event.external_customer_id,
        **({"timestamp": event.occurred_at.isoformat()} if event.has_timestamp else {}),
        **({"source": event.source} if event.source else {}),
        "properties": event.properties,
    }


def event_context(event: Event) -> dict[str, Any]:
    """Return everything about an event for its page."""
    problems = list(Problem.objects.filter(event=event).select_related("feature", "closed_by").order_by("state", "-pk"))
    for problem in problems:
        problem.explanation = EXPLANATIONS[Reason(problem.reason)]  # type: ignore[attr-defined]
        problem.fixes = _fixes(event, problem)  # type: ignore[attr-defined]
    return {
        "event": event,
        "title": "Event",
        "subtitle": event.event_id,
        "state_html": badge(event.get_state_display(), VARIANTS[EventState(event.state)]),
        "customer_html": customer_html(event),
        "payload": payload(event),
        "problems": problems,
        "void": getattr(event, "void", None) if event.state == EventState.VOIDED else None,
        "duplicates": DuplicateEvent.objects.filter(event_id=event.event_id).order_by("-last_at")[:20],
        "verdicts": verdicts(event, problems),
        "debugger_url": debugger_url(event),
        "delay_s": (event.processed_at - event.received_at).total_seconds(),
    }


def _fixes(event: Event, problem: Problem) -> list[dict[str, Any]]:
    """Return the fixes for the cause of an open problem, with the permissions they need."""
    if problem.state != ProblemState.OPEN:
        return []
    reason, external_id = Reason(problem.reason), problem.external_customer_id
    likely_customer = nearly_named(external_id) if reason == Reason.UNKNOWN_CUSTOMER else None
    names: list[str] = []
    if reason == Reason.UNKNOWN_EVENT_NAME:
        names = list(Feature.objects.metered().values_list("event_name", flat=True).distinct())
    trouble = Trouble(reason, problem.event_name, external_id, problem.feature, problem.occurred_at)
    offers = offers_for(trouble, known_names=names, meant=likely_customer)
    return [
        {"label": offer.label, "url": offer.address(event=event.event_id), "permissions": offer.permissions}
        for offer in offers
    ]


def customer_html(event: Any) -> SafeString:
    """Link to the event's customer, or show the ID that was sent, marked as unknown."""
    if event.customer is None:
        return format_html("{} {}", code(event.external_customer_id), badge("unknown", "danger"))
    link = reverse("admin:customers_customer_change", args=[event.customer_id])
    return format_html(
        '<a href="{}" class="ch-link">{}</a><div class="ch-note">{}</div>',
        link,
        event.customer.name,
        event.external_customer_id,
    )


def debugger_url(event: Event) -> str:
    """Return the address of the event in the Event Debugger."""
    return event_url(event.event_id)


def _event_url(event: Event) -> str:
    return reverse("admin:events_event_change", args=[event.pk])


def _get_or_404(object_id: str) -> Event:
    event: Event | None = get_event(_ledger_id(object_id))
    if event is None:
        raise Http404(f"No event has the ledger ID {object_id}.")
    return event


def _find_sealed(request: HttpRequest) -> Event | None:
    """Return the sealed event whose ID was searched for."""
    term = request.GET.get("q", "").strip()
    if not term or not is_on() or Event.objects.filter(event_id=term).exists():
        return None
    event: Event | None = find_event(term)
    return event


def _ledger_id(object_id: str) -> int:
    if not object_id.isascii() or not object_id.isdecimal() or len(object_id) > 18:
        raise Http404(f"No event has the ledger ID {object_id[:40]}.")
    return int(object_id)


def _is_voided(object_id: Any) -> bool:
    if object_id is None:
        return False
    return Event.objects.filter(pk=_ledger_id(str(object_id)), state=EventState.VOIDED).exists()
