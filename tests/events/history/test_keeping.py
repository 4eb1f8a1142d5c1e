"""Sealed events over time: proven every night, removed by retention, erased, and shown to staff and by the API."""

from datetime import timedelta

import pytest

from billing.kinds import ProofKind
from billing.proofs.runs import prove_to_end, start_nightly
from catalog.models import Feature
from customers.models import Customer
from events.alarms import find_sealing_behind
from events.history.lookup import find_event, sealed_events_of
from events.history.proving import parts_of_night, prove_part
from events.history.removing import sweep_store
from events.history.rewriting import take_out_customer
from events.history.stores import get_store
from events.ledger import retention
from events.ledger.rebuilding import Scope, compare
from events.ledger.retention import prune
from events.models import Event, KnownId, PartState, SealedPart
from events.usage.meter import usage
from tests.events.history.sealing import seal_all
from tests.events.history.test_sealing import WINDOW
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def acme(history):
    customer = make_customer(external_id="acme")
    make_feature()
    return customer


def object_of(history):
    [file] = history.iterdir()
    return file


@pytest.fixture
def part(acme) -> SealedPart:
    for number in range(200):
        send(number=number)
    process()
    seal_all()
    return SealedPart.objects.get(rows=200)


def test_a_part_proves_itself(part):
    assert prove_part(part) == []


@pytest.mark.parametrize("position", [100, -400, -50])
def test_an_altered_object_is_named(part, history, position):
    content = bytearray(object_of(history).read_bytes())
    content[position] ^= 1
    object_of(history).write_bytes(content)
    assert prove_part(part)


def test_a_truncated_and_a_missing_object_are_named(part, history):
    content = object_of(history).read_bytes()
    object_of(history).write_bytes(content[: len(content) // 2])
    assert prove_part(part)[0].figure == "SHA-256"
    object_of(history).unlink()
    [difference] = prove_part(part)
    assert (difference.figure, part.name in difference.found) == ("Object", True)


def test_an_object_with_other_events_is_named(part, history):
    SealedPart.objects.update(checksum=1)
    part.refresh_from_db()
    assert [difference.figure for difference in prove_part(part)] == ["Content of its events"]


def test_the_nightly_proof_names_a_missing_part_and_usage_stays(part, history, acme):
    object_of(history).unlink()
    run = prove_to_end(start_nightly(now=NOON), now=NOON)
    result = run.results.get(kind=ProofKind.LEDGER)
    assert result.differing == 1
    assert result.differences.get().name == part.name
    hours = (NOON, NOON + timedelta(hours=1))
    assert usage(acme.pk, make_feature(name="Other", event_name="x"), *hours).value == 0
    assert usage(acme.pk, acme_calls(), *hours).value == 200


def acme_calls() -> Feature:
    return Feature.objects.get(event_name="api.calls")


def test_every_part_has_its_night(acme, settings):
    settings.SEAL_ROWS = 1
    for _ in range(65):
        send()
    process()
    seal_all()
    nights = [parts_of_night(day) for day in range(3)]
    assert [len(night) for night in nights] == [22, 22, 21]
    assert sorted(pk for night in nights for pk in night) == sorted(
        SealedPart.objects.readable().values_list("pk", flat=True)
    )


def test_retention_removes_parts_and_ids_stay_known(acme, settings, monkeypatch):
    monkeypatch.setattr(retention, "floors", [])
    settings.LEDGER_DAYS = 30
    old = send(at=NOON - 90 * DAY, received_at=NOON - 90 * DAY)
    process()
    seal_all(now=NOON - 60 * DAY)
    assert prune(now=NOON).events == 1
    assert SealedPart.objects.get(rows=1).state == PartState.REMOVED
    assert find_event(old) is None
    assert KnownId.objects.among([old]) == {old}
    send(event_id=old)
    assert process().duplicates == 1
    assert list(compare(Scope())) == []
    assert [name for name, _ in get_store().names()] != []
    assert sweep_store(now=NOON + 34 * DAY) == 0
    assert sweep_store(now=NOON + 36 * DAY) == 1
    assert list(get_store().names()) == []


def test_objects_without_a_part_are_swept_and_others_stay(part, history):
    (history / "events-1-orphan.parquet").write_bytes(b"")
    (history / "events-2-half.partial").write_bytes(b"")
    assert sweep_store(now=NOON + 10_000 * DAY) == 2
    assert prove_part(part) == []


def test_a_customer_is_taken_out_of_its_parts(acme):
    calls = acme_calls()
    globex = make_customer(external_id="globex")
    mine = [send(), send()]
    other = send(customer="globex")
    process()
    seal_all()
    before = SealedPart.objects.get(rows=3)
    assert [event.event_id for event in sealed_events_of(acme.pk)] == mine
    assert take_out_customer(acme.pk) == 2
    assert take_out_customer(acme.pk) == 0
    after = SealedPart.objects.readable().get()
    assert (after.rows, after.state) == (1, PartState.SEALED)
    before.refresh_from_db()
    assert before.state == PartState.REMOVED
    assert {event.event_id for event in Event.objects.all()} == set(mine)
    assert find_event(other).customer_id == globex.pk
    assert prove_part(after) == []
    assert list(sealed_events_of(acme.pk)) == []
    assert [usage(customer.pk, calls, *WINDOW).value for customer in (acme, globex)] == [2, 1]
    send(event_id=other, customer="globex")
    send(event_id=mine[0])
    assert process().duplicates == 2
    assert list(compare(Scope())) == []


def test_an_alarm_says_that_events_are_not_sealed(acme, settings):
    settings.SEAL_AFTER_DAYS = 10
    send(received_at=NOON)
    process()
    assert list(find_sealing_behind(NOON + 11 * DAY)) == []
    [finding] = find_sealing_behind(NOON + 13 * DAY)
    assert "2026-03-10 12:00" in finding.message
    settings.EVENT_HISTORY = ""
    assert list(find_sealing_behind(NOON + 13 * DAY)) == []


def test_staff_see_parts_and_a_sealed_event(part, staff_client):
    page = staff_client.get("/admin/events/sealedpart/").content.decode()
    assert part.name in page
    assert "Sealed" in page
    assert part.digest in staff_client.get(f"/admin/events/sealedpart/{part.pk}/change/").content.decode()
    event = next(iter(sealed_events_of(acme_calls_customer())))
    found = staff_client.get("/admin/events/event/", {"q": event.event_id})
    assert found.url == f"/admin/events/event/{event.pk}/change/"
    assert event.event_id in staff_client.get(found.url).content.decode()
    assert "are sealed and not in this list" in staff_client.get("/admin/events/event/").content.decode()


def acme_calls_customer() -> int:
    return Customer.objects.get(external_id="acme").pk


def test_staff_void_a_sealed_event(part, staff_client):
    event = next(iter(sealed_events_of(acme_calls_customer())))
    url = f"/admin/events/event/{event.pk}/void/"
    staff_client.post(url, {"_form_submitted": "1", "reason": "Wrong"}, headers={"HX-Request": "true"})
    assert Event.objects.get().void.reason == "Wrong"


def test_the_api_lists_parts(part, api):
    rows = [row for row in api.get("event-history/parts", state="sealed")["items"] if row["events"]]
    assert [(row["name"], row["events"], row["state"]) for row in rows] == [(part.name, 200, "sealed")]
    assert api.get("event-history/parts", state="planned")["items"] == []
