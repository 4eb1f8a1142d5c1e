"""A stream of events is processed in few batches, and no event waits long. The clock follows the worker."""

import pytest

from events import tasks
from events.models import Event, InboxEvent, ProcessedBatch, UsageBucket
from tests.events.senders import send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
BATCH_S = 0.01


class Clock:
    """A clock that advances while the run sleeps, and by 10 ms per batch. An event arrives every 10 ms."""

    def __init__(self, arriving: int = 0):
        self.now, self.arriving = 0.0, arriving
        self.arrivals: list[float] = []
        self.longest_wait = 0.0
        self.left_waiting: list[int] = []

    def monotonic(self):
        self.go_on(BATCH_S)
        return self.now

    def sleep(self, seconds):
        self.left_waiting.append(InboxEvent.objects.count())
        self.go_on(seconds)

    def go_on(self, seconds):
        waiting = self.arrivals[Event.objects.count() :]
        self.longest_wait = max([self.longest_wait, *(self.now - arrival for arrival in waiting)])
        until = self.now + seconds
        while len(self.arrivals) < self.arriving and self.now < until:
            self.now += 0.01
            self.arrivals.append(self.now)
            send()
        self.now = until


@pytest.fixture
def clock(monkeypatch):
    make_customer(external_id="acme")
    make_feature()
    clock = Clock()
    monkeypatch.setattr(tasks, "time", clock)
    return clock


def test_a_stream_of_events_is_processed_in_a_few_batches_a_second(clock):
    clock.arriving = 200  # in two seconds, of which each batch and what gathers for the next take 0.26
    assert tasks.process_inbox() == 200
    assert UsageBucket.objects.get().count == 200
    assert ProcessedBatch.objects.count() <= 10


def test_no_event_of_a_stream_waits_half_a_second(clock):
    clock.arriving = 200
    tasks.process_inbox()
    assert clock.longest_wait < 0.5


def test_a_single_event_is_counted_before_the_worker_waits_for_more(clock):
    send()
    assert tasks.process_inbox() == 1
    assert set(clock.left_waiting) == {0}


def test_full_batches_are_processed_without_waiting(clock, monkeypatch):
    monkeypatch.setattr(tasks, "BATCH_SIZE", 3)
    monkeypatch.setattr(tasks, "SMALL_BATCH", 3)
    for _ in range(12):
        send()
    assert tasks.process_inbox() == 12
    assert list(ProcessedBatch.objects.values_list("events", flat=True)) == [3, 3, 3, 3]
    assert set(clock.left_waiting) == {0}
