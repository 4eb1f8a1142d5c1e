"""Problems: by cause, with what to do about each, and one by one."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm

from catalog.models import Feature
from events import dashboard
from events.admin.dialogs import ReasonForm, back_to, confirm, staff, summary
from events.admin.filters import EVENT_REASONS, EventNameFilter, ExternalIdFilter
from events.admin.fixes import fixes_for
from events.admin.readonly import LongListAdmin, badge, code, moment
from events.models import Problem, ProblemState
from events.reasons import EXPLANATIONS, Reason
from events.replaying import dismiss, replay

AT_ONCE = 20_000  # problems that one click replays or dismisses
VARIANTS = {
    ProblemState.OPEN: "danger",
    ProblemState.RESOLVED: "success",
    ProblemState.DISMISSED: "default",
    ProblemState.VOIDED: "default",
}


class ProblemStateFilter(DropdownFilter):
    """Open ones, unless another state is asked for."""

    title = "state"
    parameter_name = "state"
    all_option = ["", "Open"]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        closed = [(str(state.value), str(state.label)) for state in ProblemState if state != ProblemState.OPEN]
        return [*closed, ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or str(ProblemState.OPEN.value)
        return queryset.filter(state=int(value)) if value.isdecimal() and len(value) < 4 else queryset


class ProblemReasonFilter(DropdownFilter):
    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, str(reason.label)) for reason in EVENT_REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() in Reason.values else queryset


@admin.register(Problem)
class ProblemAdmin(LongListAdmin):
    """Why events don't count. Problems are closed by mending the cause and replaying, or dismissed with a reason."""

    list_display = ("event_link", "reason_badge", "what", "name", "customer_text", "occurred", "found", "state_text")
    list_display_links = None
    list_select_related = ("event", "feature", "closed_by")
    list_filter = (
        ProblemStateFilter,
        ProblemReasonFilter,
        EventNameFilter,
        ExternalIdFilter,
        ("feature", AutocompleteSelectFilter),
    )
    search_fields = ("external_customer_id",)
    search_help_text = "Event id or external customer id, exactly"
    actions = ("replay_selected", "dismiss_selected")
    list_before_template = "admin/events/problem/to_causes.html"
    fields = (
        *("event", "feature", "reason", "meaning", "detail", "judged_by", "event_name", "external_customer_id"),
        *("occurred_at", "state", "created_at", "judged_at", "closed_at", "closed_by", "closing"),
    )
    readonly_fields = ("meaning",)
    empty_title = "No problem here"
    empty_text = "Every event that arrived counts, or was dealt with."
    export_columns = (
        ("event_id", lambda problem: problem.event.event_id),
        ("reason", lambda problem: problem.get_reason_display()),
        ("feature", lambda problem: problem.feature.name if problem.feature else ""),
        ("event_name", lambda problem: problem.event_name),
        ("external_customer_id", lambda problem: problem.external_customer_id),
        ("occurred_at", lambda problem: problem.occurred_at),
        ("state", lambda problem: problem.get_state_display()),
        ("detail", lambda problem: problem.detail),
        ("closed_at", lambda problem: problem.closed_at),
        ("closing", lambda problem: problem.closing),
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("causes/", view(self.causes_view), name="events_problem_causes"),
            path("causes/replay/", view(self.replay_cause_view), name="events_problem_replay_cause"),
            path("causes/dismiss/", view(self.dismiss_cause_view), name="events_problem_dismiss_cause"),
            *super().get_urls(),
        ]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_event = queryset.filter(event__event_id=term)
        return (by_event if by_event.exists() else queryset.filter(external_customer_id=term)), False

    def has_mend_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether this user may replay and dismiss: what "change" means for problems, which nobody edits."""
        return request.user.has_perm("events.change_problem")

    # --- by cause ------------------------------------------------------------------------------------

    def causes_view(self, request: HttpRequest) -> HttpResponse:
        """Show the open problems grouped by cause, with what mends each. Only for staff who may view problems."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        causes = dashboard.causes()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Problems",
            "causes": [_shown(cause, request) for cause in causes],
            "total": sum(cause.problems for cause in causes),
            "is_capped": any(cause.is_capped for cause in causes) or len(causes) >= dashboard.CAUSES_CAP,
            "cap": dashboard.CAUSE_CAP,
            "may_mend": self.has_mend_permission(request),
        }
        return TemplateResponse(request, "admin/events/problem/causes.html", context)

    def replay_cause_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, then judge every event of a cause again, the oldest first, as many as one click does."""
        chosen = self._cause_of(request)
        text = (
            "Events are judged by today's features and customers, and count in the period of their own time when"
            " nothing keeps them from it any more. What is still wrong stays open."
        )
        form = BaseDialogForm(data=request.POST or None, request=request)
        if not form.is_valid():
            return _dialog(request, confirm("Replay these events?", text, "Replay"), form)
        ids = chosen.order_by("event_id").values_list("event_id", flat=True).distinct()[: AT_ONCE + 1]
        return self._replay_answer(request, list(ids), "Replayed with its cause")

    def dismiss_cause_view(self, request: HttpRequest) -> HttpResponse:
        """Ask why, then close the problems of a cause without counting their events."""
        chosen = self._cause_of(request)
        text = "Their events don't count and leave this list. Dismissing can't be undone; the events stay on record."
        form = ReasonForm(data=request.POST or None, request=request)
        if not form.is_valid():
            return _dialog(request, confirm("Dismiss these problems?", text, "Dismiss"), form)
        ids = list(chosen.order_by("pk").values_list("pk", flat=True)[: AT_ONCE + 1])
        done = dismiss(ids[:AT_ONCE], reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(request))
        return back_to(request, reverse("admin:events_problem_causes"), f"{done:,} problem(s) dismissed.{_rest(ids)}")

    def _cause_of(self, request: HttpRequest) -> QuerySet[Problem]:
        """Find the open problems of the cause that the address names. Only for staff who may mend."""
        if not self.has_mend_permission(request):
            raise PermissionDenied
        given = request.GET
        chosen = Problem.objects.filter(state=ProblemState.OPEN, reason=given.get("reason", ""))
        if external_id := given.get("external_customer_id"):
            return chosen.filter(external_customer_id=external_id)
        feature = given.get("feature", "")
        chosen = chosen.filter(event_name=given.get("event_name", ""))
        return chosen.filter(feature=int(feature)) if feature.isdecimal() else chosen.filter(feature=None)

    def _replay_answer(self, request: HttpRequest, ids: list[int], closing: str) -> HttpResponse:
        done = replay(ids[:AT_ONCE], closing=closing, by=staff(request))
        level = messages.WARNING if done.still_open else messages.SUCCESS
        url = reverse("admin:events_problem_causes")
        return back_to(request, url, f"{summary(done)}{_rest(ids)}", level=level)

    # --- selected ones -------------------------------------------------------------------------------

    @action(description="Replay selected", permissions=["mend"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Problem]) -> None:
        """Judge the events of the selected problems again."""
        ids = list(queryset.order_by("event_id").values_list("event_id", flat=True).distinct())
        done = replay(ids, closing="Replayed from the list of problems", by=staff(request))
        self.message_user(request, summary(done), messages.WARNING if done.still_open else messages.SUCCESS)

    @action(description="Dismiss selected…", permissions=["mend"])
    def dismiss_selected(self, request: HttpRequest, queryset: QuerySet[Problem]) -> HttpResponse | None:
        """Ask why, then close the selected problems without counting their events."""
        reason = request.POST.get("reason", "").strip()
        ids = list(queryset.filter(state=ProblemState.OPEN).values_list("pk", flat=True))
        if reason:
            done = dismiss(ids, reason=reason[:200], now=timezone.now(), by=staff(request))
            self.message_user(request, f"{done:,} problem(s) dismissed.")
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Dismiss {len(ids):,} problem(s)",
            "ids": ids,
            "asked": "reason" in request.POST,
        }
        return TemplateResponse(request, "admin/events/problem/dismiss.html", context)

    # --- columns -------------------------------------------------------------------------------------

    @display(description="Event")
    def event_link(self, problem: Problem) -> SafeString:
        url = reverse("admin:events_event_change", args=[problem.event_id])
        return format_html('<a href="{}" class="ch-link">{}</a>', url, code(problem.event.event_id))

    @display(description="Problem")
    def reason_badge(self, problem: Problem) -> SafeString:
        url = reverse("admin:events_problem_change", args=[problem.pk])
        shown = badge(problem.get_reason_display(), "warning", title=EXPLANATIONS[Reason(problem.reason)].meaning)
        note = format_html('<div class="ch-note">{}</div>', problem.feature.name) if problem.feature else ""
        return format_html('<a href="{}">{}</a>{}', url, shown, note)

    @display(description="Found")
    def what(self, problem: Problem) -> SafeString:
        return detail_html(problem.detail)

    @display(description="Event name")
    def name(self, problem: Problem) -> SafeString:
        return code(problem.event_name)

    @display(description="External customer id")
    def customer_text(self, problem: Problem) -> SafeString:
        return code(problem.external_customer_id)

    @display(description="Occurred")
    def occurred(self, problem: Problem) -> str:
        return moment(problem.occurred_at)

    @display(description="First seen")
    def found(self, problem: Problem) -> str:
        return moment(problem.created_at)

    @display(description="State")
    def state_text(self, problem: Problem) -> SafeString:
        shown = badge(problem.get_state_display(), VARIANTS[ProblemState(problem.state)])
        if not problem.closing:
            return shown
        who = f" · {problem.closed_by}" if problem.closed_by else ""
        return format_html('{}<div class="ch-note">{}{}</div>', shown, problem.closing, who)

    @display(description="What it means")
    def meaning(self, problem: Problem) -> str:
        explanation = EXPLANATIONS[Reason(problem.reason)]
        return f"{explanation.meaning} {explanation.fix}"


def detail_html(detail: dict[str, Any]) -> SafeString:
    """Write what was found: the field and its value, or the properties that were sent instead of it."""
    if "sent" in detail:
        sent = ", ".join(detail["sent"][:8]) or "nothing"
        return format_html("{} is missing<div class='ch-note'>sent: {}</div>", code(detail["field"]), sent)
    if "value" in detail:
        return format_html("{} = {}", code(detail["field"]), code(str(detail["value"])[:60]))
    return SafeString("–")


def list_url(cause: dashboard.Cause) -> str:
    """Give the address of the list of a cause's open problems."""
    feature = {"feature__id__exact": cause.feature.pk} if cause.feature else {}
    return f"{reverse('admin:events_problem_changelist')}?{urlencode(_named(cause) | feature)}"


