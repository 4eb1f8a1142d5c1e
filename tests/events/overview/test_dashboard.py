"""The dashboards' figures about events."""

from datetime import timedelta

import pytest
from django.utils import timezone

from events.models import Event, ProcessedBatch
from events.overview import dashboard
from tests.events.senders import NOON, ledger, process, send

pytestmark = pytest.mark.django_db


def make_batch(*, finished_at, events=10, counted=10, **given):
    zeros = {"partly": 0, "problems": 0, "duplicates": 0, "conflicts": 0}
    return ProcessedBatch.objects.create(
        started_at=finished_at, finished_at=finished_at, oldest_received_at=finished_at, events=events, counted=counted,
        **zeros | given,
    )  # fmt: skip


def test_nothing_waits_in_an_empty_inbox():
    assert dashboard.waiting(now=NOON) == dashboard.Waiting(0, 0.0)


def test_waiting_counts_events_and_the_age_of_the_oldest():
    send(received_at=NOON)
    send(received_at=NOON + timedelta(seconds=20))
    assert dashboard.waiting(now=NOON + timedelta(seconds=30)) == dashboard.Waiting(2, 30.0)


def test_waiting_stops_counting_at_the_cap(monkeypatch):
    monkeypatch.setattr(dashboard, "WAITING_CAP", 2)
    for _ in range(3):
        send()
    waiting = dashboard.waiting(now=NOON)
    assert (waiting.count, waiting.is_capped) == (2, True)


def test_ended_adds_up_batches_since_a_given_time():
    make_batch(finished_at=NOON - timedelta(seconds=1))
    make_batch(finished_at=NOON, events=10, counted=6, partly=1, problems=1, duplicates=2, conflicts=1)
    make_batch(finished_at=NOON + timedelta(hours=1), events=5, counted=5)
    assert dashboard.ended(since=NOON) == dashboard.Ended(15, 11, 1, 1, 2, 1)


@pytest.mark.parametrize(("counted", "share"), [(0, 0), (999, 99), (1000, 100)])
def test_a_hundred_percent_means_all(counted, share):
    assert dashboard.Ended(events=1000, counted=counted).counted_share == share


def test_arriving_per_minute_is_the_average_of_five_minutes():
    make_batch(finished_at=NOON - timedelta(minutes=6), events=1000)
    make_batch(finished_at=NOON - timedelta(minutes=4), events=30)
    make_batch(finished_at=NOON, events=20)
    assert dashboard.arriving_per_minute(now=NOON) == 10


def test_the_chart_has_every_hour_and_ends_with_the_current_hour():
    make_batch(finished_at=NOON - timedelta(hours=1, minutes=30), events=7, counted=7)
    make_batch(finished_at=NOON + timedelta(minutes=5), events=3, counted=2, problems=1)
    hours = dashboard.volume(now=NOON + timedelta(minutes=10), hours=3)
    assert [(hour.start, hour.ended.events) for hour in hours] == [
        (NOON - timedelta(hours=2), 7),
        (NOON - timedelta(hours=1), 0),
        (NOON, 3),
    ]


@pytest.mark.parametrize("minutes", [0, 1, 7, 250, 499])
def test_a_time_range_becomes_a_range_of_ids(minutes):
    start = timezone.now() - timedelta(days=1)
    for number in range(0, 500, 10):
        send(event_id=f"e{number}", received_at=start + timedelta(minutes=number))
    process()
    since = start + timedelta(minutes=minutes)
    bound = dashboard.first_id_received_since(since)
    inside = Event.objects.filter(received_at__gte=since)
    assert not inside.filter(pk__lt=bound).exists()
    assert Event.objects.filter(pk__gte=bound).count() - inside.count() <= 1  # the minute's slack


def test_an_empty_ledger_starts_at_0_and_a_later_time_after_all_ids():
    assert dashboard.first_id_received_since(NOON) == 0
    name = send(received_at=NOON)
    process()
    assert dashboard.first_id_received_since(NOON + timedelta(days=1)) == ledger(name).pk + 1
