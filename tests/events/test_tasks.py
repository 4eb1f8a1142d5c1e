"""The worker's tasks, run once, twice, and with nothing to do."""

from datetime import timedelta

import pytest
from django.utils import timezone

from events import tasks
from events.models import Event, InboxEvent, ProcessedBatch, UsageBucket
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make_customer(external_id="acme")


def test_the_inbox_is_processed_batch_after_batch_until_none_wait(acme, monkeypatch):
    make_feature()
    monkeypatch.setattr(tasks, "BATCH_SIZE", 2)
    for _ in range(5):
        send()
    assert tasks.process_inbox() == 5
    assert not InboxEvent.objects.exists()
    assert sorted(ProcessedBatch.objects.values_list("events", flat=True)) == [1, 2, 2]
    assert UsageBucket.objects.get().count == 5


def test_a_run_that_processed_events_waits_a_moment_for_more(acme, monkeypatch):
    make_feature()
    send()
    pauses = []

    def send_more(seconds):
        pauses.append(seconds)
        if len(pauses) == 1:
            send()

    monkeypatch.setattr("events.tasks.time.sleep", send_more)
    monkeypatch.setattr(tasks, "LINGER_S", 0.2)
    assert tasks.process_inbox() == 2
    assert len(pauses) > 1


def test_an_empty_inbox_has_nothing_to_process(acme):
    assert tasks.process_inbox() == 0
    assert not ProcessedBatch.objects.exists()


def test_processing_twice_counts_once(acme):
    make_feature()
    send()
    assert (tasks.process_inbox(), tasks.process_inbox()) == (1, 0)
    assert UsageBucket.objects.get().count == 1


def test_a_long_run_ends_for_other_tasks_and_the_next_continues(acme, monkeypatch):
    monkeypatch.setattr(tasks, "BATCH_SIZE", 1)
    monkeypatch.setattr(tasks, "LONGEST_RUN_S", -1)
    send()
    send()
    assert tasks.process_inbox() == 0
    monkeypatch.setattr(tasks, "LONGEST_RUN_S", 30)
    assert tasks.process_inbox() == 2


def test_events_with_a_fixed_cause_are_replayed_automatically(acme):
    make_feature()
    send(customer="later")
    process()
    tasks.replay_mended()
    assert not UsageBucket.objects.exists()
    later = make_customer(external_id="later")
    assert tasks.replay_mended() == 1
    assert UsageBucket.objects.get().customer == later
    assert tasks.replay_mended() == 0


def test_pruning_depends_on_the_clock_and_the_setting(acme, retention_of_thirty_days):
    long_ago = timezone.now() - timedelta(days=31)
    send(at=long_ago, received_at=long_ago)
    kept = send(at=timezone.now(), received_at=timezone.now())
    process()
    assert (tasks.prune(), tasks.prune()) == (1, 0)
    assert Event.objects.get().event_id == kept
