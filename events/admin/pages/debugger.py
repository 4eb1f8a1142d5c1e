"""The Event Debugger's pages: the live view, one event's steps, and the dry run."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from config.office.pages import clean, ensure_may_view, page
from events.admin.pages.fixes import take_proof
from events.diagnosis import Diagnosis, DiagnosisStep, Fix, Place, look_up
from events.diagnosis.dry_run import dry_run, send_test
from events.diagnosis.request_steps import payload_of
from events.diagnosis.summary import summary_of
from events.fixing.registry import ACTIONS
from events.ingest.accept import ContentRefused, InboxUnavailable
from events.ingest.payload import PayloadRefused
from events.links import event_url
from events.overview.live import Filters, feed

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
        "proof": take_proof(request),
    }
    return page(request, "debugger_event.html", "Event Debugger", **context)


def _ledger_url(found: Diagnosis) -> str:
    subject = found.subject
    if subject is None or subject.place != Place.LEDGER:
        return ""
    return reverse("admin:events_event_change", args=[subject.pk])


def _shown(step: DiagnosisStep, event_id: str, user: User) -> dict[str, Any]:
    """Give a step its fixes as buttons: where they lead, and whether this user may."""
    fixes = [_button(fix, event_id, user) for fix in step.fixes]
    return {"step": step, "fixes": [fix for fix in fixes if fix["url"]]}


def _button(fix: Fix, event_id: str, user: User) -> dict[str, Any]:
    if not fix.action:
        return {"label": fix.label, "url": fix.url, "is_action": False, "may": True}
    query = urlencode({"event": event_id, "action": fix.action, **fix.parameters})
    may = user.has_perms(ACTIONS[fix.action].permissions)
    return {"label": fix.label, "url": f"{reverse('admin:events_debugger_fix')}?{query}", "is_action": True, "may": may}


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
    return HttpResponseRedirect(event_url(accepted.event_ids[0]))
