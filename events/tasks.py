"""Doors for Celery. Every task is safe to run twice or side by side."""

import logging
import time

from celery import shared_task
from django.utils import timezone

from config.api.idempotency import forget_old_answers
from config.db.locks import hold_if_free
from config.jobs import enqueue_on_commit
from config.webhooks.delivering import prune_messages
from events.alerts.causes import notify_new_causes as tell_of_new_causes
from events.alerts.usage import check_alerts as check_usage_alerts
from events.fixing import runs
from events.fixing.fixed import replay_mended as replay_mended_events
from events.ledger.processing import BATCH_SIZE, process_batch
from events.ledger.rebuilding import Scope, rebuild_usage
from events.ledger.retention import prune as prune_old
from events.ledger.rollup import roll_up as roll_up_days

log = logging.getLogger(__name__)
LONGEST_RUN_S = 30
LINGER_S, PAUSE_S = 1.0, 0.05
# A batch costs some 10 ms, however small: a few large ones leave the machine to others.
SMALL_BATCH, GATHER_S = 2_000, 0.25
LINGER_LOCK = 7_301_003
TELLING_LOCK = 7_301_102


@shared_task
def process_inbox() -> int:
    """Turn waiting events into usage, a batch a transaction, until none wait. Gives how many were taken.

    A run that found events waits a second for more, so that in steady traffic nobody has to be called; only one run
    does, and lets events gather for a moment while few come. Ends after half a minute at the latest: the next tick goes
    on, and the worker stays free for other tasks.
    """
    taken, last_found, deadline = 0, time.monotonic(), time.monotonic() + LONGEST_RUN_S
    with hold_if_free(LINGER_LOCK) as may_linger:
        while (now := time.monotonic()) < deadline:
            if found := process_batch(BATCH_SIZE).events:
                taken, last_found = taken + found, now
                if found < SMALL_BATCH:
                    if not may_linger:
                        break
                    time.sleep(GATHER_S)
            elif not (taken and may_linger) or now - last_found > LINGER_S:
                break
            else:
                time.sleep(PAUSE_S)
    return taken


@shared_task
def replay_mended() -> int:
    """Count events whose cause was mended since they were judged. Gives how many were judged anew."""
    return replay_mended_events(now=timezone.now()).events


@shared_task
def continue_fixes() -> int:
    """Go on with large replays and dismissals, a step a transaction. Gives how many steps were taken.

    Ends after half a minute at the latest and asks for itself again; killed, the schedule asks. Side by side each run
    is worked on once.
    """
    steps, deadline = 0, time.monotonic() + LONGEST_RUN_S
    for run_id in runs.unfinished():
        runs.begin(run_id)
        while time.monotonic() < deadline:
            steps += 1
            if not runs.take_step(run_id, now=timezone.now()):
                break
    if time.monotonic() >= deadline:
        enqueue_fixes()
    return steps


def enqueue_fixes() -> None:
    """Ask a worker to go on mending once this is committed. Without a broker the schedule asks."""
    enqueue_on_commit(continue_fixes, expires=60)


@shared_task
def notify_new_causes() -> int:
    """Tell webhook endpoints of causes that opened. Gives how many."""
    with hold_if_free(TELLING_LOCK) as is_ours:
        return tell_of_new_causes(now=timezone.now()) if is_ours else 0


@shared_task
def check_alerts() -> int:
    """Tell webhook endpoints of usage alerts that are reached. Gives how many."""
    return check_usage_alerts(now=timezone.now())


@shared_task
def check_usage() -> int:
    """Recount all usage from the ledger and report how many hours differ. Changes nothing."""
    check = rebuild_usage(Scope(), apply=False, now=timezone.now(), reason="Nightly check")
    if check.differing:
        log.error("usage differs from the ledger in %s hours: see usage check %s", check.differing, check.pk)
    return check.differing


@shared_task
def roll_up() -> None:
    """Add past days of usage up, so that long windows are read fast."""
    roll_up_days(now=timezone.now())


@shared_task
def prune() -> int:
    """Remove events, logs, kept answers and webhooks that are past keeping. Gives how many events went."""
    now = timezone.now()
    forget_old_answers(now=now)
    prune_messages(now=now)
    return prune_old(now=now).events
