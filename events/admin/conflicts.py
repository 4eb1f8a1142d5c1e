"""Open conflicts of event IDs by cause, above the list of duplicates, and the dialog that dismisses a cause."""

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter

from config.office.dialogs import ReasonForm, confirm, open_page, show_dialog, staff
from config.office.pages import clean_values
from config.office.wording import plural
from events.ledger.conflicts import MOST_AT_ONCE, ConflictCause, dismiss_conflicts, open_conflicts
from events.links import event_url
from events.models import ApiKey, DuplicateEvent
from events.models.duplicates import IS_DISMISSED, IS_OPEN, ConflictState, Difference

LONGEST_ID = 10  # digits


class ConflictStateFilter(DropdownFilter):
    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in ConflictState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        conditions = {ConflictState.OPEN.value: IS_OPEN, ConflictState.DISMISSED.value: IS_DISMISSED}
        value = self.value() or ""
        return queryset.filter(conditions[value]) if value in conditions else queryset


class DifferenceFilter(DropdownFilter):
    """Filter by a field in which conflicts differ from the first event."""

    title = "difference"
    parameter_name = "differs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(difference.value, str(difference.label)) for difference in Difference]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(differs__contains=[self.value()]) if self.value() in Difference.values else queryset


class ConflictPages(ModelAdmin):
    """The causes of open conflicts and their dismissal, as a mixin for the admin of duplicates."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.dismiss_cause_view)
        return [path("dismiss/", view, name="events_duplicateevent_dismiss_cause"), *super().get_urls()]

    def has_dismiss_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user can dismiss conflicts. No one edits them, so "change" permits this."""
        return bool(request.user.has_perm("events.change_duplicateevent"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the causes of open conflicts above the list."""
        context: dict[str, Any] = {}
        if "_export" not in request.GET:
            context["conflict_causes"] = [_row(cause) for cause in open_conflicts()]
            context["can_dismiss"] = self.has_dismiss_permission(request)
        response: HttpResponse = super().changelist_view(request, context | (extra_context or {}))
        return response

    def dismiss_cause_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a reason, then dismiss the open conflicts of a cause."""
        if not self.has_dismiss_permission(request):
            raise PermissionDenied
        rows = _rows_of(clean_values(request.GET))
        form = ReasonForm(data=request.POST or None, request=request)
        if not form.is_valid():
            text = (
                "The events stay uncounted, and Home no longer shows them. A conflict with another event ID or other"
                f" content is shown again. At most {MOST_AT_ONCE:,} are dismissed at once."
            )
            dialog = confirm("Dismiss these conflicts?", text, "Dismiss")
            return show_dialog(request, dialog, form, cancel_url=open_conflicts_url())
        count = dismiss_conflicts(rows, reason=form.cleaned_data["reason"], now=timezone.now(), by=staff(request))
        return open_page(request, open_conflicts_url(), describe_dismissal(count))


def describe_dismissal(count: int) -> str:
    """Say how many conflicts were dismissed, and whether more may be open."""
    more = " Dismiss again to continue with the rest." if count == MOST_AT_ONCE else ""
    return f"{plural(count, 'conflict')} dismissed.{more}"


def open_conflicts_url(**query: str | int) -> str:
    """Return the address of the list of open conflicts, optionally of one API key or difference."""
    parameters = {"state": ConflictState.OPEN.value} | query
    return f"{reverse('admin:events_duplicateevent_changelist')}?{urlencode(parameters)}"


def _row(cause: ConflictCause) -> dict[str, Any]:
    key_id = cause.api_key.pk if cause.api_key else 0
    query = urlencode({"key": key_id, "difference": cause.difference.value})
    return {
        "cause": cause,
        "list_url": open_conflicts_url(**{"key": key_id} if key_id else {}, differs=cause.difference.value),
        "dismiss_url": f"{reverse('admin:events_duplicateevent_dismiss_cause')}?{query}",
        "events": [(event_id, event_url(event_id)) for event_id in cause.event_ids],
    }


def _rows_of(values: dict[str, str]) -> QuerySet[DuplicateEvent]:
    """Return the open conflicts of the cause that an address names. Raises PermissionDenied for other addresses."""
    key, difference = values.get("key", ""), values.get("difference", "")
    if difference not in Difference.values or not key.isdecimal() or len(key) > LONGEST_ID:
        raise PermissionDenied
    api_key = ApiKey.objects.filter(pk=int(key)).first()
    if api_key is None and int(key):
        raise PermissionDenied
    return DuplicateEvent.objects.of_cause(api_key, Difference(difference))
