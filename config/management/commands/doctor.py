"""Say in one screen what is wrong with this installation, and what to do about it."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import WARNING, Tags, run_checks
from django.core.management.base import BaseCommand

from config.alarms.checks import find_all
from config.db.clock import read_database_clock
from config.server.health import NOT_MIGRATED, UNREACHABLE, check_readiness
from config.version import VERSION

NOT_READABLE = (NOT_MIGRATED, UNREACHABLE)  # then the other checks fail, too
GOOD, BAD, HINT = "✓", "✗", "→"


class Command(BaseCommand):
    """Run all checks; print what is wrong with what to do, and what is in order. Exit with 1 if anything is wrong.

    Changes nothing: alarms are neither raised nor cleared. If the database doesn't respond, `manage.py` says so before.
    """

    help = __doc__
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        now = read_database_clock()
        unready = [result for result in check_readiness() if result.reason and result.is_vital]
        found = {} if any(result.reason in NOT_READABLE for result in unready) else find_all(now=now)
        problems = [*((result.reason, result.what_to_do) for result in unready), *find_settings_problems()]
        problems += [(finding.message, finding.what_to_do) for findings in found.values() for finding in findings]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems" if problems else "all is well"
        self.stdout.write(f"Countinghouse {VERSION}, {now:%Y-%m-%d %H:%M:%S} UTC: {count}.")
        for message, what_to_do in problems:
            self.stdout.write(self.style.ERROR(f"\n{BAD} {message}"))
            self.stdout.write(f"  {HINT} {what_to_do}")
        if in_order := [name for name, findings in found.items() if not findings]:
            self.stdout.write(f"\n{GOOD} In order: {', '.join(in_order)}.")
        for advice in _list_advice():
            self.stdout.write(f"\nNot set: {advice}")
        if problems:
            raise SystemExit(1)


def find_settings_problems() -> Iterator[tuple[str, str]]:
    """Yield what the checks of the settings find wrong, from warnings on."""
    for message in run_checks(tags=[Tags.security, Tags.database], databases=["default"]):
        if message.level >= WARNING and not message.is_silenced():
            yield message.msg, message.hint or "See docs/deployment.md."


def _list_advice() -> Iterator[str]:
    if not settings.ALARM_EMAILS:
        yield "ALARM_EMAILS, who gets an email when something is wrong."
    if not (settings.METRICS_TOKEN or settings.METRICS_ADDRESSES):
        yield "METRICS_TOKEN, which lets Prometheus read /metrics."
