"""Retention removes old events, and keeps their ids, their usage, and events that are still needed."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from customers.models import Customer
from events.ledger import retention
from events.ledger.rebuilding import Scope, compare, rebuild_usage
from events.ledger.replaying import replay
from events.ledger.retention import ledger_horizon, prune
from events.ledger.voiding import HourIsFinal, void_event
from events.models import (
    Event,
    EventVoid,
    KnownId,
    LedgerHorizon,
    Problem,
    ProcessedBatch,
    RefusedRequest,
    UsageBucket,
    UsageCheck,
)
from events.usage.meter import usage
from tests.events.senders import NOON, ledger, open_reasons, process, send
from tests.factories import make_customer, make_feature

pytestmark = [pytest.mark.django_db, pytest.mark.hot]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YEAR = (NOON - 365 * DAY, NOON + DAY)


@pytest.fixture(autouse=True)
def thirty_days(retention_of_thirty_days, monkeypatch):
    """Keep events for thirty days; no app needs them longer."""
    monkeypatch.setattr(retention, "floors", [])


@pytest.fixture
def acme() -> Customer:
    return make_customer(external_id="acme")


def send_aged(*ages: int, **event: object) -> list[str]:
    """Send and process events that occurred and arrived this many days before noon."""
    ids = [send(at=NOON - days * DAY, received_at=NOON - days * DAY, **event) for days in ages]  # type: ignore[arg-type]
    process()
    return ids


def kept_ids() -> set[str]:
    return set(Event.objects.values_list("event_id", flat=True))


class KilledError(Exception):
    """Simulates the end of the process."""


def test_old_events_are_removed_and_their_usage_is_kept(acme):
    calls = make_feature()
    _, _, young = send_aged(90, 31, 29)
    assert prune(now=NOON).events == 2
    assert kept_ids() == {young}
    assert usage(acme.pk, calls, *YEAR).value == 3
    assert ledger_horizon() == NOON - 30 * DAY


def test_with_zero_days_every_event_is_kept(acme, settings):
    settings.LEDGER_DAYS = 0
    send_aged(3000)
    assert prune(now=NOON).events == 0
    assert Event.objects.count() == 1
    assert ledger_horizon() is None


def test_an_event_at_the_horizon_is_kept(acme):
    at_horizon, before = NOON - 30 * DAY, NOON - 30 * DAY - timedelta(microseconds=1)
    stays = send(at=at_horizon, received_at=at_horizon)
    send(at=before, received_at=before)
    process()
    assert prune(now=NOON + timedelta(minutes=59)).events == 1
    assert kept_ids() == {stays}


@pytest.mark.parametrize("aggregation", ["count", "sum", "max", "min", "average", "latest", "unique_count"])
def test_usage_of_full_hours_is_the_same_before_and_after(acme, aggregation):
    feature = make_feature(
        event_name="model.usage", aggregation=aggregation, field="" if aggregation == "count" else "tokens"
    )
    for days, tokens in ((60, 5), (60, 9), (45, 7), (10, 3)):
        send_aged(days, event_name="model.usage", tokens=tokens)
    windows = [YEAR, (NOON - 61 * DAY, NOON - 59 * DAY), (NOON - 60 * DAY, NOON - 60 * DAY + HOUR)]
    before = [usage(acme.pk, feature, *window) for window in windows]
    assert prune(now=NOON).events == 3
    assert [usage(acme.pk, feature, *window) for window in windows] == before


def test_a_duplicate_of_a_removed_event_is_recognized(acme):
    calls = make_feature()
    [event_id] = send_aged(90)
    prune(now=NOON)
    send(event_id=event_id)
    send(event_id=event_id, at=NOON - 90 * DAY, other="body")
    result = process()
    assert (result.duplicates, result.conflicts, result.counted) == (2, 0, 0)
    assert usage(acme.pk, calls, *YEAR).value == 1
    assert not Event.objects.exists()


def test_events_that_an_app_needs_are_kept(acme, monkeypatch):
    send_aged(90, 70, 50)
    needs = [lambda now: now - 80 * DAY, lambda now: None, lambda now: now - 60 * DAY]
    monkeypatch.setattr(retention, "floors", needs)
    assert prune(now=NOON).events == 1
    assert ledger_horizon() == NOON - 80 * DAY
    monkeypatch.setattr(retention, "floors", needs[1:])
    assert prune(now=NOON).events == 1
    assert Event.objects.count() == 1


def test_events_are_never_kept_shorter_than_configured(acme, monkeypatch):
    send_aged(10)
    monkeypatch.setattr(retention, "floors", [lambda now: now])
    assert prune(now=NOON).events == 0


def test_problems_and_voids_are_removed_with_their_events(acme):
    make_feature()
    [unknown] = send_aged(90, event_name="unknown")
    [young] = send_aged(3, event_name="unknown")
    [wrong] = send_aged(80)
    void_event(ledger(wrong), reason="Wrong", now=NOON)
    assert prune(now=NOON).events == 2
    assert KnownId.objects.among([unknown, wrong, young]) == {unknown, wrong}
    assert not EventVoid.objects.exists()
    assert Problem.objects.count() == 1
    assert open_reasons(young) == ["unknown_event_name"]


def test_a_late_event_is_kept_until_its_arrival_is_old_as_well(acme):
    calls = make_feature()
    send_aged(90)
    prune(now=NOON)
    late = send(at=NOON - 90 * DAY, received_at=NOON)
    process()
    assert usage(acme.pk, calls, *YEAR).value == 2
    assert prune(now=NOON + DAY).events == 0
    assert kept_ids() == {late}
    assert prune(now=NOON + 31 * DAY).events == 1
    assert usage(acme.pk, calls, *YEAR).value == 2


def test_a_check_skips_hours_with_removed_events(acme):
    calls = make_feature()
    users = make_feature(aggregation="unique_count", field="user")
    send_aged(90, 5, user="a")
    prune(now=NOON)
    assert list(compare(Scope())) == []
    check = rebuild_usage(Scope(), apply=True, now=NOON)
    assert (check.differing, check.buckets) == (0, 2)
    assert usage(acme.pk, calls, *YEAR).value == 2
    assert usage(acme.pk, users, *YEAR).value == 1


def test_differences_after_the_horizon_are_found(acme):
    send_aged(90, 5)
    make_feature()
    prune(now=NOON)
    assert rebuild_usage(Scope(), apply=True, now=NOON).differing == 1
    assert UsageBucket.objects.count() == 1


def test_a_second_call_removes_nothing_and_keeps_the_count(acme):
    send_aged(90, 80)
    assert prune(now=NOON).events == 2
    assert prune(now=NOON).events == 0
    assert LedgerHorizon.objects.values_list("events", flat=True).get() == 2


def test_a_longer_retention_period_never_moves_the_horizon_back(acme, settings):
    send_aged(90)
    prune(now=NOON)
    settings.LEDGER_DAYS = 60
    prune(now=NOON)
    assert ledger_horizon() == NOON - 30 * DAY


def test_after_a_kill_between_chunks_the_next_call_continues(acme, monkeypatch):
    calls = make_feature()
    send_aged(90, 80, 70)
    monkeypatch.setattr(retention, "CHUNK", 1)
    remove = retention._remove_chunk
    done: list[int] = []

    def killed_after_one(ids, horizon):
        if done:
            raise KilledError
        done.append(remove(ids, horizon))
        return done[0]

    monkeypatch.setattr(retention, "_remove_chunk", killed_after_one)
    with pytest.raises(KilledError):
        prune(now=NOON)
    monkeypatch.setattr(retention, "_remove_chunk", remove)
    assert (Event.objects.count(), KnownId.objects.count()) == (2, 2)
    assert usage(acme.pk, calls, *YEAR).value == 3
    assert prune(now=NOON).events == 2
    assert (Event.objects.count(), KnownId.objects.count()) == (0, 3)
    assert LedgerHorizon.objects.values_list("events", flat=True).get() == 3


def test_after_a_kill_within_a_chunk_nothing_is_lost(acme):
    [event_id] = send_aged(90, event_name="unknown")

    def die(execute, sql, params, many, context):
        if "DELETE FROM events_event AS" in sql:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(die), pytest.raises(OperationalError):
        prune(now=NOON)
    assert kept_ids() == {event_id}
    assert open_reasons(event_id) == ["unknown_event_name"]
    assert prune(now=NOON).events == 1
    assert not Event.objects.exists()


def test_a_repeat_between_remembering_and_removing_an_event_is_a_duplicate(acme, monkeypatch):
    calls = make_feature()
    [event_id] = send_aged(90)

    def die(ids, horizon):
        raise KilledError

    monkeypatch.setattr(retention, "_remove_chunk", die)
    with pytest.raises(KilledError):
        prune(now=NOON)
    send(event_id=event_id, at=NOON - 90 * DAY)
    send(event_id=event_id, at=NOON - 90 * DAY, other="body")
    result = process()
    assert (result.duplicates, result.conflicts) == (2, 1)
    assert usage(acme.pk, calls, *YEAR).value == 1


def test_logs_are_kept_for_the_configured_days(settings):
    settings.LOG_DAYS = 7
    RefusedRequest.objects.all().delete()  # what a test with a server of its own left behind
    for age in (1, 8):
        at = NOON - age * DAY
        RefusedRequest.objects.create(
            minute=at, status=400, reason="bad_request", path="/v1/events", message="is malformed", last_at=at
        )
        counts = dict.fromkeys(("events", "counted", "partly", "problems", "duplicates", "conflicts"), 0)
        ProcessedBatch.objects.create(started_at=at, finished_at=at, oldest_received_at=at, **counts)
        UsageCheck.objects.create(started_at=at)
    done = prune(now=NOON)
    assert (done.refused, done.batches, done.checks) == (1, 1, 1)
    oldest = NOON - DAY
    assert RefusedRequest.objects.get().last_at == oldest
    assert ProcessedBatch.objects.get().finished_at == oldest
    assert UsageCheck.objects.get().started_at == oldest


def test_events_before_the_horizon_are_neither_replayed_nor_voided(acme):
    calls = make_feature(event_name="old")
    send_aged(90, event_name="old")
    assert prune(now=NOON).events == 1
    [late] = [send("old", at=NOON - 90 * DAY)]
    nobody = send("old", at=NOON - 90 * DAY, customer="nobody")
    process()
    assert usage(acme.pk, calls, *YEAR).value == 2
    make_customer(external_id="nobody")
    replay([ledger(late).pk, ledger(nobody).pk], closing="again")
    with pytest.raises(HourIsFinal):
        void_event(ledger(late), reason="Wrong", now=NOON)
    assert usage(acme.pk, calls, *YEAR).value == 2
    assert open_reasons(nobody) == ["unknown_customer"]
    assert not list(compare(Scope()))