def _named(cause: dashboard.Cause) -> dict[str, Any]:
    if cause.external_id:
        return {"reason": cause.reason.value, "external_customer_id": cause.external_id}
    return {"reason": cause.reason.value, "event_name": cause.event_name}


def _shown(cause: dashboard.Cause, request: HttpRequest) -> dict[str, Any]:
    """Give a cause its addresses: the list of its problems, its actions, and the fixes that this user may use."""
    feature = {"feature": cause.feature.pk} if cause.feature else {}
    asked = urlencode(_named(cause) | feature)
    names = _known_names(request) if cause.reason == Reason.UNKNOWN_EVENT_NAME else ()
    return {
        "cause": cause,
        "list_url": list_url(cause),
        "replay_url": f"{reverse('admin:events_problem_replay_cause')}?{asked}",
        "dismiss_url": f"{reverse('admin:events_problem_dismiss_cause')}?{asked}",
        "fixes": [fix for fix in fixes_for(cause, known_names=names) if request.user.has_perm(fix.permission)],
    }


def _known_names(request: Any) -> list[str]:
    """Read the catalog's event names, once for a page."""
    if not hasattr(request, "known_event_names"):
        names = Feature.objects.metered().order_by("event_name").values_list("event_name", flat=True).distinct()
        request.known_event_names = list(names)
    return list(request.known_event_names)


def _dialog(request: HttpRequest, dialog: Any, form: Any) -> HttpResponse:
    context = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
    return render(request, "unfold/helpers/dialog.html", context)


def _rest(ids: list[int]) -> str:
    return f" More than {AT_ONCE:,} were concerned: do it again for the rest." if len(ids) > AT_ONCE else ""
