"""The checks that raise alarms, and clear them when all is well again. Each app registers its own.

Checks run every 30 seconds. Functions that know at once that something is wrong, such as the nightly proofs, call
`raise_alarm` and `clear_alarm` themselves, with a kind that no check has.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import connection, transaction

from config import timeouts
from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.pace import paced
from config.alarms.raising import Finding, clear_alarms, raise_alarm
from config.db.errors import describe_error

logger = logging.getLogger(__name__)

CLEARED_AFTER = paced(seconds=120)  # so that something that comes and goes is one alarm


@dataclass(frozen=True, slots=True)
class Check:
    """A function that finds what is wrong now, and all kinds of alarms that it can find."""

    name: str
    kinds: frozenset[AlarmKind]
    find: Callable[[datetime], Iterable[Finding]]


_checks: dict[str, Check] = {}


def register_check(name: str, kinds: Collection[AlarmKind], find: Callable[[datetime], Iterable[Finding]]) -> None:
    """Register a check. Call once, from `AppConfig.ready`. It reads little, and changes nothing."""
    _checks[name] = Check(name, frozenset(kinds), find)


def run_checks(*, now: datetime) -> int:
    """Run all checks; raise an alarm for each finding, and clear those that are over. Return how many were found.

    A check that fails is an alarm itself; the others run nevertheless.
    """
    return sum(_run(check, now) for check in _checks.values())


def find_all(*, now: datetime) -> dict[str, list[Finding]]:
    """Return what each check finds, by its name, without raising or clearing alarms."""
    found: dict[str, list[Finding]] = {check.name: [] for check in _checks.values()}
    for check in _checks.values():
        with _reporting(check, found[check.name].append):
            found[check.name] += check.find(now)
    return found


@contextmanager
def _reporting(check: Check, report: Callable[[Finding], object]) -> Iterator[None]:
    """Undo what is inside the block if it fails or takes long, and report that, so that the other checks run."""
    try:
        with transaction.atomic():
            timeouts.set_on(connection, timeouts.WATCHER, in_transaction=True)
            yield
    except Exception as error:
        logger.exception("The check of %s failed", check.name)
        report(_failed(check, error))


def _run(check: Check, now: datetime) -> int:
    """Run a check, and keep the alarms in step with what it finds."""
    report = partial(raise_alarm, now=now)
    findings: list[Finding] = []
    is_complete = False
    with _reporting(check, report):
        findings += check.find(now)
        is_complete = True
    for finding in findings:
        with _reporting(check, report):
            raise_alarm(finding, now=now)
    if is_complete:
        with _reporting(check, report):
            _clear_others(check, findings, now)
    return len(findings) + (not is_complete)


def _failed(check: Check, error: Exception) -> Finding:
    return Finding(
        AlarmKind.CHECK_FAILED,
        f"The check of {check.name} couldn't be carried out: {type(error).__name__}: {describe_error(error)}",
        "See the log of the worker. If the database is busy or locked, other alarms say by what. What this check looks "
        "for goes unnoticed until it works again.",
        about=check.name,
    )


def _clear_others(check: Check, findings: list[Finding], now: datetime) -> None:
    """Clear the check's alarms that weren't found again for a while."""
    found = {(finding.kind, finding.about) for finding in findings}
    candidates = Alarm.objects.open().filter(kind__in=[*check.kinds, AlarmKind.CHECK_FAILED])
    over = [
        alarm
        for alarm in candidates.filter(seen_at__lte=now - CLEARED_AFTER)
        if (alarm.kind, alarm.about) not in found and (alarm.kind in check.kinds or alarm.about == check.name)
    ]
    if over:
        clear_alarms(over, now=now)
