"""Fixed events are counted, voided events are not, and usage always matches the ledger."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from catalog.models import EventNameAlias, Feature
from config.refusals import ReasonRequired
from customers.models import Customer, CustomerAlias
from events.fixing.fixed import replay_fixed_causes
from events.ledger.rebuilding import Scope, compare, rebuild_usage
from events.ledger.replaying import replay
from events.ledger.voiding import AlreadyVoided, dismiss, void_event
from events.models import Event, EventState, Problem, ProblemState, UsageBucket, UsageCheck
from events.usage.meter import usage
from tests.events.senders import NOON, ledger, open_reasons, process, send
from tests.factories import make_customer, make_feature, make_user

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def used(customer: Customer, feature: Feature) -> Decimal:
    return usage(customer.pk, feature, NOON, NOON + HOUR).value


def usage_equals_the_ledger() -> bool:
    return not list(compare(Scope()))


def mend() -> int:
    return replay_fixed_causes(now=NOON + HOUR).events


def test_creating_a_customer_counts_its_earlier_events():
    calls = make_feature()
    event_id = send(customer="later")
    process()
    assert open_reasons(event_id) == ["unknown_customer"]
    customer = make_customer(external_id="later")
    mend()
    assert used(customer, calls) == 1
    assert (ledger(event_id).state, ledger(event_id).customer) == (EventState.COUNTED, customer)
    problem = Problem.objects.get()
    assert (problem.state, problem.closing) == (ProblemState.RESOLVED, "Customer later exists and is active")
    assert usage_equals_the_ledger()


def test_mapping_a_wrong_customer_id_counts_its_events_now_and_later():
    calls, customer = make_feature(), make_customer(external_id="acme")
    send(customer="ACME")
    process()
    CustomerAlias.objects.create(alias="ACME", customer=customer)
    mend()
    send(customer="ACME")
    process()
    assert used(customer, calls) == 2
    assert usage_equals_the_ledger()


def test_pointing_a_mapping_to_another_customer_moves_its_events():
    calls, wrong, right = make_feature(), make_customer(), make_customer()
    mapping = CustomerAlias.objects.create(alias="ACME", customer=wrong)
    send(customer="ACME")
    process()
    mend()
    mapping.customer = right
    mapping.save()
    mend()
    assert (used(wrong, calls), used(right, calls)) == (0, 1)
    assert usage_equals_the_ledger()


def test_activating_a_customer_counts_events_received_in_the_meantime():
    calls = make_feature()
    customer = make_customer(external_id="acme", state="archived", archived_at=NOON - HOUR)
    send(customer="acme")
    process()
    assert used(customer, calls) == 0
    Customer.objects.filter(pk=customer.pk).update(state="active", archived_at=None)
    mend()
    assert used(customer, calls) == 1
    assert usage_equals_the_ledger()


def test_a_new_feature_counts_earlier_events():
    customer = make_customer(external_id="acme")
    known = make_feature(event_name="model.usage")
    send("model.usage", tokens=5)
    send("model.usage", tokens=7)
    nameless = send("other", tokens=1)
    process()
    mend()
    tokens = make_feature(event_name="model.usage", field="tokens")
    other = make_feature(event_name="other", field="tokens")
    mend()
    assert (used(customer, known), used(customer, tokens), used(customer, other)) == (2, 12, 1)
    assert open_reasons(nameless) == []
    assert usage_equals_the_ledger()


def test_a_new_feature_counts_from_its_start_date():
    customer = make_customer(external_id="acme")
    send(at=NOON)
    late = send(at=NOON + timedelta(minutes=30))
    process()
    calls = make_feature(counts_from=NOON + timedelta(minutes=30))
    mend()
    assert used(customer, calls) == 1
    assert ledger(late).state == EventState.COUNTED
    assert list(Problem.objects.filter(state=1).values_list("reason", flat=True)) == ["before_feature_start"]
    assert usage_equals_the_ledger()


def test_a_new_features_invalid_events_become_its_problems():
    customer = make_customer(external_id="acme")
    calls = make_feature(event_name="model.usage")
    event_id = send("model.usage", tokens="5")
    process()
    make_feature(event_name="model.usage", field="tokens")
    send("model.usage", tokens=2)
    mend()
    assert used(customer, calls) == 1
    assert usage_equals_the_ledger()
    assert ledger(event_id).state in (EventState.COUNTED, EventState.PARTLY)


def test_accepting_numeric_strings_counts_earlier_events():
    customer = make_customer(external_id="acme")
    tokens = make_feature(event_name="model.usage", field="tokens")
    send("model.usage", tokens="2.5")
    hopeless = send("model.usage", tokens="two")
    process()
    mend()
    Feature.objects.filter(pk=tokens.pk).update(accept_numeric_strings=True)
    mend()
    assert used(customer, tokens) == Decimal("2.5")
    assert open_reasons(hopeless) == ["not_a_number"]
    assert usage_equals_the_ledger()


def test_refusing_numeric_strings_again_reopens_their_problems():
    customer = make_customer(external_id="acme")
    tokens = make_feature(event_name="model.usage", field="tokens", accept_numeric_strings=True)
    event_id = send("model.usage", tokens="2.5")
    process()
    mend()
    Feature.objects.filter(pk=tokens.pk).update(accept_numeric_strings=False)
    mend()
    assert used(customer, tokens) == 0
    assert open_reasons(event_id) == ["not_a_number"]
    assert usage_equals_the_ledger()


def test_changing_a_filter_moves_usage():
    customer = make_customer(external_id="acme")
    small = make_feature(event_name="model.usage", filters={"model": ["small"]})
    send("model.usage", model="small")
    large = send("model.usage", model="large")
    process()
    mend()
    Feature.objects.filter(pk=small.pk).update(filters={"model": ["large"]})
    mend()
    assert used(customer, small) == 1
    assert open_reasons(large) == []
    assert list(Problem.objects.filter(state=1).values_list("reason", flat=True)) == ["filter_mismatch"]
    assert usage_equals_the_ledger()


def test_activating_a_feature_counts_events_received_while_it_was_archived():
    customer = make_customer(external_id="acme")
    calls = make_feature(state="archived", archived_at=NOON)
    event_id = send()
    process()
    mend()
    assert open_reasons(event_id) == ["feature_archived"]
    Feature.objects.filter(pk=calls.pk).update(state="active", archived_at=None)
    mend()
    assert used(customer, calls) == 1
    assert usage_equals_the_ledger()


def test_mapping_a_wrong_event_name_counts_its_events():
    customer, calls = make_customer(external_id="acme"), make_feature(event_name="api.calls")
    event_id = send("API.Calls")
    process()
    mend()
    EventNameAlias.objects.create(alias="API.Calls", event_name="api.calls")
    mend()
    assert used(customer, calls) == 1
    assert ledger(event_id).event_name == "API.Calls"
    assert usage_equals_the_ledger()


def test_without_changes_nothing_is_replayed():
    make_customer(external_id="acme")
    make_feature()
    send("unknown")
    process()
    mend()
    assert mend() == 0


def test_replaying_twice_changes_nothing():
    customer, calls = make_customer(external_id="acme"), make_feature()
    event_id = send()
    process()
    for _ in range(3):
        replay([ledger(event_id).pk], closing="again")
    assert used(customer, calls) == 1
    assert usage_equals_the_ledger()


def test_voiding_an_event_removes_its_usage_and_keeps_the_row():
    customer = make_customer(external_id="acme")
    tokens = make_feature(event_name="model.usage", field="tokens")
    users = make_feature(event_name="model.usage", aggregation="unique_count", field="user")
    wrong = send("model.usage", tokens=1_000_000, user="a")
    send("model.usage", tokens=3, user="b")
    process()
    void_event(ledger(wrong), reason="Sent by a test system", now=NOON, by=make_user())
    assert (used(customer, tokens), used(customer, users)) == (3, 1)
    assert ledger(wrong).state == EventState.VOIDED
    assert ledger(wrong).void.reason == "Sent by a test system"
    assert usage_equals_the_ledger()
    with pytest.raises(AlreadyVoided):
        void_event(ledger(wrong), reason="Again", now=NOON)
    send("model.usage", event_id=wrong, tokens=5)
    assert process().duplicates == 1
    assert used(customer, tokens) == 3


def test_voiding_needs_a_reason():
    make_customer(external_id="acme")
    make_feature()
    event_id = send()
    process()
    with pytest.raises(ReasonRequired):
        void_event(ledger(event_id), reason="  ", now=NOON)


def test_voiding_the_last_event_of_an_hour_removes_the_hour():
    make_customer(external_id="acme")
    make_feature()
    event_id = send()
    process()
    void_event(ledger(event_id), reason="Wrong", now=NOON)
    assert not UsageBucket.objects.exists()


def test_a_dismissed_event_stays_uncounted_after_a_fix():
    customer = make_customer(external_id="acme")
    tokens = make_feature(event_name="model.usage", field="tokens")
    event_id = send("model.usage", tokens="7")
    process()
    mend()
    assert dismiss(Problem.objects.values_list("pk", flat=True), reason="Test data", now=NOON) == 1
    assert ledger(event_id).state == EventState.DISMISSED
    Feature.objects.filter(pk=tokens.pk).update(accept_numeric_strings=True)
    mend()
    replay([ledger(event_id).pk], closing="again")
    assert used(customer, tokens) == 0
    assert ledger(event_id).state == EventState.DISMISSED
    assert usage_equals_the_ledger()


def test_a_rebuild_changes_usage_only_with_apply():
    customer = make_customer(external_id="acme")
    calls, users = make_feature(), make_feature(aggregation="unique_count", field="user")
    send(user="a")
    send(user="b")
    process()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_usagebucket SET count = 5 WHERE feature_id = %s", [calls.pk])
        cursor.execute("DELETE FROM events_uniquevalue WHERE value = 'a'")
    check = rebuild_usage(Scope(), apply=False, now=NOON)
    assert check.differing == 2
    assert {(line["feature_id"], line["kept_events"], line["counted_events"]) for line in check.differences} == {
        (str(calls.pk), "5", "2"),
        (str(users.pk), "0", "0"),
    }
    assert used(customer, calls) == 2 or UsageBucket.objects.get(feature=calls).count == 5
    rebuild_usage(Scope(), apply=True, now=NOON, reason="Put right")
    assert (used(customer, calls), used(customer, users)) == (2, 2)
    assert usage_equals_the_ledger()
    assert UsageCheck.objects.filter(applied_at__isnull=False).count() == 1


def test_a_rebuild_can_be_limited_to_a_feature_a_customer_and_hours():
    customer, calls = make_customer(external_id="acme"), make_feature()
    for hours in range(4):
        send(at=NOON + hours * HOUR)
    process()
    UsageBucket.objects.all().delete()
    rebuild_usage(
        Scope(calls.pk, customer.pk, NOON + HOUR, NOON + 3 * HOUR), apply=True, now=NOON, reason="Two hours of it"
    )
    assert usage(customer.pk, calls, NOON, NOON + 4 * HOUR).value == 2


def test_the_ledger_refuses_a_second_row_of_an_event_id():
    make_customer(external_id="acme")
    event_id = send()
    process()
    event = Event.objects.get(event_id=event_id)
    event.pk += 1_000
    with pytest.raises(DatabaseError, match="event_once_for_ever"), transaction.atomic():
        event.save(force_insert=True)
