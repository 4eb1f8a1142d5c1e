"""Alarms about billing runs that are stuck, and about subscriptions that can't be billed."""

from datetime import timedelta

import pytest

from billing.alarms import find_parked, find_stuck
from billing.models import BillingRun, BillingState, RunKind
from billing.models.runs import RunChunk, RunState
from tests.factories import NOW, make_subscription

pytestmark = pytest.mark.django_db


def at(minutes: int):
    return NOW + timedelta(minutes=minutes)


def test_a_run_is_stuck_a_quarter_of_an_hour_after_its_last_part():
    run = BillingRun.objects.create(
        kind=RunKind.SCHEDULED, state=RunState.RUNNING, as_of=NOW, started_at=NOW, subscriptions=2_000, done=1_000
    )
    RunChunk.objects.create(run=run, first_id=1, last_id=1_000, finished_at=at(10))
    RunChunk.objects.create(run=run, first_id=1_001, last_id=2_000)
    assert list(find_stuck(at(25))) == []
    (finding,) = find_stuck(at(26))
    assert finding.message == "Run of 2026-03-10 12:00 has been stuck at 1,000 of 2,000 subscriptions since 12:10 UTC."
    assert finding.about == run.public_id
    run.state, run.finished_at = RunState.FINISHED, at(26)
    run.save()
    assert list(find_stuck(at(60))) == []


def test_a_run_that_never_finished_a_part_is_stuck_too():
    BillingRun.objects.create(kind=RunKind.MANUAL, state=RunState.RUNNING, as_of=NOW, started_at=NOW)
    assert list(find_stuck(at(15))) == []
    assert len(list(find_stuck(at(16)))) == 1


def test_parked_subscriptions_are_one_alarm_with_the_first_reason():
    for number in range(2):
        BillingState.objects.filter(subscription=make_subscription()).delete()
        BillingState.objects.create(
            subscription=make_subscription(), parked_at=at(number), parked_reason=f"There is no price {number}."
        )
    (finding,) = find_parked(NOW)
    assert finding.message.startswith("2 subscriptions can't be billed. The first, ")
    assert finding.message.endswith("There is no price 0.")
    assert finding.url == "/admin/billing/invoice/upcoming/?parked=1"
    BillingState.objects.update(parked_at=None, parked_reason="")
    assert list(find_parked(NOW)) == []
