"""The page of a fix: what it would change; and, once applied, the proof of what it did."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from config.office.links import admin_url, page_of
from config.office.pages import clean, ensure_may_view, page
from config.office.wording import number
from config.refusals import Refused
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


def fix(request: HttpRequest) -> HttpResponse:
    """Show what a fix would change; a POST applies it, replays what waited, and goes back with the proof.

    For staff who may make the change itself: 403 otherwise.
    """
    user = ensure_may_view(request)
    sent = request.POST if request.method == "POST" else request.GET
    given = {name: clean(str(value)) for name, value in sent.items()}
    try:
        action = make_action(given.get("action", ""), _parameters(given))
        if not user.has_perms(action.permissions):
            raise PermissionDenied
        if request.method == "POST":
            return _apply(request, user, action, given)
        return _fix_page(request, user, action, given)
    except FixRefused as refused:
        messages.error(request, str(refused))
        return HttpResponseRedirect(_back(given))


def _fix_page(request: HttpRequest, user: User, action: Action, given: dict[str, str]) -> HttpResponse:
    tried, refusal = None, ""
    if _is_filled(action, given):
        try:
            tried = preview(action, now=timezone.now(), by=user)
        except (Refused, ValidationError) as refused:
            refusal = sentence_of(refused)
    fields = [{"field": one, "value": given.get(one.name, one.initial)} for one in action.fields()]
    names = {one.name for one in action.fields()} | {"reason"}
    context = {
        "action": action,
        "fields": fields,
        "hidden": [(name, value) for name, value in given.items() if name not in names],
        "waiting": count_waiting(action),
        "waiting_url": admin_url("events_problem_changelist", **action.listed()),
        "preview": _preview(tried) if tried else None,
        "refusal": refusal,
        "event_id": given.get("event", ""),
        "back_url": _back(given),
        "reason": given.get("reason", ""),
        "is_filled": _is_filled(action, given),
    }
    return page(request, "debugger_fix.html", action.title(), **context)


def _is_filled(action: Action, given: dict[str, str]) -> bool:
    """Tell whether all that the fix needs is there; a first look at one with blanks to fill in shows no preview."""
    return all(given.get(one.name, one.initial).strip() for one in action.fields() if one.is_required) and (
        not action.fields() or "previewed" in given
    )


def _apply(request: HttpRequest, user: User, action: Action, given: dict[str, str]) -> HttpResponse:
    try:
        done = apply_fix(action, now=timezone.now(), by=user, reason=given.get("reason", "").strip())
    except (Refused, ValidationError) as refused:
        messages.error(request, sentence_of(refused))
        wanted = {name: value for name, value in given.items() if name != "csrfmiddlewaretoken"}
        return HttpResponseRedirect(f"{reverse('admin:events_debugger_fix')}?{urlencode(wanted)}")
    if done.run is not None:
        enqueue_fixes()
        messages.success(request, f"{action.title()}: done. Its events are replayed in the background.")
        return HttpResponseRedirect(done.run.get_absolute_url())
    request.session["fix_proof"] = _proof(action, done)
    return HttpResponseRedirect(_back(given))


def _back(given: dict[str, str]) -> str:
    """Return to where the fix was chosen: the list of causes, the event, or the debugger."""
    if given.get("back") == "problems":
        return reverse("admin:events_problem_causes")
    return event_url(given["event"]) if given.get("event") else reverse("admin:events_debugger")


def _parameters(given: dict[str, str]) -> dict[str, str]:
    """Leave out what is the page's own, so that the rest names the fix alone."""
    return {name: value for name, value in given.items() if name not in PAGE_FIELDS}


def take_proof(request: HttpRequest) -> dict[str, Any] | None:
    """Return the proof of the fix that was just applied, once."""
    proof: dict[str, Any] | None = request.session.pop("fix_proof", None)
    return proof


def sentence_of(refused: Exception) -> str:
    """Write a refusal as one text for staff."""
    return " ".join(refused.messages) if isinstance(refused, ValidationError) else str(refused)


def _preview(tried: Preview) -> dict[str, Any]:
    return {
        "events": tried.events,
        "is_partial": tried.is_partial,
        "closed": tried.closed,
        "still_open": tried.still_open,
        "money": write_amounts(tried.money),
        "has_money": bool(tried.money),
        "left_out": tried.after.worth.left_out,
        **_changes(tried.changes),
    }


def _proof(action: Action, done: Applied) -> dict[str, Any]:
    """Keep the proof as plain texts, for the session."""
    return {
        "title": action.title(),
        "events": done.replayed.events,
        "closed": done.replayed.closed,
        "still_open": done.replayed.still_open,
        "money": write_amounts(done.money),
        "has_money": bool(done.money),
        "before": write_amounts(done.money_before.amounts),
        "after": write_amounts(done.money_after.amounts),
        **_changes(done.changes),
    }


def _changes(changes: tuple[CauseChange, ...]) -> dict[str, Any]:
    """Write the first hundred rows, and how many more there are, as plain texts."""
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
        }
        for change in changes[:MOST_ROWS]
    ]
    return {"changes": rows, "more_changes": max(len(changes) - MOST_ROWS, 0)}


def _usage_url(change: CauseChange) -> str:
    """Link to the usage of the change's hours in the Query tool."""
    return admin_url(
        "events_query",
        feature=change.feature.pk,
        customer=change.customer.external_id,
        window="custom",
        timezone="UTC",
        start=f"{change.start:%Y-%m-%dT%H:%M}",
        end=f"{change.end:%Y-%m-%dT%H:%M}",
    )
