"""Any change of invoiced usage is recorded in the same commit."""

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction

from catalog.models import Feature
from events.ledger.closing import Touched, close_usage, marks_of, take_touched
from events.ledger.processing import process_batch
from events.ledger.rebuilding import Scope, rebuild_usage
from events.ledger.replaying import replay
from events.ledger.voiding import void_event
from events.models import Event, TouchedUsage, UsageBucket, UsageMark
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

CLOSED = NOON + timedelta(hours=6)  # 18:00
pytestmark = pytest.mark.django_db


@pytest.fixture
def feature(db):
    return make_feature()


@pytest.fixture
def acme(db):
    return make_customer(external_id="acme")


def taken():
    with transaction.atomic():
        return take_touched(1000)


def test_changes_of_uninvoiced_usage_are_not_recorded(feature, acme):
    send(at=NOON)
    process()
    assert taken() == []


def test_changes_before_the_mark_are_recorded_once_per_hour(feature, acme):
    close_usage({acme.pk: CLOSED})
    for minute in (1, 2, 59):
        send(at=NOON + timedelta(minutes=minute))
    send(at=CLOSED)
    process()
    assert taken() == [Touched(acme.pk, feature.pk, NOON)]
    assert taken() == []


def test_a_partial_hour_before_the_mark_is_included(feature, acme):
    close_usage({acme.pk: NOON + timedelta(minutes=30)})
    send(at=NOON + timedelta(minutes=45))
    process()
    assert taken() == [Touched(acme.pk, feature.pk, NOON)]


def test_changes_are_recorded_only_for_customers_with_a_mark(feature, acme):
    other = make_customer(external_id="other")
    close_usage({other.pk: CLOSED})
    send(at=NOON)
    send(at=NOON, customer="other")
    send(at=NOON, customer="nobody")
    process()
    assert taken() == [Touched(other.pk, feature.pk, NOON)]


def test_an_event_that_does_not_count_is_not_recorded(acme):
    make_feature(field="tokens")
    close_usage({acme.pk: CLOSED})
    send(at=NOON, tokens="many")
    process()
    assert taken() == []


def test_a_mark_never_moves_back(acme):
    close_usage({acme.pk: CLOSED})
    close_usage({acme.pk: NOON})
    assert marks_of([acme.pk]) == {acme.pk: CLOSED}
    close_usage({})


@pytest.mark.hot
def test_a_voided_event_is_recorded(feature, acme):
    send(at=NOON, event_id="wrong")
    process()
    close_usage({acme.pk: CLOSED})
    void_event(Event.objects.get(event_id="wrong"), reason="Sent twice", now=CLOSED)
    assert taken() == [Touched(acme.pk, feature.pk, NOON)]


def test_a_replayed_problem_is_recorded(acme):
    feature = make_feature(field="tokens")
    send(at=NOON, event_id="text", tokens="5")
    process()
    close_usage({acme.pk: CLOSED})
    Feature.objects.filter(pk=feature.pk).update(accept_numeric_strings=True)
    replay([Event.objects.get().pk], closing="Text is accepted")
    assert taken() == [Touched(acme.pk, feature.pk, NOON)]


def test_a_rebuild_records_the_hours_that_it_corrects(feature, acme):
    send(at=NOON)
    send(at=NOON + timedelta(hours=1))
    process()
    close_usage({acme.pk: CLOSED})
    UsageBucket.objects.filter(hour=NOON).update(count=7)
    rebuild_usage(Scope(), apply=True, now=CLOSED)
    assert taken() == [Touched(acme.pk, feature.pk, NOON)]


@pytest.mark.django_db(transaction=True)
def test_closing_waits_for_running_batches(feature, acme):
    """A batch is either included in the usage once it is closed, or recorded as a change."""
    send(at=NOON)
    counted, may_commit = threading.Event(), threading.Event()

    def batch():
        with transaction.atomic():
            process_batch()
            counted.set()
            may_commit.wait(10)
        connections.close_all()

    worker = threading.Thread(target=batch)
    worker.start()
    assert counted.wait(10)
    seen = []

    def closing():
        close_usage({acme.pk: CLOSED})
        seen.append(Event.objects.count())
        connections.close_all()

    closer = threading.Thread(target=closing)
    closer.start()
    closer.join(0.3)
    assert closer.is_alive()  # it waits for the batch
    assert UsageMark.objects.count() == 1  # and the mark is known already
    may_commit.set()
    for thread in (worker, closer):
        thread.join(10)
    assert seen == [1]
    assert TouchedUsage.objects.count() == 0
