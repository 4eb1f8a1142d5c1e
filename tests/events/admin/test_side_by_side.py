"""Workers, replays and clients at the same time: real threads, real locks."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connection

from events.ledger.rebuilding import Scope, compare
from events.ledger.replaying import replay
from events.ledger.voiding import void_event
from events.models import DuplicateEvent, Event, InboxEvent, UsageBucket
from events.usage.meter import usage
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature
from tests.owner import as_owner

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


def in_thread(function, *args, **kwargs):
    """Call with a database connection of the thread's own."""
    try:
        return function(*args, **kwargs)
    finally:
        connection.close()


def at_once(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(in_thread, *call) for call in calls]]


def drain(limit=7):
    taken = 0
    while (events := process(limit).events) or InboxEvent.objects.exists():
        taken += events
    return taken


@pytest.mark.hot
def test_four_workers_count_every_event_once():
    customer, calls = make_customer(external_id="acme"), make_feature()
    for no in range(200):
        send(event_id=f"id-{no % 150}", at=NOON + timedelta(seconds=no % 150))
    assert sum(at_once(*[(drain,)] * 4)) == 200
    assert usage(customer.pk, calls, NOON, NOON + HOUR).value == 150
    assert Event.objects.count() == 150
    assert sum(DuplicateEvent.objects.values_list("count", flat=True)) == 50
    assert not list(compare(Scope()))


def test_replays_and_voids_during_processing_keep_usage_equal_to_the_ledger():
    customer, calls = make_customer(external_id="acme"), make_feature()
    first = [send(at=NOON + timedelta(seconds=no)) for no in range(60)]
    process()
    for no in range(120):
        send(at=NOON + timedelta(seconds=no))

    def replay_all():
        for event_id in first[:30]:
            replay([ledger(event_id).pk], closing="again")

    def void_some():
        for event_id in first[30:40]:
            void_event(ledger(event_id), reason="Wrong", now=NOON)

    at_once((drain,), (drain,), (replay_all,), (void_some,))
    assert usage(customer.pk, calls, NOON, NOON + HOUR).value == 170
    assert not list(compare(Scope()))


def test_a_second_worker_takes_the_next_requests_while_the_first_still_works():
    make_customer(external_id="acme")
    make_feature()
    for no in range(60):
        send(event_id=f"e{no}")
    with psycopg.connect(**connection.get_connection_params()) as first:
        chosen = first.execute("SELECT events_claim(20)").fetchall()[0][0]
        assert len(chosen) == 20
        assert process(limit=30).events == 30
        assert process(limit=30).events == 10
        first.rollback()
    assert process(limit=30).events == 20


def test_a_failed_batch_leaves_its_events_waiting():
    make_customer(external_id="acme")
    make_feature()
    send()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE events_usagebucket ADD CONSTRAINT no_more CHECK (count < 1)")
    try:
        with pytest.raises(Exception, match="no_more"):
            process()
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE events_usagebucket DROP CONSTRAINT no_more")
    assert (InboxEvent.objects.count(), Event.objects.count(), UsageBucket.objects.count()) == (1, 0, 0)
    assert process().counted == 1
