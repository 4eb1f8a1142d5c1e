"""The Home page: what needs somebody, as queues with counts and money; how events flow; the latest invoices."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Q, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from billing.models import BillingRun, BillingState, Invoice
from billing.models.invoices import REMAINING
from billing.models.runs import RunState
from catalog.models import Feature, Plan
from config.admin.sidebar import capped
from config.templatetags.countinghouse import seconds
from config.webhooks.models import WebhookEndpoint
from customers.models import Customer, Subscription
from events.admin.causes import list_url
from events.ledger.causes import Cause, open_causes
from events.models import ApiKey, Event
from events.models.ledger import DuplicateKind
from events.overview import charts, dashboard

CHART_HOURS = 48
CONFLICT_DAYS = 7
CAUSES_SHOWN = 6
INVOICES_SHOWN = 8
LATE_AFTER_S = 60
PARKED_CAP = 1_001


@dataclass(frozen=True)
class Queue:
    """Something that waits for staff: how much, what of it in words, and the list to work through."""

    name: str
    count: str
    note: str
    url: str
    tone: str = ""
    money: list[tuple[Decimal, str]] = field(default_factory=list)


@dataclass(frozen=True)
class SetupStep:
    """One thing to do in an empty installation, whether it is done, and where."""

    name: str
    text: str
    url: str
    is_done: bool
    is_curl: bool = False


def dashboard_context(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """Collect what this user may see. A fixed number of queries, each of an index or a short table."""
    user = request.user
    may_see_events = user.has_perm("events.view_event")
    may_see_invoices = user.has_perm("billing.view_invoice")
    causes = open_causes() if user.has_perm("events.view_problem") else []
    steps = list(first_steps())
    return {
        "steps": [] if all(step.is_done for step in steps) else steps,
        "queues": list(queues(request, causes, now=now)),
        "causes": [(cause, list_url(cause)) for cause in causes[:CAUSES_SHOWN]],
        "more_causes": max(len(causes) - CAUSES_SHOWN, 0),
        "chart": charts.by_hour(dashboard.volume(now=now, hours=CHART_HOURS)) if may_see_events else None,
        "last_day": dashboard.ended(since=now - timedelta(days=1)) if may_see_events else None,
        "invoices": latest_invoices() if may_see_invoices else [],
        "may_see_invoices": may_see_invoices,
        "api_url": request.build_absolute_uri("/v1/events"),
    }


def queues(request: HttpRequest, causes: list[Cause], *, now: datetime) -> Iterator[Queue]:
    """Give the queues that this user may work on, what is most urgent first."""
    may = request.user.has_perm
    if may("events.view_problem"):
        yield problems_queue(causes)
    if may("events.view_event"):
        yield waiting_queue(now=now)
    if may("billing.view_invoice"):
        yield parked_queue()
        yield drafts_queue()
        yield overdue_queue(now=now)
        yield from refunds_queue()
    if may("billing.view_billingrun"):
        yield runs_queue(now=now)
    if may("events.view_duplicateevent"):
        yield conflicts_queue(now=now)
    if may("config.view_webhookendpoint"):
        yield from webhooks_queue()


def problems_queue(causes: list[Cause]) -> Queue:
    """Events that don't count, and from how many causes."""
    url = reverse("admin:events_problem_causes")
    if not causes:
        return Queue("Open problems", "0", "every event counts now", url, "good")
    plus = "+" if any(cause.is_capped for cause in causes) else ""
    count = f"{sum(cause.problems for cause in causes):,}{plus}"
    note = "open now, from 1 cause" if len(causes) == 1 else f"open now, from {len(causes)} causes"
    return Queue("Open problems", count, note, url, "danger")


def waiting_queue(*, now: datetime) -> Queue:
    """Accepted events that are not processed yet. Late when the oldest has waited for a minute."""
    waiting = dashboard.waiting(now=now)
    url = reverse("admin:events_inboxevent_changelist")
    if not waiting.count:
        return Queue("Events waiting", "0", "all processed", url, "good")
    is_late = waiting.oldest_s > LATE_AFTER_S
    note = f"the oldest for {seconds(waiting.oldest_s)}{': is a worker running?' if is_late else ''}"
    return Queue("Events waiting", capped(waiting.count, dashboard.WAITING_CAP), note, url, "danger" if is_late else "")


def parked_queue() -> Queue:
    """Subscriptions that couldn't be billed; each says why."""
    count = BillingState.objects.filter(parked_at__isnull=False).order_by()[:PARKED_CAP].count()
    url = f"{reverse('admin:billing_upcoming')}?parked=1"
    note = "can't be billed; each says why" if count else "every subscription can be billed"
    return Queue("Parked subscriptions", capped(count, PARKED_CAP), note, url, "danger" if count else "good")


def drafts_queue() -> Queue:
    """Draft invoices and their totals, by currency."""
    rows = list(
        Invoice.objects.drafts()
        .order_by("currency")
        .values("currency")
        .annotate(number_of=Count("pk"), amount=Sum("total"), first=Min("finalize_at"))
    )
    count = sum(row["number_of"] for row in rows)
    first = min((row["first"] for row in rows if row["first"]), default=None)
    note = (
        f"the first is finalized {timezone.localtime(first):%d %b %H:%M %Z}"
        if first
        else "to look through and finalize"
    )
    return Queue(
        "Draft invoices",
        f"{count:,}",
        note if count else "none waits",
        reverse("admin:billing_review"),
        "warning" if count else "good",
        [(row["amount"], row["currency"]) for row in rows],
    )


