"""The checks that raise alarms, and clear them when all is well again. Each app registers its own.

Checks run every 30 seconds. Functions that know at once that something is wrong, such as the nightly proofs, call
`raise_alarm` and `clear_alarm` themselves, with a kind that no check has.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import Error, transaction

from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import Finding, clear_alarms, raise_alarm

logger = logging.getLogger(__name__)

CLEARED_AFTER = timedelta(minutes=2)  # so that something that comes and goes is one alarm


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

    A check that the database refuses is an alarm itself; the others run nevertheless.
    """
    return sum(_run(check, now) for check in _checks.values())


def find_all(*, now: datetime) -> dict[str, list[Finding]]:
    """Return what each check finds, by its name, without raising or clearing alarms."""
    return {check.name: _find(check, now)[0] for check in _checks.values()}


def _find(check: Check, now: datetime) -> tuple[list[Finding], bool]:
    """Return what a check finds, and whether it could be carried out."""
    try:
        with transaction.atomic():
            return list(check.find(now)), True
    except (Error, OSError) as error:
        logger.warning("The check of %s failed: %s", check.name, error)
        return [_failed(check, error)], False


def _run(check: Check, now: datetime) -> int:
    findings, is_complete = _find(check, now)
    for finding in findings:
        raise_alarm(finding, now=now)
    if is_complete:
        _clear_others(check, findings, now)
    return len(findings)


def _failed(check: Check, error: Exception) -> Finding:
    return Finding(
        AlarmKind.CHECK_FAILED,
        f"The check of {check.name} couldn't be carried out: {str(error).splitlines()[0]}",
        "See the log of the worker. If the database is busy or locked, other alarms say by what.",
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
