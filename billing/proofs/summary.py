"""The latest proofs for people: the badge of Home, and the nights of the chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from billing.kinds import ProofKind
from billing.models import ProofResult, ProofRun

LATE_AFTER = timedelta(hours=30)  # without a finished night


@dataclass(frozen=True, slots=True)
class Badge:
    """The last finished night: how many lines were proved of all, when, and how many figures differ."""

    run: ProofRun
    proved: int
    checked: int
    waiting: int
    differing: int
    finished_at: datetime

    def is_late(self, *, now: datetime) -> bool:
        return now - self.finished_at > LATE_AFTER


@dataclass(frozen=True, slots=True)
class Night:
    """A finished night of the chart."""

    run: ProofRun
    proved: int
    waiting: int
    differing: int


def last_night() -> Badge | None:
    """Return the last finished night; None before the first. One query."""
    nights = ProofRun.objects.filter(is_nightly=True, finished_at__isnull=False).order_by("-started_at")
    results = list(ProofResult.objects.filter(run__in=nights[:1]).select_related("run").order_by("pk"))
    run = results[0].run if results else None
    if run is None or run.finished_at is None:
        return None
    lines = next((result for result in results if result.kind == ProofKind.LINES), ProofResult())
    differing = sum(result.differing for result in results)
    return Badge(run, lines.proved, lines.checked, lines.waiting, differing, run.finished_at)


def list_nights(most: int) -> Sequence[Night]:
    """List the last finished nights, oldest first, with their lines. Two queries."""
    runs = list(
        ProofRun.objects.filter(is_nightly=True, finished_at__isnull=False)
        .annotate(differing_sum=Sum("results__differing"))
        .order_by("-started_at")[:most]
    )
    lines = {row.run_id: row for row in ProofResult.objects.filter(run__in=runs, kind=ProofKind.LINES)}
    empty = ProofResult()
    return [
        Night(run, lines.get(run.pk, empty).proved, lines.get(run.pk, empty).waiting, run.differing_sum or 0)
        for run in reversed(runs)
    ]
