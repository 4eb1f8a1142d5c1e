"""The Event Debugger's pages: the live view, one event's steps, a fix with its preview and proof, and the dry run."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from catalog.refusals import Refused
from events.billing_facts import write_amounts
from events.diagnosis import Diagnosis, Fix, Place, Step, look_up
from events.diagnosis.request_steps import payload_of
from events.dry_run import dry_run, send_test
from events.fixing import Action, Applied, Change, FixRefused, Preview, apply_fix, count_waiting, make_action, preview
from events.fixing.actions import ACTIONS
from events.ingestion import ContentRefused, InboxUnavailable
from events.live import Filters, feed
from events.payload import PayloadRefused
from events.summary import summary_of, written

MOST_PASTED = 1024 * 1024
SAMPLE = """curl --request POST \\
  --url https://billing.example.com/v1/events \\
  --header 'Content-Type: application/json' \\
  --header 'x-api-key: <your_api_key>' \\
  --data '{
    "event_name": "model.usage",
    "external_customer_id": "cust_123",
    "properties": {
      "credits": 2
    }
  }'"""
STATES = (("", "All"), ("problems", "Problems and repeats"), ("counted", "Counted"), ("closed", "Voided or dismissed"))


def page(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    """Answer with one of the pages, inside the admin's frame."""
    return TemplateResponse(
        request, f"admin/events/{template}", {**admin.site.each_context(request), "title": title, **context}
    )


def ensure_may_view(request: HttpRequest) -> User:
    """Let through staff who may view events. Everybody else gets 403."""
    user = request.user
    if not isinstance(user, User) or not user.has_perm("events.view_event"):
        raise PermissionDenied
    return user


@require_GET
def debugger(request: HttpRequest) -> HttpResponse:
    """Show events live as they are processed, or with `?event=` the path of one. For staff who may view events."""
    user = ensure_may_view(request)
    if event_id := clean(request.GET.get("event", "")):
        return _event_page(request, user, event_id)
    filters = _filters(request)
    context = {
        "feed": feed(filters),
        "filters": filters,
        "states": STATES,
        "feed_url": f"{reverse('admin:events_debugger_feed')}?{request.GET.urlencode()}",
    }
    return page(request, "debugger.html", "Event Debugger", **context)


def clean(text: str) -> str:
    """Take a text from an address: without blanks around it, and without the NUL that PostgreSQL has no place for."""
    return text.replace("\x00", "").strip()


def _filters(request: HttpRequest) -> Filters:
    given = request.GET
    return Filters(*(clean(given.get(name, "")) for name in ("name", "customer", "state", "source")))


@require_GET
def live_feed(request: HttpRequest) -> JsonResponse:
    """Answer the live view's question, once a second or so, as JSON. For staff who may view events."""
    ensure_may_view(request)
    return JsonResponse(feed(_filters(request)), headers={"Cache-Control": "no-store"})


def _event_page(request: HttpRequest, user: User, event_id: str) -> HttpResponse:
    found = look_up(event_id, now=timezone.now())
    context = {
        "event_id": event_id,
        "diagnosis": found,
        "subject": found.subject,
        "summary": summary_of(found),
        "steps": [_shown(step, event_id, user) for step in found.steps],
        "payload": payload_of(found.subject) if found.subject else "",
        "is_waiting": found.subject is not None and found.subject.place == Place.WAITING,
        "ledger_url": _ledger_url(found),
        "proof": request.session.pop("fix_proof", None),
    }
    return page(request, "debugger_event.html", "Event Debugger", **context)


def _ledger_url(found: Diagnosis) -> str:
    subject = found.subject
    if subject is None or subject.place != Place.LEDGER:
        return ""
    return reverse("admin:events_event_change", args=[subject.pk])


def _shown(step: Step, event_id: str, user: User) -> dict[str, Any]:
    """Give a step its fixes as buttons: where they lead, and whether this user may."""
    fixes = [_button(fix, event_id, user) for fix in step.fixes]
    return {"step": step, "fixes": [fix for fix in fixes if fix["url"]]}


def _button(fix: Fix, event_id: str, user: User) -> dict[str, Any]:
    if not fix.action:
        return {"label": fix.label, "url": fix.url, "is_action": False, "may": True}
    query = urlencode({"event": event_id, "action": fix.action, **fix.parameters})
    may = user.has_perms(ACTIONS[fix.action].permissions)
    return {"label": fix.label, "url": f"{reverse('admin:events_debugger_fix')}?{query}", "is_action": True, "may": may}


def fix(request: HttpRequest) -> HttpResponse:
    """Show what a fix would change; a POST applies it, replays what waited, and goes back with the proof.

    For staff who may make the change itself: 403 otherwise.
    """
    user = ensure_may_view(request)
    sent = request.POST if request.method == "POST" else request.GET
    given = {name: clean(str(value)) for name, value in sent.items()}
    try:
        action = make_action(given.get("action", ""), given)
        if not user.has_perms(action.permissions):
            raise PermissionDenied
        if request.method == "POST":
            return _apply(request, user, action, given)
        return _fix_page(request, user, action, given)
    except FixRefused as refused:
        messages.error(request, str(refused))
        return HttpResponseRedirect(_back(given.get("event", "")))


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
        "preview": _preview(tried) if tried else None,
        "refusal": refusal,
        "event_id": given.get("event", ""),
        "back_url": _back(given.get("event", "")),
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
    request.session["fix_proof"] = _proof(action, done)
    return HttpResponseRedirect(_back(given.get("event", "")))


def _back(event_id: str) -> str:
    base = reverse("admin:events_debugger")
    return f"{base}?{urlencode({'event': event_id})}" if event_id else base


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
        "changes": _changes(tried.changes),
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
        "changes": _changes(done.changes),
    }


