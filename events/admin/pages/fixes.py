"""The page of a fix: a preview of its changes, and the result once it is applied.

The page loads the preview by a POST, since a preview makes the change and rolls it back: opening a link writes nothing.
"""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from config.numbers import number
from config.office.dialogs import open_page, refusal_text, staff
from config.office.links import admin_url, page_of
from config.office.pages import AdminPage, AdminView, clean_values
from config.refusals import Refused
from customers.periods import Period
from events import wording
from events.diagnosis.billing_facts import write_amounts
from events.fixing import (
    Action,
    Applied,
    CauseChange,
    FixRefused,
    Preview,
    apply_fix,
    count_waiting,
    make_action,
    preview,
)
from events.links import event_url
from events.tasks import enqueue_fixes

MOST_ROWS = 100
PAGE_FIELDS = {"action", "back", "csrfmiddlewaretoken", "event", "previewed", "reason"}


class FixView(AdminView):
    """A view of the fix that the request names.

    Requires the permissions for the change itself in addition to viewing events.
    """

    permission = "events.view_event"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.values = clean_values(request.POST if request.method == "POST" else request.GET)
        try:
            return super().dispatch(request, *args, **kwargs)
        except FixRefused as refusal:
            return open_page(request, back_url(self.values), str(refusal), level=messages.ERROR)

    def read_action(self) -> Action:
        """Return the fix that the request names. Raises FixRefused, and PermissionDenied if the user can't apply it."""
        parameters = {name: value for name, value in self.values.items() if name not in PAGE_FIELDS}
        action = make_action(self.values.get("action", ""), parameters)
        if not staff(self.request).has_perms(action.permissions):
            raise PermissionDenied
        return action


class FixPage(FixView, AdminPage):
    """Show the form of a fix. A POST applies the fix, replays the waiting events and shows the result."""

    template_name = "admin/events/debugger_fix.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        action = self.read_action()
        return self.render(title=action.title(), **fix_context(action, self.values))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        action, reason = self.read_action(), self.values.get("reason", "")
        try:
            applied = apply_fix(action, now=timezone.now(), by=staff(request), reason=reason)
        except (Refused, ValidationError) as refusal:
            query = {name: value for name, value in self.values.items() if name != "csrfmiddlewaretoken"}
            url = f"{reverse('admin:events_debugger_fix')}?{urlencode(query)}"
            return open_page(request, url, refusal_text(refusal), level=messages.ERROR)
        if applied.run is not None:
            enqueue_fixes()
            message = f"{action.title()}: done. The events are being replayed in the background."
            return open_page(request, applied.run.get_absolute_url(), message)
        request.session["fix_proof"] = proof_context(action, applied)
        return HttpResponseRedirect(back_url(self.values))


class FixEffect(FixView):
    """Show what the fix would change, and the button that applies it. The page of the fix loads this."""

    template_name = "admin/events/debugger_fix_effect.html"
    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        action = self.read_action()
        context = {"title": action.title(), "preview": None, "refusal": "", **fix_context(action, self.values)}
        try:
            context["preview"] = preview_context(preview(action, now=timezone.now(), by=staff(request)))
        except (Refused, ValidationError) as error:
            context["refusal"] = refusal_text(error)
        return self.render(**context)


def fix_context(action: Action, values: dict[str, str]) -> dict[str, Any]:
    """Return the form of a fix; `is_filled` tells whether its changes can be previewed."""
    fields = action.fields()
    visible = {field.name for field in fields} | {"reason", "csrfmiddlewaretoken"}
    return {
        "action": action,
        "fields": [{"field": field, "value": field.written(values.get(field.name, field.initial))} for field in fields],
        "hidden": [(name, value) for name, value in values.items() if name not in visible],
        "waiting": count_waiting(action),
        "waiting_url": admin_url("events_problem_changelist", **action.listed()),
        "event_id": values.get("event", ""),
        "back_url": back_url(values),
        "reason": values.get("reason", ""),
        "is_filled": has_required_values(action, values),
    }


def has_required_values(action: Action, values: dict[str, str]) -> bool:
    """Check that the fix can be previewed. A form with fields is previewed only after the first submit."""
    fields = action.fields()
    is_complete = all(values.get(field.name, field.initial).strip() for field in fields if field.is_required)
    return is_complete and (not fields or "previewed" in values)


def back_url(values: dict[str, str]) -> str:
    """Return the page where the fix was chosen: the causes of problems, the event, or the debugger."""
    if values.get("back") == "problems":
        return reverse("admin:events_problem_causes")
    return event_url(values["event"]) if values.get("event") else reverse("admin:events_debugger")


def take_proof(request: HttpRequest) -> dict[str, Any] | None:
    """Return the result of the fix that was just applied, and forget it."""
    proof: dict[str, Any] | None = request.session.pop("fix_proof", None)
    return proof


def preview_context(result: Preview) -> dict[str, Any]:
    return {
        "events": result.events,
        "is_partial": result.is_partial,
        "closed": result.closed,
        "still_open": result.still_open,
        "money": write_amounts(result.money),
        "has_money": bool(result.money),
        "amount_before": write_amounts(result.before.worth.amounts),
        "amount_after": write_amounts(result.after.worth.amounts),
        "periods": result.after.worth.periods,
        "notes": result.notes,
        "left_out": result.after.worth.left_out,
        **changes_context(result.changes),
    }


def proof_context(action: Action, applied: Applied) -> dict[str, Any]:
    """Return the result of a fix as plain text, which the session can store."""
    return {
        "title": action.title(),
        "events": applied.replayed.events,
        "closed": applied.replayed.closed,
        "still_open": applied.replayed.still_open,
        "money": write_amounts(applied.money),
        "has_money": bool(applied.money),
        "before": write_amounts(applied.money_before.amounts),
        "after": write_amounts(applied.money_after.amounts),
        "notes": list(applied.notes),
        **changes_context(applied.changes),
    }


def changes_context(changes: tuple[CauseChange, ...]) -> dict[str, Any]:
    """Return the first rows as plain text, and the number of the others."""
    rows = [
        {
            "customer": change.customer.name,
            "customer_url": page_of(change.customer),
            "feature": change.feature.name,
            "feature_url": page_of(change.feature),
            "usage_url": _usage_url(change),
            "before": number(change.before),
            "after": number(change.after),
            "difference": f"{'+' if change.difference >= 0 else ''}{number(change.difference)}",
            "unit": change.feature.unit_for(change.after),
            "events": f"{change.events_before:,} → {change.events_after:,}",
            "scope": wording.span(Period(change.start, change.end), change.customer.timezone),
            "is_billed": change.is_billed,
        }
        for change in changes[:MOST_ROWS]
    ]
    return {"changes": rows, "more_changes": max(len(changes) - MOST_ROWS, 0)}


def _usage_url(change: CauseChange) -> str:
    """Link to this usage in the Query tool."""
    return admin_url(
        "events_query",
        feature=change.feature.pk,
        customer=change.customer.external_id,
        window="custom",
        timezone="UTC",
        start=f"{change.start:%Y-%m-%dT%H:%M}",
        end=f"{change.end:%Y-%m-%dT%H:%M}",
    )
