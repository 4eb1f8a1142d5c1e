"""Sealed events are voided, replayed, recounted and repeated like others; only what changes returns to the ledger."""

from datetime import timedelta

import pytest

from customers.models import Customer, CustomerAlias
from customers.periods import Period
from events.diagnosis.subject import find_subject
from events.fixing.fixed import replay_fixed_causes
from events.history.lookup import find_event
from events.ledger.conflicts import compare_unread
from events.ledger.rebuilding import Scope, compare, rebuild_usage
from events.ledger.replaying import replay
from events.ledger.voiding import AlreadyVoided, void_event, void_events
from events.models import DuplicateEvent, Event, EventState, Problem, SealedPart, UsageBucket
from events.models.duplicates import DuplicateKind
from events.overview.reconciliation import Outcome, received_events
from events.usage.contributing_events import events_behind, values_behind
from events.usage.meter import event_values, usage
from events.usage.search import Condition, Operator, Search, find, usage_by
from tests.events.history.sealing import seal_all
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WINDOW = (NOON - 30 * DAY, NOON + timedelta(minutes=1))
PERIOD = Period(*WINDOW)


@pytest.fixture
def acme(history) -> Customer:
    return make_customer(external_id="acme")


def send_sealed(*events: dict) -> list[str]:
    ids = [send(**event) for event in events]
    process()
    seal_all()
    assert not Event.objects.exists()
    return ids


def is_consistent() -> bool:
    return list(compare(Scope())) == []


def test_a_void_returns_one_event_and_takes_its_usage_away(acme):
    calls = make_feature()
    ids = send_sealed({}, {}, {"at": NOON - HOUR})
    done = void_events([ids[0], ids[2], "unknown"], reason="Wrong", now=NOON)
    assert (list(done.voided), list(done.unknown)) == ([ids[0], ids[2]], ["unknown"])
    assert usage(acme.pk, calls, *WINDOW).value == 1
    assert {event.event_id for event in Event.objects.all()} == {ids[0], ids[2]}
    assert SealedPart.objects.get(is_late=False).returned == 2
    assert is_consistent()
    with pytest.raises(AlreadyVoided):
        void_event(find_event(ids[0]), reason="Again", now=NOON)
    assert find_event(ids[0]).void.reason == "Wrong"
    seal_all()
    assert Event.objects.count() == 2


def test_a_replay_without_a_change_returns_nothing(acme):
    calls = make_feature()
    ids = send_sealed({}, {})
    places = [find_event(event_id).pk for event_id in ids]
    assert replay(places, closing="Again").events == 2
    assert not Event.objects.exists()
    assert usage(acme.pk, calls, *WINDOW).value == 2
    assert is_consistent()


def test_a_new_feature_counts_sealed_events_and_returns_none(acme):
    make_feature()
    send_sealed({"tokens": 5}, {"tokens": 7}, {"tokens": 1, "at": NOON - 20 * DAY, "received_at": NOON - 20 * DAY})
    tokens = make_feature(field="tokens")
    replay_fixed_causes(now=NOON)
    assert usage(acme.pk, tokens, *WINDOW).value == 13
    assert not Event.objects.exists()
    assert is_consistent()


def test_a_filter_that_excludes_sealed_events_returns_just_those(acme):
    calls = make_feature()
    ids = send_sealed({"region": "eu"}, {"region": "us"})
    calls.filters = {"region": ["eu"]}
    calls.save()
    replay_fixed_causes(now=NOON)
    assert usage(acme.pk, calls, *WINDOW).value == 1
    assert [event.event_id for event in Event.objects.all()] == [ids[1]]
    assert Event.objects.get().state == EventState.PROBLEM
    assert Problem.objects.get().reason == "filter_mismatch"
    assert is_consistent()


