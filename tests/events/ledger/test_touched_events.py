"""Events that something changed after they were processed are marked, and problems and voids never lose their event."""

from datetime import timedelta

import pytest

from customers.models import CustomerAlias
from events.ledger import retention
from events.ledger.orphans import Orphan, count_dependents, find_orphans
from events.ledger.replaying import replay
from events.ledger.retention import prune
from events.ledger.voiding import dismiss, void_event
from events.models import Event, EventState, EventVoid, Problem
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature
from tests.owner import as_owner

pytestmark = pytest.mark.django_db
LONG_AGO = NOON - timedelta(days=90)


@pytest.fixture(autouse=True)
def acme():
    make_feature()
    return make_customer(external_id="acme")


def is_touched(event_id: str) -> bool:
    return ledger(event_id).is_touched


def test_an_event_that_counts_at_once_is_untouched_even_if_it_is_replayed():
    event_id = send()
    process()
    assert not is_touched(event_id)
    replay([ledger(event_id).pk], closing="Again")
    assert not is_touched(event_id)


def test_a_replay_that_changes_the_state_touches_the_event():
    event_id = send(customer="globex")
    process()
    make_customer(external_id="globex")
    replay([ledger(event_id).pk], closing="Created")
    assert (ledger(event_id).state, is_touched(event_id)) == (EventState.COUNTED, True)


def test_a_replay_that_changes_the_customer_touches_the_event(acme):
    event_id = send(customer="other")
    alias = CustomerAlias.objects.create(customer=acme, alias="other")
    process()
    CustomerAlias.objects.filter(pk=alias.pk).update(customer=make_customer())
    replay([ledger(event_id).pk], closing="Moved")
    assert is_touched(event_id)


def test_a_void_touches_the_event():
    event_id = send()
    process()
    void_event(ledger(event_id), reason="Wrong", now=NOON)
    assert is_touched(event_id)


def test_a_dismissal_touches_the_event():
    event_id = send("unknown")
    process()
    dismiss(Problem.objects.values_list("pk", flat=True), reason="Known", now=NOON)
    assert is_touched(event_id)


def test_problems_and_voids_without_their_event_are_found():
    wrong, unknown = send(), send("unknown")
    process()
    void_event(ledger(wrong), reason="Wrong", now=NOON)
    assert (find_orphans(), count_dependents()) == ([], 2)
    places = {event_id: ledger(event_id).pk for event_id in (wrong, unknown)}
    with as_owner():
        Event.objects.all()._raw_delete("default")
    problem, void = Problem.objects.get(), EventVoid.objects.get()
    assert find_orphans() == [
        Orphan("problem", problem.pk, places[unknown], "unknown_event_name"),
        Orphan("void", void.pk, places[wrong], ""),
    ]


@pytest.mark.hot
def test_retention_leaves_no_orphans(retention_of_thirty_days, monkeypatch):
    monkeypatch.setattr(retention, "floors", [])
    for name in ("api.calls", "unknown"):
        send(name, at=LONG_AGO, received_at=LONG_AGO)
    process()
    assert prune(now=NOON).events == 2
    assert (find_orphans(), count_dependents()) == ([], 0)
