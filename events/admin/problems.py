"""The list of problems: why events don't count, with actions to replay or dismiss selected problems."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import action, display

from config.office.dialogs import staff
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment, plural
from events.admin.causes import CausesPages
from events.admin.dismissing import dismiss_selected
from events.admin.filters import EVENT_REASONS, EventNameFilter, ExternalIdFilter, OccurredRangeFilter
from events.admin.replays import describe_replay
from events.ledger.replaying import replay
from events.ledger.voiding import dismiss
from events.models import Problem, ProblemState
from events.reasons import EXPLANATIONS, Reason
from events.wording import detail_html

VARIANTS = {
    ProblemState.OPEN: "danger",
    ProblemState.RESOLVED: "success",
    ProblemState.DISMISSED: "",
    ProblemState.VOIDED: "",
}


class ProblemStateFilter(DropdownFilter):
    """Filter by state. Defaults to open problems."""

    title = "status"
    parameter_name = "state"
    all_option = ["", "Open"]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        closed = [(str(state.value), str(state.label)) for state in ProblemState if state != ProblemState.OPEN]
        return [*closed, ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or str(ProblemState.OPEN.value)
        return queryset.filter(state=int(value)) if value.isdecimal() and len(value) < 4 else queryset


class ProblemReasonFilter(DropdownFilter):
    """Filter by reason. Links can name several, with commas between them."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, str(reason.label)) for reason in EVENT_REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        reasons = [reason for reason in (self.value() or "").split(",") if reason in Reason.values]
        return queryset.filter(reason__in=reasons) if reasons else queryset


@admin.register(Problem)
class ProblemAdmin(CausesPages, LongListAdmin):
    """Why events don't count. Fixing the cause and replaying closes problems; so does dismissing them with a reason."""

    list_display = ("event_link", "reason_badge", "what", "name", "customer_text", "occurred", "found", "state_text")
    list_display_links = None
    list_select_related = ("event", "feature", "closed_by")
    list_filter = (
        ProblemStateFilter,
        ProblemReasonFilter,
        EventNameFilter,
        ExternalIdFilter,
        ("feature", AutocompleteSelectFilter),
        ("occurred_at", OccurredRangeFilter),
    )
    search_fields = ("external_customer_id",)
    search_help_text = "Exact event ID or external customer ID"
    actions = ("replay_selected", "dismiss_selected")
    list_before_template = "admin/events/problem/to_causes.html"
    fields = (
        *("event", "feature", "reason", "meaning", "detail", "judged_by", "event_name", "external_customer_id"),
        *("occurred_at", "state", "created_at", "judged_at", "closed_at", "closed_by", "closing"),
    )
    readonly_fields = ("meaning",)
    empty_title = "No open problems"
    empty_text = "All events are counted, or their problems are closed."
    export_columns = (
        ("event_id", "event__event_id"),
        ("reason", lambda problem: problem.get_reason_display()),
        ("feature", "feature__name"),
        ("event_name", "event_name"),
        ("external_customer_id", "external_customer_id"),
        ("occurred_at", "occurred_at"),
        ("state", lambda problem: problem.get_state_display()),
        ("detail", "detail"),
        ("closed_at", "closed_at"),
        ("closing", "closing"),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Leave out details that the problem doesn't have."""
        empty = {name for name in ("feature", "detail", "judged_by") if obj is not None and not getattr(obj, name)}
        return [name for name in self.fields if name not in empty]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_event = queryset.filter(event__event_id=term)
        return (by_event if by_event.exists() else queryset.filter(external_customer_id=term)), False

    # --- actions -------------------------------------------------------------------------------

    @action(description="Replay selected", permissions=["fix"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Problem]) -> None:
        """Replay the events of the selected problems."""
        ids = list(queryset.order_by("event_id").values_list("event_id", flat=True).distinct())
        done = replay(ids, closing="Replayed from the list of problems", by=staff(request))
        self.message_user(request, describe_replay(done), messages.WARNING if done.still_open else messages.SUCCESS)

    @action(description="Dismiss selected…", permissions=["fix"])
    def dismiss_selected(self, request: HttpRequest, queryset: QuerySet[Problem]) -> HttpResponse | None:
        """Ask for a reason, then close the selected problems without counting their events."""
        ids = list(queryset.filter(state=ProblemState.OPEN).values_list("pk", flat=True))

        def dismiss_problems(ids: list[int], reason: str) -> str:
            count = dismiss(ids, reason=reason, now=timezone.now(), by=staff(request))
            return f"{plural(count, 'problem')} dismissed."

        return dismiss_selected(
            self,
            request,
            ids,
            dismiss_problems,
            title=f"Dismiss {plural(len(ids), 'problem')}",
            text="The events won't be counted, and leave the list of open problems. The events stay on record.",
            maxlength=200,
        )

    # --- columns -------------------------------------------------------------------------------------

    @display(description="Event")
    def event_link(self, problem: Problem) -> SafeString:
        url = reverse("admin:events_event_change", args=[problem.event_id])
        return format_html('<a href="{}" class="ch-link">{}</a>', url, code(problem.event.event_id))

    @display(description="Problem")
    def reason_badge(self, problem: Problem) -> SafeString:
        url = reverse("admin:events_problem_change", args=[problem.pk])
        reason = badge(problem.get_reason_display(), "warning", title=EXPLANATIONS[Reason(problem.reason)].meaning)
        note = format_html('<div class="ch-note">{}</div>', problem.feature.name) if problem.feature else ""
        return format_html('<a href="{}">{}</a>{}', url, reason, note)

    @display(description="Details")
    def what(self, problem: Problem) -> SafeString:
        return detail_html(problem.detail)

    @display(description="Event name")
    def name(self, problem: Problem) -> SafeString:
        return code(problem.event_name)

    @display(description="External customer ID")
    def customer_text(self, problem: Problem) -> SafeString:
        return code(problem.external_customer_id)

    @display(description="Occurred (UTC)")
    def occurred(self, problem: Problem) -> str:
        return moment(problem.occurred_at)

    @display(description="First seen (UTC)")
    def found(self, problem: Problem) -> str:
        return moment(problem.created_at)

    @display(description="Status")
    def state_text(self, problem: Problem) -> SafeString:
        state = badge(problem.get_state_display(), VARIANTS[ProblemState(problem.state)])
        if not problem.closing:
            return state
        author = f" · {problem.closed_by}" if problem.closed_by else ""
        return format_html('{}<div class="ch-note">{}{}</div>', state, problem.closing, author)

    @display(description="Explanation")
    def meaning(self, problem: Problem) -> str:
        explanation = EXPLANATIONS[Reason(problem.reason)]
        return f"{explanation.meaning} {explanation.fix}"