def overdue_queue(*, now: datetime) -> Queue:
    """Finalized invoices past their due date, and what is still to be paid of them, by currency."""
    rows = list(
        Invoice.objects.overdue(now)
        .order_by("currency")
        .values("currency")
        .annotate(number_of=Count("pk"), amount=Sum(REMAINING), first=Min("due_at"))
    )
    count = sum(row["number_of"] for row in rows)
    days = max(((now - row["first"]).days for row in rows), default=0)
    return Queue(
        "Overdue invoices",
        f"{count:,}",
        f"the oldest for {days} day{'' if days == 1 else 's'}" if count else "all paid in time",
        f"{reverse('admin:billing_invoice_changelist')}?payment=overdue",
        "warning" if count else "good",
        [(row["amount"], row["currency"]) for row in rows],
    )


def refunds_queue() -> Iterator[Queue]:
    """What is owed to customers by credit notes on money that was paid, by currency. Only where there is some."""
    rows = list(
        Invoice.objects.to_refund()
        .order_by("currency")
        .values("currency")
        .annotate(number_of=Count("pk"), amount=Sum(REMAINING))
    )
    if rows:
        yield Queue(
            "To give back",
            f"{sum(row['number_of'] for row in rows):,}",
            "invoices with more paid or credited than is due",
            f"{reverse('admin:billing_invoice_changelist')}?payment=back",
            "warning",
            [(-row["amount"], row["currency"]) for row in rows],
        )


def runs_queue(*, now: datetime) -> Queue:
    """The latest billing run: whether it runs, what it made, and how many subscriptions it couldn't bill."""
    run = BillingRun.objects.order_by("-started_at").first()
    url = reverse("admin:billing_billingrun_changelist")
    if run is None:
        return Queue("Billing runs", "0", "none yet; one starts every hour", url)
    own_url = reverse("admin:billing_billingrun_change", args=[run.pk])
    if run.state == RunState.RUNNING:
        return Queue("Billing run", f"{run.done:,}/{run.subscriptions:,}", "subscriptions done, running", own_url)
    when = timezone.localtime(run.finished_at or run.started_at)
    note = f"invoices in the last run, {when:%d %b %H:%M %Z}" + (f"; {run.failed:,} failed" if run.failed else "")
    return Queue("Last billing run", f"{run.invoices_made:,}", note, own_url, "danger" if run.failed else "good")


def conflicts_queue(*, now: datetime) -> Queue:
    """Repeats of an event_id with another body in the last days: somebody's ids are not unique."""
    count = dashboard.conflicts_since(now - timedelta(days=CONFLICT_DAYS))
    url = f"{reverse('admin:events_duplicateevent_changelist')}?kind={DuplicateKind.CONFLICT}"
    note = f"same event id, another body, in {CONFLICT_DAYS} days"
    return Queue("Conflicts", capped(count, dashboard.CONFLICT_CAP), note, url, "warning" if count else "good")


def webhooks_queue() -> Iterator[Queue]:
    """Endpoints that were disabled because they took nothing, or take nothing now. No queue while there are none."""
    in_trouble = Q(failing_since__isnull=False) | ~Q(disabled_reason="")
    rows = list(WebhookEndpoint.objects.filter(in_trouble).order_by("pk"))
    if not rows:
        return
    disabled = [row for row in rows if not row.is_enabled]
    note = f"{len(disabled)} disabled: enable it once it is mended" if disabled else "an address takes nothing just now"
    url = rows[0].get_absolute_url() if len(rows) == 1 else reverse("admin:config_webhookendpoint_changelist")
    yield Queue("Webhooks in trouble", f"{len(rows):,}", note, url, "danger" if disabled else "warning")


def latest_invoices() -> list[Invoice]:
    """Read the newest invoices with their customers."""
    return list(Invoice.objects.select_related("customer").order_by("-pk")[:INVOICES_SHOWN])


def first_steps() -> Iterator[SetupStep]:
    """Give what an empty installation needs before it can bill, in order. Five looks whether a table has a row."""
    yield SetupStep(
        "Create a feature",
        "What you charge for: an event name, and how its events add up.",
        reverse("admin:catalog_feature_add"),
        Feature.objects.exists(),
    )
    yield SetupStep(
        "Create a plan",
        "Prices and free units of your features. Publish its first version.",
        reverse("admin:catalog_plan_add"),
        Plan.objects.exists(),
    )
    yield SetupStep(
        "Create a customer, and subscribe them",
        "The external customer id is what your events carry.",
        reverse("admin:customers_customer_add")
        if not Customer.objects.exists()
        else reverse("admin:customers_subscription_add"),
        Subscription.objects.exists(),
    )
    yield SetupStep(
        "Make an API key",
        "Your systems send events with it. It is shown once.",
        reverse("admin:events_apikey_add"),
        ApiKey.objects.exists(),
    )
    yield SetupStep(
        "Send an event",
        "It shows on the Events dashboard within a second.",
        reverse("admin:events_event_changelist"),
        Event.objects.exists(),
        is_curl=True,
    )


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the Home page's numbers to Unfold's index."""
    return context | {"title": "Home", **dashboard_context(request, now=timezone.now())}
