"""Parts return to the ledger, or move to another store; and `check --deploy` says what is wrong with a store."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from catalog.models import Feature, IntervalUnit
from events.history.checks import check_days, check_store
from events.history.lookup import find_event
from events.history.proving import prove_part
from events.history.removing import sweep_store
from events.history.stores import get_store
from events.ledger.rebuilding import Scope, compare
from events.ledger.voiding import void_event
from events.models import Event, EventState, PartState, SealedPart
from events.tasks import seal
from events.usage.meter import usage
from tests.events.history.sealing import LATER, seal_all
from tests.events.history.test_sealing import WINDOW
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(history):
    customer = make_customer(external_id="acme")
    make_feature()
    return customer


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def seal_three() -> list[str]:
    ids = [send(n=number) for number in range(3)]
    process()
    seal_all()
    return ids


def test_unsealing_returns_events_as_they_were(acme, settings):
    ids = seal_three()
    void_event(find_event(ids[1]), reason="Wrong", now=NOON)
    assert "3 events of 2 parts are in the database" in run("unseal")
    events = {event.event_id: event for event in Event.objects.all()}
    assert sorted(events) == ids
    assert [events[name].is_touched for name in ids] == [False, True, False]
    assert events[ids[1]].state == EventState.VOIDED
    assert set(SealedPart.objects.values_list("state", flat=True)) == {PartState.REMOVED}
    assert usage(acme.pk, Feature.objects.get(), *WINDOW).value == 2
    send(event_id=ids[0], n=0)
    assert process().duplicates == 1
    assert list(compare(Scope())) == []
    assert sweep_store(now=LATER) == 1
    seal_all()
    assert [event.event_id for event in Event.objects.all()] == [ids[1]]
    settings.EVENT_HISTORY = ""
    with pytest.raises(CommandError, match="EVENT_HISTORY isn't set"):
        run("unseal")


def test_an_altered_part_is_not_returned(acme, history):
    seal_three()
    SealedPart.objects.filter(rows=3).update(checksum=1)
    with pytest.raises(CommandError, match="isn't what was published"):
        run("unseal")
    assert not Event.objects.exists()


def test_parts_move_to_a_bucket_and_on_to_another_folder(acme, bucket, settings, tmp_path):
    ids = seal_three()
    part = SealedPart.objects.get(rows=3)
    for address in (bucket, (tmp_path / "other").as_uri()):
        for _ in range(2):
            assert "1 parts are copied and proven" in run("move_history", address)
        settings.EVENT_HISTORY = address
        assert prove_part(part) == []
        assert [name for name, _ in get_store().names()] == [part.name]
        assert find_event(ids[0]).event_id == ids[0]


def test_a_part_that_differs_keeps_the_old_store(acme, tmp_path):
    seal_three()
    SealedPart.objects.filter(rows=3).update(checksum=1)
    with pytest.raises(CommandError, match="1 of 1 parts differ"):
        run("move_history", (tmp_path / "other").as_uri())
    with pytest.raises(CommandError, match="can't begin with"):
        run("move_history", "ftp://host")


def test_sealing_waits_while_many_events_are_not_counted(acme, settings):
    settings.SEAL_PAUSE_ABOVE = 1
    send()
    process()
    waiting = [send(), send()]
    assert seal() == 0
    assert not SealedPart.objects.exists()
    settings.SEAL_PAUSE_ABOVE = len(waiting)
    assert seal() > 0


def test_the_checks_name_what_is_wrong_with_a_store(acme, settings, tmp_path, monkeypatch):
    assert check_store(None) == []
    (tmp_path / "file").write_text("")
    settings.EVENT_HISTORY = f"file://{tmp_path}/file/history"
    monkeypatch.setitem(connection.settings_dict, "HOST", "db.example.com")
    assert [warning.id for warning in check_store(None)] == ["events.W001", "events.W002"]
    make_version({"interval": IntervalUnit.QUARTER})
    settings.SEAL_AFTER_DAYS = 92
    assert check_days(None, databases=["default"]) == []
    settings.SEAL_AFTER_DAYS = 45
    [warning] = check_days(None, databases=["default"])
    assert "bills usage every 92 days" in warning.msg
    settings.EVENT_HISTORY = ""
    assert check_store(None) == check_days(None, databases=["default"]) == []
