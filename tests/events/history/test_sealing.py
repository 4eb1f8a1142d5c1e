"""Events are sealed: parts are proven before events leave the ledger, and each counts once after a kill anywhere."""

import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from customers.models import Customer
from customers.periods import Period
from events.history import sealing
from events.history.lookup import find_event, get_event
from events.history.reading import refuse_unreadable
from events.history.sealing import forget, seal_next, write_part
from events.history.stores import StoreFailed, get_store
from events.ledger.rebuilding import Scope, compare
from events.ledger.voiding import void_event
from events.models import Event, EventState, KnownId, PartState, SealedPart
from events.usage.contributing_events import events_behind
from events.usage.meter import usage
from tests.events.history.sealing import LATER, part_of_all, seal_all
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WINDOW = (NOON - MINUTE, NOON + MINUTE)  # an hour that it cuts is counted event by event


class KilledError(Exception):
    """Simulates the end of the process."""


@pytest.fixture
def calls(history):
    make_customer(external_id="acme")
    return make_feature()


def counted(feature) -> int:
    """Count acme's events, event by event, and check that stored usage agrees."""
    customer = Customer.objects.get(external_id="acme")
    assert list(compare(Scope())) == []
    window = Period(NOON - DAY, NOON + DAY)
    assert (
        len(list(events_behind(customer.pk, feature, [window], most=100))) == usage(customer.pk, feature, *WINDOW).value
    )
    return int(usage(customer.pk, feature, *WINDOW).value)


def states() -> list[tuple[int, int]]:
    return list(SealedPart.objects.filter(is_late=False).order_by("pk").values_list("state", "rows"))


def test_settled_events_leave_the_ledger_and_still_count(calls, history):
    ids = [send() for _ in range(3)]
    process()
    seal_all()
    assert not Event.objects.exists()
    assert states() == [(PartState.SEALED, 3)]
    assert len(list(history.iterdir())) == 1
    assert counted(calls) == 3
    assert KnownId.objects.among(ids) == set(ids)
    event = find_event(ids[1])
    assert (event.state, event.properties, event.customer.external_id) == (EventState.COUNTED, {}, "acme")
    assert get_event(event.pk).event_id == ids[1]
    assert find_event("unknown") is None
    assert get_event(event.pk + 100) is None


def test_a_repeat_of_a_sealed_event_is_a_duplicate(calls):
    event_id = send()
    process()
    seal_all()
    send(event_id=event_id)
    assert process().duplicates == 1
    assert counted(calls) == 1


def test_only_events_that_counted_at_once_are_sealed(calls):
    counted_id, void_id, problem_id = send(), send(), send("unknown")
    process()
    void_event(ledger(void_id), reason="Wrong", now=NOON)
    seal_all()
    assert set(Event.objects.values_list("event_id", flat=True)) == {void_id, problem_id}
    assert find_event(counted_id) is not None
    assert counted(calls) == 1


def test_late_events_have_parts_of_their_own(calls):
    send(at=NOON - 10 * DAY)
    send()
    process()
    seal_all()
    parts = SealedPart.objects.order_by("is_late")
    assert [(part.is_late, part.rows, part.occurred_from) for part in parts] == [
        (False, 1, NOON),
        (True, 1, NOON - 10 * DAY),
    ]


def test_young_events_stay(calls, settings):
    settings.SEAL_AFTER_DAYS = 30
    send(received_at=NOON - 40 * DAY)
    young = send(received_at=NOON - 20 * DAY)
    process()
    seal_all(now=NOON)
    assert [event.event_id for event in Event.objects.all()] == [young]
    assert counted(calls) == 2


def test_a_range_that_is_not_full_waits_for_a_day(calls, settings):
    settings.SEAL_AFTER_DAYS = 30
    send(received_at=NOON)
    process()
    assert not seal_next(now=NOON + 30.5 * DAY)
    settings.SEAL_ROWS = 1
    assert seal_next(now=NOON + 30.5 * DAY)


