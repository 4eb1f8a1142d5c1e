"""Celery tasks for usage tracking. Every task is safe to run twice or concurrently."""

import time
from collections.abc import Iterator

import pglock
from celery import shared_task
from django.conf import settings

from config.api.idempotency import forget_old_answers
from config.db.clock import read_clock
from config.db.encrypted import encrypt_again
from config.jobs import LONGEST_RUN_S, enqueue_on_commit, run_for_a_turn
from config.signin.factors import encrypt_factors_again
from config.signin.log import prune_log
from config.signin.sessions import prune_sessions
from config.webhooks.delivering import prune_messages
from events.alerts.causes import notify_new_causes as notify_open_causes
from events.alerts.conflicts import notify_new_conflicts
from events.alerts.usage import check_alerts as check_usage_alerts
from events.fixing import runs
from events.fixing.fixed import replay_fixed_causes
from events.history.removing import sweep_store
from events.history.sealing import seal_next
from events.history.stores import is_on
from events.ledger.conflicts import compare_unread
from events.ledger.processing import BATCH_SIZE, process_batch
from events.ledger.retention import prune as prune_old
from events.ledger.rollup import roll_up as roll_up_days
from events.overview.dashboard import waiting_events

LINGER_S, PAUSE_S = 1.0, 0.05
# A batch costs some 10 ms, however small: a few large ones leave the machine to others.
SMALL_BATCH, GATHER_S = 2_000, 0.25
LINGER_LOCK = 7_301_003
NOTIFY_LOCK = 7_301_102


@shared_task(name="events.tasks.process_inbox")
def process_inbox() -> int:
    """Count waiting events, one transaction per batch, until the inbox is empty; return how many were processed.

    After the last event, a run waits a second for more, so that steady traffic needs no further calls. Only one run
    waits, and while few events arrive it lets them gather. Ends after half a minute so that the worker is free for
    other tasks; the next call continues.
    """
    processed, last_event_at, deadline = 0, time.monotonic(), time.monotonic() + LONGEST_RUN_S
    with pglock.advisory(LINGER_LOCK, timeout=0) as may_linger:
        while (now := time.monotonic()) < deadline:
            if events := process_batch(BATCH_SIZE).events:
                processed, last_event_at = processed + events, now
                if events < SMALL_BATCH:
                    if not may_linger:
                        break
                    time.sleep(GATHER_S)
            elif not (processed and may_linger) or now - last_event_at > LINGER_S:
                break
            else:
                time.sleep(PAUSE_S)
    return processed


@shared_task(name="events.tasks.replay_mended")
def replay_mended() -> int:
    """Count events whose cause was fixed since they were processed; return how many were replayed."""
    return replay_fixed_causes(now=read_clock()).events


@shared_task(name="events.tasks.go_on_mending")
def continue_fixes() -> int:
    """Continue large replays and dismissals, one transaction per chunk; return how many chunks were processed.

    Runs for about half a minute, then enqueues itself; if it is killed, the schedule continues. Of two concurrent
    calls, one processes a run.
    """
    return run_for_a_turn(_fix_chunks(), enqueue_fixes)


def _fix_chunks() -> Iterator[int]:
    for run_id in runs.unfinished():
        runs.begin(run_id)
        has_more = True
        while has_more:
            has_more = runs.fix_chunk(run_id, now=read_clock())
            yield 1


def enqueue_fixes() -> None:
    """Enqueue the task that continues large replays once the transaction is committed."""
    enqueue_on_commit(continue_fixes, expires=60)


@shared_task(name="events.tasks.tell_of_causes")
def notify_new_causes() -> int:
    """Send webhooks for new causes of problems and of conflicts; return how many."""
    with pglock.advisory(NOTIFY_LOCK, timeout=0) as is_alone:
        now = read_clock()
        return notify_open_causes(now=now) + notify_new_conflicts(now=now) if is_alone else 0


@shared_task(name="events.tasks.compare_repeats")
def compare_repeats() -> int:
    """Compare repeats of sealed events with the first events, which takes reading these; return how many."""
    return run_for_a_turn(iter(compare_unread, 0), lambda: None) if is_on() else 0


@shared_task(name="events.tasks.seal")
def seal() -> int:
    """Seal settled events, if EVENT_HISTORY is set; return how many steps were done. Safe to run concurrently."""
    return run_for_a_turn(iter(_seal_step, 0), enqueue_sealing) if is_on() else 0


def _seal_step() -> int:
    """Seal one step further; return 0 if nothing is left, or many events wait to be counted, which comes first."""
    if waiting_events(settings.SEAL_PAUSE_ABOVE + 1) > settings.SEAL_PAUSE_ABOVE:
        return 0
    return int(seal_next(now=read_clock()))


def enqueue_sealing() -> None:
    """Enqueue the task that continues sealing."""
    enqueue_on_commit(seal, expires=600)


@shared_task(name="events.tasks.check_alerts")
def check_alerts() -> int:
    """Send webhooks for usage alerts that are reached; return how many."""
    return check_usage_alerts(now=read_clock())


@shared_task(name="events.tasks.roll_up")
def roll_up() -> None:
    """Add up the usage of past days, so that long periods are read fast."""
    roll_up_days(now=read_clock())


@shared_task(name="events.tasks.prune")
def prune() -> int:
    """Delete events, logs, sessions, saved API responses and webhook messages that are over; return how many events.

    Secrets are encrypted with the present SECRET_KEY, in case it was changed.
    """
    now = read_clock()
    encrypt_again()
    encrypt_factors_again()
    prune_log(now=now)
    prune_sessions()
    forget_old_answers(now=now)
    prune_messages(now=now)
    sweep_store(now=now)
    return prune_old(now=now).events
