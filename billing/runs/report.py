"""What a run's page shows besides its totals: parked subscriptions, expected changes, pace and preview."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, QuerySet, Window
from django.db.models.functions import Abs, RowNumber

from billing.lifecycle.review import CustomerChange, largest_changes, percent_of
from billing.models import BillingRun, RunFinding
from billing.runs.dry_run import expected_now, tally_of
from billing.runs.tally import Tally
from config.jobs import percent_done

MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run is: subscriptions per second, seconds so far, and the seconds left at that pace."""

    percent: int
    per_second: float
    seconds: float
    seconds_left: int | None


@dataclass(frozen=True, slots=True)
class AmountChange:
    """An invoice of a dry run compared with the invoice of the period before."""

    finding: RunFinding
    before: Decimal
    change: Decimal
    percent: int | None


def pace(run: BillingRun, *, now: datetime) -> Pace:
    """Return how far a run is and how fast it is. `seconds_left` is `None` if it is finished or not yet known."""
    seconds = max(((run.finished_at or now) - run.started_at).total_seconds(), 0.001)
    per_second = run.done / seconds
    seconds_left = None
    if run.finished_at is None and per_second > 0:
        seconds_left = round(max(run.subscriptions - run.done, 0) / per_second)
    return Pace(percent_done(run.done, run.subscriptions), per_second, seconds, seconds_left)


def problems(run: BillingRun) -> QuerySet[RunFinding]:
    """Filter to what a run couldn't bill, with the customer and the current billing state."""
    return run.findings.exclude(problem="").select_related("subscription__customer", "subscription__billing")


def still_parked(run: BillingRun) -> list[int]:
    """List the subscriptions that the run parked and that are still parked."""
    parked = run.findings.exclude(problem="").filter(subscription__billing__parked_at__isnull=False)
    return list(parked.order_by("pk").values_list("subscription_id", flat=True))


def biggest_changes(run: BillingRun) -> list[AmountChange]:
    """List the ten largest changes of a dry run's invoices from the period before, by currency."""
    place = Window(RowNumber(), partition_by="currency", order_by=[Abs("change").desc(), F("pk").asc()])
    changed = run.findings.filter(change__isnull=False).exclude(change=0)
    largest = changed.alias(place=place).filter(place__lte=MOST_SHOWN).select_related("subscription__customer")
    return [_change(finding) for finding in largest.order_by("currency", Abs("change").desc(), "pk")]


def customers_by_change(run: BillingRun) -> list[CustomerChange]:
    """List the customers whose invoices of a dry run differ most from the period before, by currency."""
    return largest_changes(run.findings.all(), "subscription__customer", most=MOST_SHOWN)


def _change(finding: RunFinding) -> AmountChange:
    if finding.change is None or finding.total is None:
        raise ValueError("Only invoices with an invoice before them are compared")
    before = finding.total - finding.change
    return AmountChange(finding, before, finding.change, percent_of(finding.change, before))


@dataclass(frozen=True, slots=True)
class Outlook:
    """A preview of a run: how many subscriptions it would bill, and the result unless there are too many."""

    subscriptions: int
    tally: Tally | None
    reasons: Sequence[str] = ()


def outlook(*, now: datetime, at_most: int = 500) -> Outlook:
    """Calculate what a run would do now, for at most so many subscriptions; for more, only count them."""
    count, expected = expected_now(now=now, at_most=at_most)
    if expected is None:
        return Outlook(count, None)
    tally = tally_of(expected)
    return Outlook(count, tally, tuple(sorted(set(tally.problems.values()))[:3]))
