"""Metrics of billing: runs, parked subscriptions, drafts, late usage, proofs, the self-test."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min
from prometheus_client.core import Metric

from billing.models import BillingRun, BillingState, Email, EmailState, Invoice, LateAdjustment, RunKind
from billing.models.late import OPEN_STATES
from billing.models.runs import RunState
from billing.proofs.summary import last_night
from billing.self_test.status import read_status
from config.monitoring.exposition import register_metrics
from config.monitoring.metrics import gauge, labeled


def read_runs(now: datetime) -> Iterator[Metric]:
    """Yield the progress of the running billing run, and the result of the last one."""
    runs = BillingRun.objects.exclude(kind=RunKind.DRY)
    running = runs.filter(state=RunState.RUNNING).first()
    yield gauge(
        "run_subscriptions", "Subscriptions of the running billing run.", running.subscriptions if running else 0
    )
    yield gauge("run_done", "Those that are done.", running.done if running else 0)
    last = runs.filter(state=RunState.FINISHED, finished_at__isnull=False).order_by("-finished_at").first()
    if last and last.finished_at:
        yield gauge("run_last_age_seconds", "When the last run finished.", (now - last.finished_at).total_seconds())
        yield gauge("run_last_seconds", "How long it took.", (last.finished_at - last.started_at).total_seconds())
        yield gauge("run_last_invoices", "The invoices that it made.", last.invoices_made)
        yield gauge("run_last_failed", "The subscriptions that it couldn't bill.", last.failed)


def read_billing(now: datetime) -> Iterator[Metric]:
    """Yield what waits: parked subscriptions, drafts, late usage."""
    parked = BillingState.objects.filter(parked_at__isnull=False).count()
    yield gauge("subscriptions_parked", "Subscriptions that can't be billed.", parked)
    yield gauge("invoices_draft", "Draft invoices.", Invoice.objects.drafts().count())
    states = LateAdjustment.objects.filter(state__in=OPEN_STATES).order_by().values_list("state").annotate(Count("pk"))
    yield labeled(
        "late_adjustments", "Late usage that is to be decided or invoiced, by status.", "status", dict(states)
    )


def read_emails(now: datetime) -> Iterator[Metric]:
    """Yield the emails that wait, and those that customers didn't get."""
    waiting = Email.objects.filter(state=EmailState.PENDING)
    due = waiting.filter(next_try_at__lte=now)
    oldest = due.aggregate(at=Min("next_try_at"))["at"]
    age = (now - oldest).total_seconds() if oldest else 0
    yield gauge("emails_waiting", "Emails to customers that wait.", waiting.count())
    yield gauge("emails_oldest_waiting_seconds", "How long the oldest due email has waited.", age)
    problems = Email.objects.problems().count()
    yield gauge("emails_problems", "Emails that failed, bounced, or may not have been sent.", problems)


def read_proofs(now: datetime) -> Iterator[Metric]:
    """Yield the result of the last finished night of proofs."""
    if night := last_night():
        yield gauge("proof_lines", "Lines that the last night checked.", night.checked)
        yield gauge("proof_lines_proved", "Lines that it proved.", night.proved)
        yield gauge("proof_differing", "Figures of all kinds that differed.", night.differing)
        yield gauge("proof_age_seconds", "When it finished.", (now - night.finished_at).total_seconds())


def read_self_test(now: datetime) -> Iterator[Metric]:
    """Yield whether billing works end to end. Yield nothing if the self-test is off, or hasn't run yet."""
    status = read_status(now=now)
    if status is not None and status.latest is not None:
        age = (now - status.latest.finished_at).total_seconds()
        yield gauge("self_test_passed", "1 if billing works end to end, 0 if the self-test failed.", not status.problem)
        yield gauge("self_test_age_seconds", "When the last self-test finished.", age)


def register_sources() -> None:
    """Register the sources of this module."""
    register_metrics("runs", read_runs)
    register_metrics("billing", read_billing)
    register_metrics("emails", read_emails)
    register_metrics("proofs", read_proofs)
    register_metrics("self_test", read_self_test)
