"""Celery tasks that belong to no app. Every task is safe to run twice or concurrently."""

import logging

import pglock
from celery import shared_task
from django.conf import settings

from config.approvals.requests import expire_due
from config.backups.running import back_up as make_backup
from config.change_log.copying import copy_entries
from config.change_log.sealing import seal_entries
from config.change_log.verifying import check_change_log
from config.db.clock import read_clock
from config.monitoring.rounds import run_round
from config.webhooks.delivering import WEBHOOKS_LOCK, deliver_due

logger = logging.getLogger(__name__)

COPY_LOCK = 7_301_103


@shared_task(name="config.tasks.deliver_webhooks")
def deliver_webhooks() -> int:
    """Send due webhook messages for at most 20 seconds; return the number of delivery attempts.

    One run sends at a time, so that slow endpoints never occupy the workers that count events.
    """
    with pglock.advisory(WEBHOOKS_LOCK, timeout=0) as is_alone:
        return deliver_due(now=read_clock()) if is_alone else 0


@shared_task(name="config.tasks.check_for_alarms")
def check_for_alarms() -> int:
    """Run the checks that raise and clear alarms, and send the emails that are due; return how much is wrong."""
    return run_round()


@shared_task(name="config.tasks.back_up")
def back_up() -> int:
    """Back up and verify the database if BACKUP_DIR is set; return how many rows. Of two calls at once, one fails."""
    if settings.BACKUP_DIR is None:
        return 0
    return make_backup(settings.BACKUP_DIR, verify=True, now=read_clock()).rows


@shared_task(name="config.tasks.expire_approvals")
def expire_approvals() -> int:
    """Expire requests for approval whose time is over; return how many."""
    return expire_due(now=read_clock())


@shared_task(name="config.tasks.seal_change_log")
def seal_change_log() -> int:
    """Chain new entries of the change log and copy them to CHANGE_LOG_STREAM; return how many were chained."""
    sealed = seal_entries()
    with pglock.advisory(COPY_LOCK, timeout=0) as is_alone:
        if is_alone:
            copy_entries()
    return sealed


@shared_task(name="config.tasks.verify_change_log")
def verify_change_log() -> int:
    """Verify the whole change log and keep the result; return how many entries are intact."""
    check = check_change_log(now=read_clock())
    if check.problem:
        logger.error("The change log was tampered with: %s", check.problem)
    return check.entries