def test_parts_are_as_large_as_configured(calls, settings):
    settings.SEAL_ROWS = 4
    for _ in range(10):
        send()
    process()
    seal_all()
    assert states() == [(PartState.SEALED, rows) for rows in (4, 4, 2)]
    assert counted(calls) == 10


@pytest.mark.parametrize(
    "point", ["_gather", "get_store", "gather_part", "_publish", "forget", "_forget_places", "_finish", "hold_part"]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_kill_anywhere_every_event_counts_once(calls, monkeypatch, settings, point, when):
    settings.SEAL_ROWS = 2
    monkeypatch.setattr(sealing, "PLACES_AT_A_TIME", 1)
    ids = [send() for _ in range(4)]
    process()
    real = getattr(sealing, point)
    left = 1

    def killed_once(*args, **kwargs):
        nonlocal left
        if when == "before" and left:
            left -= 1
            raise KilledError
        result = real(*args, **kwargs)
        if left:
            left -= 1
            raise KilledError
        return result

    monkeypatch.setattr(sealing, point, killed_once)
    with pytest.raises(KilledError):
        seal_all()
    assert counted(calls) == 4
    send(event_id=ids[0])
    assert process().duplicates == 1
    seal_all()
    assert counted(calls) == 4
    assert not Event.objects.exists()


def test_an_event_that_changes_before_it_leaves_stays(calls):
    kept, voided = send(), send()
    process()
    part = part_of_all()
    assert write_part(part)
    void_event(ledger(voided), reason="Wrong", now=NOON)
    assert counted(calls) == 1
    assert forget(part)
    assert counted(calls) == 1
    part.refresh_from_db()
    assert (part.state, part.rows, part.returned) == (PartState.SEALED, 2, 1)
    assert find_event(voided).state == EventState.VOIDED
    assert not Event.objects.filter(event_id=kept).exists()


def test_a_part_that_was_altered_before_its_proof_is_written_again(calls, monkeypatch, history):
    send()
    process()
    real = sealing._publish

    def alter_first(part, written, size):
        monkeypatch.setattr(sealing, "_publish", real)
        store, rows = get_store(), history.parent / "other.csv"
        rows.write_text('1,1,,2026-01-01,2026-01-01,2026-01-01,t,"x","x","x","","{}"\n')
        store.write(part.name, rows)
        return real(part, written, size)

    monkeypatch.setattr(sealing, "_publish", alter_first)
    part = part_of_all()
    first = part.name
    assert not write_part(part)
    part.refresh_from_db()
    assert (part.state, part.name != first) == (PartState.PLANNED, True)
    seal_all()
    assert counted(calls) == 1
    assert states() == [(PartState.SEALED, 1)]


def test_a_store_that_cannot_be_reached_leaves_every_event_in_the_ledger(calls, history):
    send()
    process()
    history.write_text("not a folder")
    with pytest.raises(StoreFailed):
        seal_all()
    assert Event.objects.count() == 1
    history.unlink()
    seal_all()
    assert counted(calls) == 1


def test_sealed_events_cannot_be_overlooked_without_the_setting(calls, settings):
    send()
    process()
    seal_all()
    settings.EVENT_HISTORY = ""
    refuse_unreadable.cache_clear()
    with pytest.raises(ImproperlyConfigured, match="EVENT_HISTORY"):
        counted(calls)


def test_nothing_is_asked_without_the_setting(db, settings, django_assert_num_queries):
    acme, calls = make_customer(external_id="acme"), make_feature()
    usage(acme.pk, calls, *WINDOW)
    with django_assert_num_queries(2):
        usage(acme.pk, calls, *WINDOW)
    assert "sealed" not in str(connection.queries)


def test_nothing_large_is_imported_without_the_setting():
    code = "import django; django.setup(); import events.tasks, events.admin, sys; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sealing_again_seals_nothing(calls):
    send()
    process()
    seal_all()
    before = list(SealedPart.objects.values())
    assert not seal_next(now=LATER)
    assert list(SealedPart.objects.values()) == before
