"""Events that use the event_id of another event: what counts as a conflict, their causes, and dismissing them."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User

from config.refusals import ReasonRequired
from customers.models import CustomerAlias
from events.ledger import conflicts
from events.ledger.conflicts import dismiss_conflicts, open_conflicts
from events.ledger.processing import BatchResult
from events.models import DuplicateEvent, UsageBucket
from events.models.duplicates import Difference
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
FIRST = {"event_id": "e1", "customer": "acme", "source": "gateway", "at": NOON, "tokens": 5}


@pytest.fixture(autouse=True)
def acme():
    make_feature(event_name="model.usage", field="tokens")
    return make_customer(external_id="acme")


def repeat(event_name="model.usage", **changes):
    """Send an event, and again with changes; return the second one's log entry."""
    send("model.usage", **FIRST)
    process()
    send(event_name, **FIRST | changes)
    process()
    return DuplicateEvent.objects.get()


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"customer": "other"}, ["external_customer_id"]),
        ({"source": "batch"}, ["source"]),
        ({"source": ""}, ["source"]),
        ({"event_name": "api.calls"}, ["event_name"]),
        ({"at": NOON + timedelta(microseconds=1)}, ["timestamp"]),
        ({"tokens": 6}, ["properties"]),
        ({"tokens": 6, "source": "batch", "customer": "other"}, ["external_customer_id", "source", "properties"]),
    ],
)
def test_an_event_id_used_for_something_else_is_a_conflict_that_names_what_differs(changes, differs):
    make_customer(external_id="other")
    row = repeat(**changes)
    assert (row.kind, row.differs, row.state) == ("conflict", differs, "open")
    assert UsageBucket.objects.get().total == 5


@pytest.mark.parametrize("changes", [{}, {"at": None}])
def test_a_retry_of_the_same_event_is_no_conflict(changes):
    row = repeat(**changes)
    assert (row.kind, row.differs, row.state) == ("same", [], None)
    assert open_conflicts() == []


def test_two_external_ids_of_one_customer_are_no_difference(acme):
    CustomerAlias.objects.create(alias="acme-old", customer=acme)
    assert repeat(customer="acme-old").kind == "same"


def test_a_conflict_within_one_batch_is_logged(acme):
    send("model.usage", **FIRST)
    send("model.usage", **FIRST | {"customer": "other"})
    assert process() == BatchResult(events=2, counted=1, duplicates=1, conflicts=1)
    assert DuplicateEvent.objects.get().differs == ["external_customer_id"]


def test_conflicts_are_grouped_by_their_main_difference(django_assert_max_num_queries):
    for number in range(5):
        send("model.usage", **FIRST | {"event_id": f"e{number}"})
    process()
    for number in range(5):
        changes = {"customer": f"other-{number}"} if number < 3 else {"tokens": 6}
        send("model.usage", **FIRST | {"event_id": f"e{number}", "source": "batch"} | changes)
    process()
    with django_assert_max_num_queries(2):
        causes = open_conflicts()
    assert [(cause.difference, cause.events, cause.customers, cause.is_serious) for cause in causes] == [
        (Difference.CUSTOMER, 3, 3, True),
        (Difference.SOURCE, 2, 1, True),
    ]
    assert (causes[0].sources, causes[0].api_key) == (["batch"], None)
    assert sorted(causes[0].event_ids) == ["e0", "e1", "e2"]


def test_a_large_cause_is_read_up_to_the_cap(monkeypatch):
    monkeypatch.setattr(conflicts, "CONFLICTS_READ", 3)
    send("model.usage", **FIRST)
    for number in range(4):
        send("model.usage", **FIRST | {"tokens": 10 + number})
    process()
    [cause] = open_conflicts()
    assert (cause.events, cause.is_capped) == (3, True)


def test_a_dismissed_conflict_stays_dismissed_when_the_same_content_comes_again():
    row = repeat(tokens=6)
    user = User.objects.create_user("ada")
    assert dismiss_conflicts(DuplicateEvent.objects.all(), reason="A test", now=NOON, by=user) == 1
    assert open_conflicts() == []
    send("model.usage", **FIRST | {"tokens": 6})
    process()
    row.refresh_from_db()
    assert (row.state, row.dismissal, row.dismissed_by, row.count) == ("dismissed", "A test", user, 2)
    send("model.usage", **FIRST | {"tokens": 7})
    process()
    assert [cause.events for cause in open_conflicts()] == [1]


def test_each_dismissal_is_in_the_change_log_with_its_author_and_reason(django_assert_max_num_queries):
    user = User.objects.create_user("ada")
    repeat(tokens=6)
    for tokens in (7, 8):
        send("model.usage", **FIRST | {"tokens": tokens})
    process()
    with django_assert_max_num_queries(6):
        dismiss_conflicts(DuplicateEvent.objects.all(), reason="Tested by us", now=NOON, by=user)
    entries = LogEntry.objects.get_for_model(DuplicateEvent)
    assert {entry.object_id for entry in entries} == set(DuplicateEvent.objects.values_list("pk", flat=True))
    assert {(entry.actor, entry.additional_data["reason"]) for entry in entries} == {(user, "Tested by us")}
    assert all(entry.changes["dismissal"] == ["", "Tested by us"] for entry in entries)


def test_only_open_conflicts_can_be_dismissed_and_only_with_a_reason():
    repeat()
    rows = DuplicateEvent.objects.all()
    assert dismiss_conflicts(rows, reason="A test", now=NOON) == 0
    with pytest.raises(ReasonRequired):
        dismiss_conflicts(rows, reason=" ", now=NOON)


@pytest.mark.hot
def test_ten_thousand_conflicts_cost_no_query_per_event(django_assert_max_num_queries):
    def queries_for(count):
        send("model.usage", **FIRST | {"event_id": f"first-{count}"})
        process()
        for number in range(count):
            send("model.usage", **FIRST | {"event_id": f"first-{count}", "tokens": number + 10})
        with django_assert_max_num_queries(40) as captured:
            assert process().conflicts == count
        return len(captured)

    assert queries_for(2) == queries_for(200)
