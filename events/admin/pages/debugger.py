"""The Event Debugger: the live view, the diagnosis of one event, and the dry run."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from config.office.dialogs import staff
from config.office.links import admin_url, page_of
from config.office.pages import AdminPage, AdminView, clean_text
from events.admin.pages.fixes import take_proof
from events.diagnosis import DiagnosisStep, Fix, Place, look_up
from events.diagnosis.dry_run import dry_run, send_test
from events.diagnosis.request_steps import payload_of
from events.diagnosis.summary import summary_of
from events.fixing.registry import ACTIONS
from events.ingest.accept import ContentRefused, InboxUnavailable
from events.ingest.payload import PayloadRefused
from events.links import event_url
from events.models import Event
from events.overview.live import Filters, feed
from events.samples import sample_json

LONGEST_PASTE = 1024 * 1024
MOST_CHOICES = 50  # events of a batch to choose from
STATES = (
    ("", "All"),
    ("problems", "Problems and duplicates"),
    ("counted", "Counted"),
    ("closed", "Voided or dismissed"),
)


class Debugger(AdminPage):
    """Show events live as they are processed, or with `?event=` the diagnosis of one event."""

    permission = "events.view_event"
    title = "Event Debugger"

    @property
    def event_id(self) -> str:
        return clean_text(self.request.GET.get("event", ""))

    def get_template_names(self) -> list[str]:
        return ["admin/events/debugger_event.html" if self.event_id else "admin/events/debugger.html"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        figures = diagnosis_context(self.request, self.event_id) if self.event_id else live_context(self.request)
        return super().get_context_data(**figures, **kwargs)


class LiveFeed(AdminView):
    """Respond with the events of the live view as JSON. The page asks for them about once a second."""

    permission = "events.view_event"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return JsonResponse(feed(read_filters(request)), headers={"Cache-Control": "no-store"})


class DryRun(AdminPage):
    """Diagnose a pasted payload or curl command without storing anything, or send it as a test event.

    Sending requires the permission to add waiting events.
    """

    permission = "events.view_event"
    title = "Dry run"
    template_name = "admin/events/dry_run.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.diagnose(request.GET.get("payload", ""), request.GET.get("chosen", ""))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        payload, chosen = request.POST.get("payload", ""), request.POST.get("chosen", "")
        return self.send(payload) if "send" in request.POST else self.diagnose(payload, chosen)

    def diagnose(self, payload: str, chosen: str) -> HttpResponse:
        """Show the steps of the pasted event, or of the chosen one if it is a batch."""
        if len(payload) > LONGEST_PASTE:
            return self.refuse(payload, "This is more than 1 MB. Paste one event or a smaller batch.")
        index = int(chosen) if chosen.isascii() and chosen.isdecimal() and len(chosen) < 5 else 0
        context = dry_run_context(self.request, payload, index, timezone.now()) if payload else {}
        return self.render(
            payload=payload or sample_command(self.request), may_send=self.may_send, chosen=index, **context
        )

    def send(self, payload: str) -> HttpResponse:
        """Send the pasted events and open the diagnosis of the first one."""
        if len(payload) > LONGEST_PASTE:
            return self.refuse(payload, "This is more than 1 MB. Paste one event or a smaller batch.")
        if not self.may_send:
            raise PermissionDenied
        try:
            accepted = send_test(payload, now=timezone.now())
        except (PayloadRefused, ContentRefused) as refusal:
            return self.refuse(payload, f"The API would reject this payload: {refusal}.")
        except InboxUnavailable:
            return self.refuse(payload, "The database can't accept events at the moment. Try again shortly.")
        count = len(accepted.event_ids)
        sentence = "The test event was" if count == 1 else f"{count:,} test events were"
        messages.success(self.request, f"{sentence} accepted, with the source “test”. This page follows the first one.")
        return HttpResponseRedirect(event_url(accepted.event_ids[0]))

    @property
    def may_send(self) -> bool:
        return staff(self.request).has_perm("events.add_event")

    def refuse(self, payload: str, refusal: str) -> HttpResponse:
        return self.render(
            payload=payload or sample_command(self.request), may_send=self.may_send, chosen=0, refusal=refusal
        )


def sample_command(request: HttpRequest) -> str:
    """Return a curl command with the company's own names, to edit and check."""
    return (
        "curl --request POST \\\n"
        f"  --url {request.build_absolute_uri('/v1/events')} \\\n"
        "  --header 'Content-Type: application/json' \\\n"
        "  --header 'x-api-key: <your_api_key>' \\\n"
        f"  --data '{sample_json()}'"
    )


def live_context(request: HttpRequest) -> dict[str, Any]:
    """Return what the live view shows first; its script then asks the feed."""
    filters = read_filters(request)
    return {
        "feed": feed(filters),
        "filters": filters,
        "states": STATES,
        "feed_url": f"{reverse('admin:events_debugger_feed')}?{request.GET.urlencode()}",
    }


def read_filters(request: HttpRequest) -> Filters:
    return Filters(*(clean_text(request.GET.get(name, "")) for name in ("name", "customer", "state", "source")))


def diagnosis_context(request: HttpRequest, event_id: str) -> dict[str, Any]:
    """Return the diagnosis of one event, with its fixes as buttons."""
    diagnosis = look_up(event_id, now=timezone.now())
    subject = diagnosis.subject
    is_in_ledger = subject is not None and subject.place == Place.LEDGER
    return {
        "event_id": event_id,
        "diagnosis": diagnosis,
        "subject": subject,
        "summary": summary_of(diagnosis),
        "steps": [step_context(request, step, event_id) for step in diagnosis.steps],
        "payload": payload_of(subject) if subject else "",
        "is_waiting": subject is not None and subject.place == Place.WAITING,
        "ledger_url": page_of(Event(pk=subject.pk)) if subject and is_in_ledger else "",
        "proof": take_proof(request),
        "staircase_urls": [
            admin_url("billing_usage_staircase", *pair, at=subject.occurred_at.isoformat())
            for pair in diagnosis.tiered
            if subject
        ],
    }


def dry_run_context(request: HttpRequest, payload: str, chosen: int, now: datetime) -> dict[str, Any]:
    """Return the steps of a pasted event, and the events of a batch to choose from."""
    result = dry_run(payload, now=now, chosen=chosen)
    return {
        "result": result,
        "steps": [step_context(request, step, "") for step in result.steps],
        "choices": range(min(result.events, MOST_CHOICES)) if result.events > 1 else (),
        "summary": summary_of(result.diagnosis) if result.diagnosis is not None else None,
    }


def step_context(request: HttpRequest, step: DiagnosisStep, event_id: str) -> dict[str, Any]:
    """Return a step with its fixes as buttons, without those that have no page."""
    buttons = [_button(request, fix, event_id) for fix in step.fixes]
    return {"step": step, "fixes": [button for button in buttons if button["url"]]}


def _button(request: HttpRequest, fix: Fix, event_id: str) -> dict[str, Any]:
    if not fix.action:
        return {"label": fix.label, "url": fix.url, "is_action": False, "may": True}
    query = urlencode({"event": event_id, "action": fix.action, **fix.parameters})
    may = staff(request).has_perms(ACTIONS[fix.action].permissions)
    return {"label": fix.label, "url": f"{reverse('admin:events_debugger_fix')}?{query}", "is_action": True, "may": may}
