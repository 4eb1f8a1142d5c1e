"""Of several beats, the holder of the lease starts the schedules."""

import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from config.monitoring.lease import LASTS_S, RENEWED_EVERY_S, Lease
from config.monitoring.models import SchedulingLease

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """Return the monotonic clock, which stands still until it is set."""
    times = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[0])
    return times


def end_leases() -> None:
    SchedulingLease.objects.update(ends_at=timezone.now() - timedelta(minutes=1))


def test_one_of_two_beats_has_the_lease_until_it_ends(clock):
    first, second = Lease(), Lease()
    assert (first.hold(), second.hold()) == (True, False)
    since = SchedulingLease.objects.get().since
    clock[0] += RENEWED_EVERY_S
    assert (first.hold(), second.hold()) == (True, False)
    assert SchedulingLease.objects.get().since == since
    end_leases()
    clock[0] += RENEWED_EVERY_S
    assert (second.hold(), first.hold()) == (True, False)
    assert SchedulingLease.objects.get().since > since


def test_a_released_lease_is_taken_at_once(clock):
    first, second = Lease(), Lease()
    first.hold()
    first.release()
    assert second.hold()
    first.release()  # releases nothing, since it is another's by now
    assert SchedulingLease.objects.count() == 1


def test_a_beat_that_is_cut_off_from_the_database_stops_when_its_lease_ends(clock, monkeypatch):
    lease = Lease()
    assert lease.hold()
    monkeypatch.setattr(lease, "_take", lambda: (_ for _ in ()).throw(OperationalError("no route to host")))
    clock[0] += LASTS_S - 1
    assert lease.hold()
    clock[0] += 1
    assert not lease.hold()


def test_a_beat_that_slept_through_its_lease_doesnt_trust_it(clock):
    first, second = Lease(), Lease()
    first.hold()
    end_leases()
    second.hold()
    clock[0] += LASTS_S
    assert not first.hold()
