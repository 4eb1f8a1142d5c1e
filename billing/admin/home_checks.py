"""Home's queues of what checks itself: the self-test and the proofs."""

from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest
from django.urls import reverse

from billing.admin.home_queue import Queue, Tone
from billing.proofs.summary import last_night
from billing.self_test.status import read_status
from config.office.wording import plural
from config.templatetags.countinghouse import seconds
from events.wording import minute


def check_queues(request: HttpRequest, *, now: datetime) -> Iterator[Queue]:
    """Yield those that this user may see."""
    if request.user.has_perm("billing.view_proofrun"):
        yield proofs_queue(now=now)
    if request.user.has_perm("billing.view_selftest"):
        yield from self_test_queue(now=now)


def self_test_queue(*, now: datetime) -> Iterator[Queue]:
    """Say whether billing works end to end, by the latest self-test. Yield no queue if the self-test is off."""
    status = read_status(now=now)
    if status is None:
        return
    url = reverse("admin:billing_selftest_changelist")
    if status.latest is None:
        yield Queue("Self-test", "–", "the first self-test runs within three minutes", url)
        return
    age = seconds(max((now - status.latest.finished_at).total_seconds(), 0.0))
    if status.problem:
        yield Queue("Self-test", "failed", f"{age} ago. {status.problem}", url, Tone.DANGER)
    else:
        yield Queue("Self-test", "OK", f"billing works end to end, {age} ago", url, Tone.GOOD)


def proofs_queue(*, now: datetime) -> Queue:
    """Show how many lines the last night proved, and that figures differ or that no night was proved lately."""
    badge, url = last_night(), reverse("admin:billing_proofs")
    if badge is None:
        return Queue("Proofs", "0", "no night was proved yet; proofs run at 03:40 UTC", url)
    proved = f"{badge.proved:,} of {badge.checked:,} lines proved, {badge.finished_at:%H:%M}"
    if badge.differing:
        note = f"{plural(badge.differing, 'figure')} in the proofs of {minute(badge.finished_at)}"
        return Queue("Proofs differ", f"{badge.differing:,}", note, badge.run.get_absolute_url(), Tone.DANGER)
    if badge.is_late(now=now):
        note = f"no night has been proved since {minute(badge.finished_at)}. Is a worker running?"
        return Queue("Proofs missing", "!", note, url, Tone.WARNING)
    return Queue("Proofs", f"{badge.proved:,}", proved, url, Tone.GOOD)
