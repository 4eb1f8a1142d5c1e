"""Sealing, readers and changes at once: real threads, real locks, and a commit of one between two steps of another."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from django.db import connection, transaction

from customers.models import Customer
from events.history import reading, sealing
from events.history.lookup import find_event
from events.history.reading import ledger
from events.history.sealing import forget, write_part
from events.history.selection import EventSelection
from events.ledger.rebuilding import Scope, compare
from events.ledger.voiding import AlreadyVoided, void_event
from events.models import Event, PartState
from events.usage.meter import usage
from tests.events.history.sealing import part_of_all, seal_all
from tests.events.history.test_sealing import WINDOW
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls(history):
    make_customer(external_id="acme")
    return make_feature()


def in_thread(function, *args, **kwargs):
    """Run a function with a session of its own, and return its result once the session's process has ended.

    After reading sealed events, it removes its temporary tables in a last transaction.
    """

    def work():
        try:
            return function(*args, **kwargs)
        finally:
            process_id = connection.connection.info.backend_pid
            connection.close()
            while psutil.pid_exists(process_id):
                time.sleep(0.001)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=60)


def count(feature) -> int:
    return int(usage(Customer.objects.get().pk, feature, *WINDOW).value)


def test_events_stay_as_long_as_a_transaction_does_not_see_their_part(calls):
    send()
    process()
    part = part_of_all()
    with transaction.atomic():
        assert Event.objects.count() == 1  # the transaction has begun
        assert in_thread(write_part, part)
        assert not in_thread(forget, part)
    assert forget(part)
    assert count(calls) == 1


def test_events_stay_as_long_as_someone_reads_their_part(calls):
    send()
    process()
    part = part_of_all()
    write_part(part)
    with transaction.atomic(), ledger([EventSelection()]):
        part.refresh_from_db()
        assert not in_thread(forget, part)
    assert forget(part)
    assert count(calls) == 1


def test_a_reader_counts_an_event_once_that_returns_while_it_reads(calls, monkeypatch):
    event_id = send()
    send()
    process()
    seal_all()
    real = reading.load

    def load_and_let_it_return(selections, **options):
        result = real(selections, **options)
        if threading.current_thread() is threading.main_thread():
            in_thread(void_event, find_event_in_thread(event_id), reason="Wrong", now=NOON)
        return result

    def find_event_in_thread(event_id):
        return in_thread(find_event, event_id)

    monkeypatch.setattr(reading, "load", load_and_let_it_return)
    assert count(calls) == 2  # as before the void
    monkeypatch.setattr(reading, "load", real)
    assert count(calls) == 1
    assert list(compare(Scope())) == []


def test_a_repeat_that_arrives_while_its_event_is_removed_is_a_duplicate(calls, monkeypatch):
    event_id = send()
    process()
    part = part_of_all()
    write_part(part)
    send(event_id=event_id)
    results = []
    real = sealing._finish

    def process_first(part):
        results.append(in_thread(process))
        return real(part)

    monkeypatch.setattr(sealing, "_finish", process_first)
    assert forget(part)
    assert results[0].duplicates == 1
    assert count(calls) == 1


@pytest.mark.parametrize("step", ["_publish", "forget"])
def test_a_void_between_two_steps_counts_once(calls, monkeypatch, step):
    event_id = send()
    process()
    part = part_of_all()
    real = getattr(sealing, step)

    def void_first(*args):
        in_thread(void_event, find_event(event_id), reason="Wrong", now=NOON)
        return real(*args)

    monkeypatch.setattr(sealing, step, void_first)
    assert write_part(part)
    assert sealing.forget(part)
    assert count(calls) == 0
    part.refresh_from_db()
    assert (part.state, part.returned) == (PartState.SEALED, 1)
    assert list(compare(Scope())) == []


def test_two_voids_of_a_sealed_event_void_it_once(calls):
    event_id = send()
    process()
    seal_all()
    event = find_event(event_id)

    def void():
        try:
            void_event(event, reason="Wrong", now=NOON)
        except AlreadyVoided:
            return "voided before"
        finally:
            connection.close()
        return "voided"

    with ThreadPoolExecutor(2) as pool:
        results = sorted(future.result(timeout=60) for future in [pool.submit(void), pool.submit(void)])
    assert results == ["voided", "voided before"]
    assert count(calls) == 0


def test_two_workers_seal_each_event_once(calls, settings):
    settings.SEAL_ROWS = 2
    for _ in range(10):
        send()
    process()

    def seal():
        try:
            for _ in range(20):
                seal_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(seal), pool.submit(seal)]:
            future.result(timeout=120)
    seal_all()
    assert not Event.objects.exists()
    assert count(calls) == 10
    assert list(compare(Scope())) == []
