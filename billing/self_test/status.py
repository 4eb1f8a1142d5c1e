"""Whether billing works end to end, from the latest pass of the self-test."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from billing.models import SelfTest

TOO_OLD = timedelta(minutes=10)  # three passes


@dataclass(frozen=True, slots=True)
class SelfTestStatus:
    """The latest pass, if any, and what is wrong, or an empty string."""

    latest: SelfTest | None
    problem: str


def read_status(*, now: datetime) -> SelfTestStatus | None:
    """Return the status, or `None` if the self-test is off."""
    if not settings.SELF_TEST:
        return None
    latest = SelfTest.objects.first()
    if latest is None:
        return SelfTestStatus(None, "")
    if latest.failed_stage:
        return SelfTestStatus(latest, f"It stops at “{latest.get_failed_stage_display()}”: {latest.problem}")
    is_old = now - latest.finished_at > TOO_OLD
    return SelfTestStatus(latest, "It hasn't run for ten minutes. Are worker and beat running?" if is_old else "")
