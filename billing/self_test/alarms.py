"""The alarm about the self-test: it stopped at a stage, or hasn't run."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from billing.self_test.status import read_status
from config.alarms.checks import register_check
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding


def register_self_test_alarm() -> None:
    """Register the check of the self-test."""
    register_check("the self-test", [AlarmKind.SELF_TEST_FAILED], find_failed_self_test)


def find_failed_self_test(now: datetime) -> Iterator[Finding]:
    """Find that the self-test is on and billing doesn't work end to end."""
    status = read_status(now=now)
    if status is not None and status.problem:
        yield Finding(
            AlarmKind.SELF_TEST_FAILED,
            f"The self-test fails. {status.problem}",
            "If events aren't accepted or the webhook isn't received, look at web and at SELF_TEST_URL. If another "
            "stage fails, invoices may be wrong: stop finalizing, and look at the worker's log and the last release.",
            url=reverse("admin:billing_selftest_changelist"),
        )
