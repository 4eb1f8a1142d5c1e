"""Replays and dismissals of more problems than one request should wait for: done by a worker, a step a transaction."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from events.fixing.base import FixRefused
from events.fixing.registry import make_action
from events.ledger.replaying import replay_chunk, wait_for_running_batches
from events.ledger.voiding import dismiss
from events.models import Event, MendingRun, Problem, ProblemState
from events.models.operations import MendingKind

STEP = 2_000  # events of one transaction


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
    """Note what is to be mended, for the worker. While the same is running, a second call gives that run.

    What `action` waits for is concerned, of the events that are in the ledger by now.
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
    """Wait until no batch runs that began before the change, and count what is to be done. Safe to repeat."""
    wait_for_running_batches()
    run = MendingRun.objects.get(pk=run_id)
    if run.events is None:
        waiting = _waiting(run)
        count = 0 if waiting is None else waiting.values("event_id").distinct().count()
        MendingRun.objects.filter(pk=run_id, events=None).update(events=count)


def take_step(run_id: int, *, now: datetime) -> bool:
    """Mend the next events and note how far it came, in one transaction; tell whether there may be more.

    Killed in between, nothing of the step is done, and the next call does it. Another worker's step isn't waited for:
    then there is nothing to do here.
    """
    with transaction.atomic():
        run = MendingRun.objects.select_for_update(skip_locked=True).filter(pk=run_id, finished_at=None).first()
        if run is None:
            return False
        ids = _next_events(run)
        if ids:
            _mend(run, ids, now)
            run.reached = ids[-1]
        if len(ids) < STEP:
            run.finished_at = now
        run.save()
    return run.finished_at is None


def _mend(run: MendingRun, ids: list[int], now: datetime) -> None:
    if run.kind == MendingKind.DISMISS:
        problems = _waiting(run)
        chosen = problems.filter(event__in=ids).values_list("pk", flat=True) if problems is not None else ()
        run.closed += dismiss(chosen, reason=run.reason, now=now, by=run.started_by)
        run.done += len(ids)
        return
    done = replay_chunk(ids, run.title, run.started_by)
    run.done += done.events
    run.closed += done.closed
    run.still_open += done.still_open


def _next_events(run: MendingRun) -> list[int]:
    waiting = _waiting(run)
    if waiting is None:
        return []
    rows = waiting.filter(event_id__gt=run.reached).order_by("event_id")
    return list(rows.values_list("event_id", flat=True).distinct()[:STEP])


def _waiting(run: MendingRun) -> QuerySet[Problem] | None:
    """Choose the open problems that the run is about; none when what its fix was about is gone."""
    try:
        chosen: Q | None = make_action(run.action, run.parameters).waiting()
    except FixRefused:
        return None
    if chosen is None:
        return None
    return Problem.objects.filter(chosen, state=ProblemState.OPEN, event_id__lte=run.last_event)
