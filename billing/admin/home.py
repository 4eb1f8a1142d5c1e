"""The Home page: what needs attention. Panels with figures and charts load after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Min, Q, QuerySet, Sum
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from billing.admin.first_steps import first_steps
from billing.admin.home_checks import check_queues
from billing.admin.home_queue import Queue, Tone
from billing.models import BillingRun, BillingState, Invoice, Reminder
from billing.models.invoices import REMAINING
from billing.models.runs import RunState
from config.admin.sidebar import capped
from config.alarms.models import Alarm
from config.approvals.requests import MOST_COUNTED, count_waiting
from config.office.dialogs import staff
from config.office.wording import plural
from config.templatetags.countinghouse import seconds
from config.webhooks.models import WebhookEndpoint
from events.access.grants import keys_beyond_rights
from events.admin.causes import list_url
from events.admin.conflicts import open_conflicts_url
from events.ledger.causes import Cause, open_causes
from events.ledger.conflicts import ConflictCause, open_conflicts
from events.overview import dashboard
from events.wording import minute

CAUSES_SHOWN = 6
ALARMS_SHOWN = 10
LATE_AFTER_S = 60
PARKED_CAP = 1_001


@dataclass(frozen=True)
class InvoiceTotals:
    """The number of invoices in a queue, their amounts by currency, how many have a date, and the earliest date."""

    count: int
    dated: int
    amounts: list[tuple[Decimal, str]]
    earliest: datetime | None


def dashboard_context(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """Collect what this user may see, in a fixed number of queries on indexes and short tables."""
    has_perm = request.user.has_perm
    causes = open_causes() if has_perm("events.view_problem") else []
    steps = list(first_steps())
    all_queues = list(queues(request, causes, now=now))
    return {
        "alarms": list(shown_alarms()) if has_perm("config.view_alarm") else [],
        "steps": [] if all(step.is_done for step in steps) else steps,
        "queues": [queue for queue in all_queues if queue.needs_attention],
        "in_order": [queue for queue in all_queues if not queue.needs_attention],
        "causes": [(cause, list_url(cause)) for cause in causes[:CAUSES_SHOWN]],
        "more_causes": max(len(causes) - CAUSES_SHOWN, 0),
        "may_see_events": has_perm("events.view_event"),
        "may_see_invoices": has_perm("billing.view_invoice"),
        "api_url": request.build_absolute_uri("/v1/events"),
    }


def shown_alarms() -> QuerySet[Alarm]:
    """Select the first open alarms, those first that no one has acknowledged."""
    alarms = Alarm.objects.open().select_related("acknowledged_by")
    return alarms.order_by(F("acknowledged_at").asc(nulls_first=True), "pk")[:ALARMS_SHOWN]


def queues(request: HttpRequest, causes: list[Cause], *, now: datetime) -> Iterator[Queue]:
    """Yield the queues that this user may see, most urgent first."""
    has_perm = request.user.has_perm
    if has_perm("events.view_problem"):
        yield problems_queue(causes)
    if has_perm("events.view_event"):
        yield waiting_queue(now=now)
    if has_perm("billing.view_invoice"):
        yield parked_queue()
        yield drafts_queue()
        yield overdue_queue(now=now)
        yield from refunds_queue()
    if has_perm("billing.view_reminder"):
        yield from reminders_queue()
    if has_perm("billing.view_billingrun"):
        yield runs_queue(now=now)
    yield from check_queues(request, now=now)
    if has_perm("events.view_duplicateevent"):
        yield conflicts_queue(open_conflicts())
    if has_perm("config.view_webhookendpoint"):
        yield from webhooks_queue()
    if has_perm("events.view_apikey"):
        yield from keys_queue()
    if has_perm("config.view_approval"):
        yield from approvals_queue(staff(request), now=now)


def problems_queue(causes: list[Cause]) -> Queue:
    """Count the events that have a problem, and their causes."""
    url = reverse("admin:events_problem_causes")
    if not causes:
        return Queue("Open problems", "0", "all events are counted", url, Tone.GOOD)
    plus = "+" if any(cause.is_capped for cause in causes) else ""
    count = f"{sum(cause.problems for cause in causes):,}{plus}"
    note = f"from {plural(len(causes), 'cause')}"
    return Queue("Open problems", count, note, url, Tone.DANGER)


def waiting_queue(*, now: datetime) -> Queue:
    """Count accepted events that aren't processed yet. They become urgent after the oldest has waited a minute."""
    waiting = dashboard.waiting(now=now)
    url = reverse("admin:events_inboxevent_changelist")
    if not waiting.count:
        return Queue("Events waiting", "0", "all events are processed", url, Tone.GOOD)
    is_late = waiting.oldest_s > LATE_AFTER_S
    note = f"oldest: {seconds(waiting.oldest_s)}{'. Is a worker running?' if is_late else ''}"
    tone = Tone.DANGER if is_late else Tone.PLAIN
    return Queue("Events waiting", capped(waiting.count, dashboard.WAITING_CAP), note, url, tone)


