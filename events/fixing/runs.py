"""Replays and dismissals of more problems than one request should wait for: done by a worker, one chunk at a time."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from config.jobs import claim
from events.fixing.base import FixRefused
from events.fixing.registry import make_action
from events.ledger.replaying import replay_chunk, wait_for_running_batches
from events.ledger.voiding import dismiss
from events.models import Event, MendingRun, Problem, ProblemState
from events.models.operations import MendingKind

CHUNK_SIZE = 2_000  # events


def start_run(
    kind: MendingKind,
    action: str,
    parameters: Mapping[str, str],
    *,
    title: str,
    now: datetime,
    by: User | None,
    reason: str = "",
) -> MendingRun:
    """Create a run for the worker, or return the unfinished run of the same action.

    It covers the problems that `action` waits for, of the events that are in the ledger by now.
    """
    last = Event.objects.aggregate(last=Max("pk"))["last"] or 0
    run, _ = MendingRun.objects.get_or_create(
        kind=kind,
        action=action,
        parameters=dict(parameters),
        finished_at=None,
        defaults={
            "title": title[:255],
            "reason": reason[:255],
            "last_event": last,
            "started_at": now,
            "started_by": by,
        },
    )
    return run


def unfinished() -> list[int]:
    """List the runs that aren't finished, the oldest first."""
    return list(MendingRun.objects.filter(finished_at=None).order_by("pk").values_list("pk", flat=True))


def begin(run_id: int) -> None:
    """Wait until every batch that began before the change has ended, and count the run's events. Safe to repeat."""
    wait_for_running_batches()
    run = MendingRun.objects.get(pk=run_id)
    if run.events is None:
        problems = _waiting_problems(run)
        count = 0 if problems is None else problems.values("event_id").distinct().count()
        MendingRun.objects.filter(pk=run_id, events=None).update(events=count)


def fix_chunk(run_id: int, *, now: datetime) -> bool:
    """Replay or dismiss the next events and save the progress in one transaction; return whether there may be more.

    If the worker is killed, the chunk is undone and the next call repeats it. A run that another worker has locked is
    skipped.
    """
    with transaction.atomic():
        run = claim(MendingRun.objects.filter(pk=run_id))
        if run is None:
            return False
        event_ids = _next_events(run)
        if event_ids:
            _fix(run, event_ids, now)
            run.reached = event_ids[-1]
        if len(event_ids) < CHUNK_SIZE:
            run.finished_at = now
        run.save()
    return run.finished_at is None


def _fix(run: MendingRun, event_ids: list[int], now: datetime) -> None:
    if run.kind == MendingKind.DISMISS:
        problems = _waiting_problems(run)
        problem_ids = () if problems is None else problems.filter(event__in=event_ids).values_list("pk", flat=True)
        run.closed += dismiss(problem_ids, reason=run.reason, now=now, by=run.started_by)
        run.done += len(event_ids)
        return
    replayed = replay_chunk(event_ids, run.title, run.started_by)
    run.done += replayed.events
    run.closed += replayed.closed
    run.still_open += replayed.still_open


def _next_events(run: MendingRun) -> list[int]:
    problems = _waiting_problems(run)
    if problems is None:
        return []
    remaining = problems.filter(event_id__gt=run.reached).order_by("event_id")
    return list(remaining.values_list("event_id", flat=True).distinct()[:CHUNK_SIZE])


def _waiting_problems(run: MendingRun) -> QuerySet[Problem] | None:
    """Filter to the open problems that the run covers; `None` if the object that its action fixes was deleted."""
    try:
        condition: Q | None = make_action(run.action, run.parameters).waiting()
    except FixRefused:
        return None
    if condition is None:
        return None
    return Problem.objects.filter(condition, state=ProblemState.OPEN, event_id__lte=run.last_event)
