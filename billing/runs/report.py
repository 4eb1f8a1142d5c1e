"""What a run's page tells beside its figures: what it put aside and how that stands now, and what a dry run found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, QuerySet, Window
from django.db.models.functions import Abs, RowNumber

from billing.models import BillingRun, RunFinding
from billing.runs.billing_run import Tally
from billing.runs.dry_run import foresee_due, tally_of

MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes: subscriptions a second, seconds it took so far, and those that are left if it goes on so."""

    percent: int
    per_second: float
    seconds: float
    seconds_left: int | None


@dataclass(frozen=True, slots=True)
class AmountChange:
    """An invoice of a dry run beside the one of the period before."""

    finding: RunFinding
    before: Decimal
    change: Decimal
    percent: int | None


def pace(run: BillingRun, *, now: datetime) -> Pace:
    """Tell how far a run is and how fast it goes. `seconds_left` of `None`: it is over, or nobody knows yet."""
    seconds = max(((run.finished_at or now) - run.started_at).total_seconds(), 0.001)
    per_second = run.done / seconds
    percent = 100 if not run.subscriptions else min(100, run.done * 100 // run.subscriptions)
    left = max(run.subscriptions - run.done, 0)
    is_open = run.finished_at is None and per_second > 0
    return Pace(percent, per_second, seconds, round(left / per_second) if is_open else None)


def problems(run: BillingRun) -> QuerySet[RunFinding]:
    """Keep what a run couldn't bill, with the customer and with how the subscription stands now."""
    return run.findings.exclude(problem="").select_related("subscription__customer", "subscription__billing")


def still_parked(run: BillingRun) -> list[int]:
    """List the subscriptions that the run put aside and that still wait for another try."""
    waiting = run.findings.exclude(problem="").filter(subscription__billing__parked_at__isnull=False)
    return list(waiting.order_by("pk").values_list("subscription_id", flat=True))


def biggest_changes(run: BillingRun) -> list[AmountChange]:
    """List where a dry run's invoices differ most from the period before, of each currency the ten largest."""
    place = Window(RowNumber(), partition_by="currency", order_by=[Abs("change").desc(), F("pk").asc()])
    changed = run.findings.filter(change__isnull=False).exclude(change=0)
    chosen = changed.alias(place=place).filter(place__lte=MOST_SHOWN).select_related("subscription__customer")
    return [_change(finding) for finding in chosen.order_by("currency", Abs("change").desc(), "pk")]


def _change(finding: RunFinding) -> AmountChange:
    if finding.change is None or finding.total is None:
        raise ValueError("Only invoices with one before them are compared")
    before = finding.total - finding.change
    percent = round(finding.change * 100 / before) if before else None
    return AmountChange(finding, before, finding.change, percent)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run would do now: how many subscriptions it looks at, and what comes of them unless these are too many."""

    subscriptions: int
    tally: Tally | None
    reasons: Sequence[str] = ()


def outlook(*, now: datetime, at_most: int = 500) -> Outlook:
    """Work out what a run would do now, for up to so many subscriptions; of more only say how many."""
    count, found = foresee_due(now=now, at_most=at_most)
    if found is None:
        return Outlook(count, None)
    tally = tally_of(found)
    return Outlook(count, tally, tuple(sorted(set(tally.problems.values()))[:3]))