def parked_queue() -> Queue:
    """Count the subscriptions that couldn't be billed."""
    count = BillingState.objects.filter(parked_at__isnull=False).order_by()[:PARKED_CAP].count()
    url = f"{reverse('admin:billing_upcoming')}?parked=1"
    note = "can't be billed" if count else "all subscriptions can be billed"
    return Queue("Parked subscriptions", capped(count, PARKED_CAP), note, url, Tone.DANGER if count else Tone.GOOD)


def drafts_queue() -> Queue:
    """Add up draft invoices by currency. The note says which draft finalizes next; drafts on hold never do."""
    drafts = total_by_currency(Invoice.objects.drafts(), "total", date="finalize_at", when=Q(held_at=None))
    note = "no drafts to review"
    if drafts.earliest:
        note = f"next auto-finalizes {minute(drafts.earliest)}"
    elif drafts.count:
        note = "to review and finalize"
    if drafts.count and drafts.count > drafts.dated:
        note = f"{note}; {drafts.count - drafts.dated:,} on hold"
    tone = Tone.WARNING if drafts.count else Tone.GOOD
    return Queue("Draft invoices", f"{drafts.count:,}", note, reverse("admin:billing_review"), tone, drafts.amounts)


def overdue_queue(*, now: datetime) -> Queue:
    """Add up the amounts left to pay on overdue invoices by currency."""
    overdue = total_by_currency(Invoice.objects.overdue(now), REMAINING, date="due_at")
    note = f"oldest: {plural((now - overdue.earliest).days, 'day')} overdue" if overdue.earliest else "nothing overdue"
    url = f"{reverse('admin:billing_invoice_changelist')}?payment=overdue"
    tone = Tone.WARNING if overdue.count else Tone.GOOD
    return Queue("Overdue invoices", f"{overdue.count:,}", note, url, tone, overdue.amounts)


def refunds_queue() -> Iterator[Queue]:
    """Add up refunds due to customers by currency. Yield no queue if there are none."""
    refunds = total_by_currency(Invoice.objects.to_refund(), -REMAINING, date="due_at")
    if refunds.count:
        url = f"{reverse('admin:billing_invoice_changelist')}?payment=back"
        note = "invoices paid or credited beyond the amount due"
        yield Queue("Refunds due", f"{refunds.count:,}", note, url, Tone.WARNING, refunds.amounts)


def reminders_queue() -> Iterator[Queue]:
    """Add up the invoices whose reminders are over and that someone must collect. Yield no queue if there are none."""
    tasks = Reminder.objects.to_do().order_by().values("invoice")
    invoices = total_by_currency(Invoice.objects.filter(pk__in=tasks), REMAINING, date="due_at")
    if invoices.count:
        url = f"{reverse('admin:billing_reminder_changelist')}?to_do=yes"
        note = "reminded without result: decide how to collect them"
        yield Queue("Invoices to collect", f"{invoices.count:,}", note, url, Tone.WARNING, invoices.amounts)