def _changes(changes: tuple[Change, ...]) -> list[dict[str, str]]:
    return [
        {
            "customer": change.customer.name,
            "feature": change.feature.name,
            "before": written(change.before),
            "after": written(change.after),
            "difference": f"{'+' if change.difference >= 0 else ''}{written(change.difference)}",
            "unit": change.feature.unit_for(change.after),
            "events": f"{change.events_before:,} → {change.events_after:,}",
        }
        for change in changes
    ]


def dry_run_page(request: HttpRequest) -> HttpResponse:
    """Judge a pasted payload or curl command without storing anything; or, asked to, send it as a test event.

    For staff who may view events; sending needs the permission to add waiting events.
    """
    user = ensure_may_view(request)
    pasted = request.POST.get("payload", "") if request.method == "POST" else request.GET.get("payload", "")
    may_send = user.has_perm("events.add_inboxevent")
    context: dict[str, Any] = {"payload": pasted or SAMPLE, "may_send": may_send, "chosen": _index(request)}
    if len(pasted) > MOST_PASTED:
        context["refusal"] = "That is more than 1 MB: paste one event, or a smaller batch."
    elif request.method == "POST" and "send" in request.POST:
        if not may_send:
            raise PermissionDenied
        answer = _send(request, pasted, context)
        if answer is not None:
            return answer
    elif pasted:
        _judge(pasted, context, user)
    return page(request, "dry_run.html", "Dry run", **context)


def _index(request: HttpRequest) -> int:
    text = (request.POST if request.method == "POST" else request.GET).get("chosen", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0


def _judge(pasted: str, context: dict[str, Any], user: User) -> None:
    found = dry_run(pasted, now=timezone.now(), chosen=context["chosen"])
    context["result"] = found
    context["steps"] = [_shown(step, "", user) for step in found.steps]
    context["choices"] = range(min(found.events, 50)) if found.events > 1 else ()
    if found.diagnosis is not None:
        context["summary"] = summary_of(found.diagnosis)


def _send(request: HttpRequest, pasted: str, context: dict[str, Any]) -> HttpResponse | None:
    """Send it; where that is refused, leave the reason in the context."""
    try:
        accepted = send_test(pasted, now=timezone.now())
    except (PayloadRefused, ContentRefused) as refused:
        context["refusal"] = f"The API would refuse it: {refused}."
        return None
    except InboxUnavailable:
        context["refusal"] = "The database can't take events just now. Try again in a moment."
        return None
    sent = len(accepted.event_ids)
    what = "The test event is" if sent == 1 else f"{sent:,} test events are"
    messages.success(request, f"{what} accepted, with the source “test”. This page follows the first one.")
    return HttpResponseRedirect(_back(accepted.event_ids[0]))