def test_a_moved_alias_moves_sealed_events(acme):
    calls = make_feature()
    alias = CustomerAlias.objects.create(customer=acme, alias="other")
    ids = send_sealed({"customer": "other"}, {})
    globex = make_customer(external_id="globex")
    alias.customer, alias.to_recount = globex, [acme.pk]
    alias.save()
    replay_fixed_causes(now=NOON)
    assert [usage(customer.pk, calls, *WINDOW).value for customer in (acme, globex)] == [1, 1]
    assert [event.event_id for event in Event.objects.all()] == [ids[0]]
    assert is_consistent()


def test_wrong_usage_of_sealed_hours_is_found_and_recounted(acme):
    calls = make_feature()
    send_sealed({}, {})
    UsageBucket.objects.update(count=7)
    [difference] = compare(Scope(feature_id=calls.pk))
    assert (difference.kept_events, difference.counted_events) == (7, 2)
    rebuild_usage(Scope(), apply=True, now=NOON)
    assert usage(acme.pk, calls, *WINDOW).value == 2
    assert is_consistent()
    assert not Event.objects.exists()


def test_a_repeat_is_compared_later(acme):
    make_feature()
    same, other = send_sealed({"n": 1}, {"n": 1})
    for _ in range(2):
        send(event_id=same, n=1)
        send(event_id=other, n=2)
    result = process()
    assert (result.duplicates, result.conflicts) == (4, 0)
    assert set(DuplicateEvent.objects.values_list("kind", flat=True)) == {DuplicateKind.UNREAD}
    assert compare_unread() == 2
    rows = DuplicateEvent.objects.order_by("kind").values_list("kind", "event_id", "count", "differs")
    assert list(rows) == [("conflict", other, 2, ["properties"]), ("same", same, 2, [])]
    send(event_id=other, n=2)
    process()
    assert compare_unread() == 1
    assert DuplicateEvent.objects.get(event_id=other).count == 3
    assert compare_unread() == 0


def test_a_repeat_for_another_external_id_of_the_customer_is_the_same(acme):
    make_feature()
    CustomerAlias.objects.create(customer=acme, alias="other")
    [event_id] = send_sealed({})
    send(event_id=event_id, customer="other")
    send(event_id=event_id, customer="globex")
    process()
    compare_unread()
    rows = DuplicateEvent.objects.order_by("kind").values_list("kind", "external_customer_id")
    assert list(rows) == [("conflict", "globex"), ("same", "other")]


def test_every_reader_sees_sealed_events(acme):
    tokens = make_feature(field="tokens")
    users = make_feature(aggregation="unique_count", field="user")
    old = {"at": NOON - 20 * DAY, "received_at": NOON - 20 * DAY}
    send(tokens=1, user="a", plan="pro", **old)
    send(tokens=2, user="b", plan="pro")
    send(tokens=4, user="a", at=NOON - 10 * DAY)  # late
    process()

    def read() -> list[object]:
        return [
            [usage(acme.pk, feature, *WINDOW) for feature in (tokens, users)],
            list(event_values(acme.pk, tokens, *WINDOW)),
            list(events_behind(acme.pk, tokens, [PERIOD], most=10)),
            list(values_behind(acme.pk, users, [PERIOD], most=10)),
            usage_by(acme.pk, tokens, *WINDOW, properties=["plan"]),
            find(acme.pk, Search([Condition("plan", Operator.EQUAL, "pro")])),
            received_events(PERIOD),
            received_events(PERIOD, customer=acme, feature_id=tokens.pk),
            is_consistent(),
        ]

    before = read()
    seal_all()
    assert not Event.objects.exists()
    assert read() == before
    assert received_events(PERIOD).outcomes[Outcome.COUNTED] == 3


def test_the_debugger_finds_a_sealed_event(acme):
    make_feature()
    [event_id] = send_sealed({"n": "0.10", "big": 12345678901234567890})
    subject = find_subject(event_id)
    assert (subject.state, subject.customer_id) == (EventState.COUNTED, acme.pk)
    assert subject.properties == '{"n": "0.10", "big": 12345678901234567890}'