def runs_queue(*, now: datetime) -> Queue:
    """Show the progress of the current billing run, or the result of the last one."""
    run = BillingRun.objects.order_by("-started_at").first()
    if run is None:
        url = reverse("admin:billing_billingrun_changelist")
        return Queue("Billing runs", "0", "no billing run yet; runs start every hour", url)
    if run.state == RunState.RUNNING:
        progress = f"{run.done:,}/{run.subscriptions:,}"
        return Queue("Billing run", progress, "subscriptions done, running", run.get_absolute_url(), is_running=True)
    finished_at = minute(run.finished_at or run.started_at)
    if run.failed:
        note = f"invoices in the last run, {finished_at}; {run.failed:,} failed"
        return Queue("Last billing run", f"{run.invoices_made:,}", note, run.get_absolute_url(), Tone.DANGER)
    note = f"{plural(run.invoices_made, 'invoice')} in the last billing run, {finished_at}"
    return Queue("Last billing run", f"{run.invoices_made:,}", note, run.get_absolute_url(), Tone.GOOD)


def conflicts_queue(causes: list[ConflictCause]) -> Queue:
    """Count the events that used the ID of another event and that no one has dismissed, with the likeliest mistake."""
    url = open_conflicts_url()
    if not causes:
        return Queue("Conflicts", "0", "no event used the ID of another", url, Tone.GOOD)
    plus = "+" if any(cause.is_capped for cause in causes) else ""
    labels = dict.fromkeys(str(cause.difference.label).lower() for cause in causes)
    note = f"not counted: the ID of another event, with {', '.join(labels)}"
    tone = Tone.DANGER if any(cause.is_serious for cause in causes) else Tone.WARNING
    return Queue("Conflicts", f"{sum(cause.events for cause in causes):,}{plus}", note, url, tone)


def webhooks_queue() -> Iterator[Queue]:
    """Count webhook endpoints that are failing or were disabled after failing. Yield no queue if there are none."""
    is_failing = Q(failing_since__isnull=False) | ~Q(disabled_reason="")
    endpoints = list(WebhookEndpoint.objects.filter(is_failing).order_by("pk"))
    if not endpoints:
        return
    disabled = sum(not endpoint.is_enabled for endpoint in endpoints)
    note = f"{disabled} disabled; enable once fixed" if disabled else "deliveries are currently failing"
    is_single = len(endpoints) == 1
    url = endpoints[0].get_absolute_url() if is_single else reverse("admin:config_webhookendpoint_changelist")
    yield Queue("Failing webhooks", f"{len(endpoints):,}", note, url, Tone.DANGER if disabled else Tone.WARNING)


def keys_queue() -> Iterator[Queue]:
    """Count API keys whose responsible colleague lost permissions. Yield no queue if there are none."""
    if keys := keys_beyond_rights():
        url = f"{reverse('admin:events_apikey_changelist')}?state=beyond"
        note = "can do more than the colleague who is responsible"
        yield Queue("API keys to decide on", f"{len(keys):,}", note, url, Tone.WARNING)


def approvals_queue(user: User, *, now: datetime) -> Iterator[Queue]:
    """Count the requests for approval, and those that this user can decide. Yield no queue if none is waiting."""
    waiting, decidable = count_waiting(user, now=now)
    if waiting:
        url = f"{reverse('admin:config_approval_changelist')}?status__exact=requested"
        note = f"{decidable:,} for you to decide" if decidable else "for someone else to decide"
        yield Queue(
            "Approvals waiting", capped(waiting, MOST_COUNTED), note, url, Tone.WARNING if decidable else Tone.PLAIN
        )


def total_by_currency(
    invoices: QuerySet[Invoice], amount: str | Combinable, *, date: str, when: Q | None = None
) -> InvoiceTotals:
    """Count invoices and sum an amount by currency; find the earliest date of those that `when` matches. One query."""
    totals = list(
        invoices.order_by("currency")
        .values("currency")
        .annotate(
            number_of=Count("pk"),
            amount=Sum(amount),
            dated=Count("pk", filter=when),
            earliest=Min(date, filter=when),
        )
    )
    return InvoiceTotals(
        count=sum(row["number_of"] for row in totals),
        dated=sum(row["dated"] for row in totals),
        amounts=[(row["amount"], row["currency"]) for row in totals],
        earliest=min((row["earliest"] for row in totals if row["earliest"]), default=None),
    )


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the Home page's context to Unfold's index."""
    return context | {"title": "Home", **dashboard_context(request, now=timezone.now())}
