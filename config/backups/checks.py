"""Checks of a restored copy. Each app registers its own; `verifying` runs them with the copy as the database."""

from collections.abc import Callable
from datetime import datetime

from config.change_log.verifying import verify

type Check = Callable[[datetime], str]  # takes the time, returns what is wrong, or an empty string

_checks: dict[str, Check] = {}


def register_backup_check(name: str, check: Check) -> None:
    """Register a check of a restored copy by its name. It may write to the copy, which is dropped afterwards."""
    _checks[name] = check


def run_checks(now: datetime) -> list[str]:
    """Run all checks on this process's database; return what is wrong, each with the name of its check."""
    return [f"{name}: {problem}" for name, check in _checks.items() if (problem := check(now))]


def check_change_log(now: datetime) -> str:
    """Verify the chain of the change log."""
    return verify().problem


register_backup_check("change log", check_change_log)
