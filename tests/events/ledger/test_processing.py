"""Every event ends in exactly one state, once."""

from datetime import timedelta
from decimal import Decimal

import pytest

from events.ingest.accept import accept
from events.ingest.payload import IncomingEvent
from events.ledger.processing import BatchResult
from events.models import (
    DuplicateEvent,
    Event,
    EventState,
    InboxEvent,
    InboxRequest,
    Problem,
    ProcessedBatch,
    UniqueValue,
    UsageBucket,
)
from tests.events.senders import NOON, ledger, open_reasons, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db


def test_an_event_of_a_known_customer_and_feature_is_counted():
    customer, feature = make_customer(external_id="acme"), make_feature(event_name="api.calls")
    send("api.calls", event_id="one", region="eu")
    assert process() == BatchResult(events=1, counted=1)
    event = ledger("one")
    assert (event.state, event.customer, event.properties) == (EventState.COUNTED, customer, {"region": "eu"})
    bucket = UsageBucket.objects.get()
    assert (bucket.customer, bucket.feature, bucket.hour, bucket.count) == (customer, feature, NOON, 1)
    assert not InboxEvent.objects.exists()


def test_an_empty_inbox_gives_an_empty_result():
    assert process() == BatchResult()
    assert not ProcessedBatch.objects.exists()


@pytest.mark.hot
def test_requests_are_processed_completely_and_oldest_first():
    make_customer(external_id="acme")
    make_feature(event_name="api.calls")
    for request in ("first", "second"):
        sent = [IncomingEvent(f"{request}-{no}", "api.calls", "acme", NOON, True, "", "{}") for no in range(3)]
        accept(sent, api_key_id=None, received_at=NOON)
    assert process(limit=1).events == 3
    arrived = list(Event.objects.order_by("pk").values_list("event_id", flat=True))
    assert arrived == ["first-0", "first-1", "first-2"]
    assert InboxRequest.objects.get().event_ids == ["second-0", "second-1", "second-2"]
    assert list(InboxEvent.objects.values_list("event_id", flat=True)) == ["second-0", "second-1", "second-2"]
    assert process(limit=4).events == 3


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("unknown_event_name", {"event_name": "Model.Usage", "tokens": 2}),
        ("unknown_customer", {"customer": "ACME", "tokens": 2}),
        ("aggregation_field_missing", {"token": 2}),
        ("aggregation_field_missing", {"tokens": None}),
        ("not_a_number", {"tokens": "2"}),
        ("not_a_number", {"tokens": True}),
        ("not_a_number", {"tokens": [2]}),
        ("value_out_of_range", {"tokens": Decimal("1e30")}),
    ],
)
def test_a_mistake_becomes_a_problem_and_never_counts_as_zero(reason, event):
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens")
    event_id = send(**{"event_name": "model.usage"} | event)
    assert process() == BatchResult(events=1, problems=1)
    assert open_reasons(event_id) == [reason]
    assert ledger(event_id).state == EventState.PROBLEM
    assert not UsageBucket.objects.exists()


def test_every_mistake_of_an_event_is_listed():
    make_feature(event_name="model.usage", field="tokens")
    event_id = send("model.usage", customer="nobody", tokens="2")
    process()
    assert open_reasons(event_id) == ["not_a_number", "unknown_customer"]


def test_a_problem_stores_its_details_and_the_configuration():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens")
    send("model.usage", tokens="2")
    process()
    problem = Problem.objects.get()
    assert problem.detail == {"field": "tokens", "type": "string", "value": '"2"'}
    assert problem.judged_by["accept_numeric_strings"] is False


def test_an_event_can_count_for_one_feature_and_be_a_problem_for_another():
    make_customer(external_id="acme")
    calls = make_feature(event_name="model.usage")
    make_feature(event_name="model.usage", field="tokens")
    event_id = send("model.usage", tokens="many")
    assert process() == BatchResult(events=1, partly=1)
    assert ledger(event_id).state == EventState.PARTLY
    assert list(UsageBucket.objects.values_list("feature_id", "count")) == [(calls.pk, 1)]


def test_a_feature_that_accepts_numeric_strings_counts_them():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens", accept_numeric_strings=True)
    send("model.usage", tokens="2.50")
    send("model.usage", tokens=" 1e2 ")
    refused = send("model.usage", tokens="NaN")
    process()
    assert UsageBucket.objects.get().total == Decimal("102.50")
    assert open_reasons(refused) == ["not_a_number"]


@pytest.mark.parametrize(
    ("written", "total"),
    [
        ("0.1", "0.3"),
        ("1e-7", "0.2000001"),
        ("123456789012345678901234.5678901234", "123456789012345678901234.7678901234"),
        ("-3.10", "-2.90"),
    ],
)
def test_a_number_is_counted_exactly_as_sent(written, total):
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens")
    send("model.usage", tokens=Decimal(written))
    send("model.usage", tokens=Decimal("0.2"))
    process()
    assert UsageBucket.objects.get().total == Decimal(total)


def test_a_dotted_field_prefers_a_key_of_that_name_to_a_nested_value():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="usage.tokens")
    send("model.usage", **{"usage.tokens": 1, "usage": {"tokens": 100}})
    send("model.usage", usage={"tokens": 20})
    process()
    assert UsageBucket.objects.get().total == 21


def test_names_may_contain_quotes_and_percent_signs():
    make_customer(external_id='o\'brien "%s"')
    make_feature(event_name="it's 100%", field="to\"k'en%s")
    send("it's 100%", customer='o\'brien "%s"', **{"to\"k'en%s": 4})
    assert process().counted == 1
    assert UsageBucket.objects.get().total == 4


def test_filters_require_every_property_and_accept_any_of_its_values():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", filters={"model": ["small", "large"], "tier": ["1"]})
    send("model.usage", model="small", tier=1)
    send("model.usage", model="large", tier="1")
    others = [send("model.usage", model="huge", tier=1), send("model.usage", model="small"), send("model.usage")]
    assert process() == BatchResult(events=5, counted=2, problems=3)
    assert [open_reasons(other) for other in others] == [["filter_mismatch"]] * 3


def test_a_filter_mismatch_is_no_problem_if_another_feature_counts_the_event():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", filters={"model": ["small"]})
    make_feature(event_name="model.usage", filters={"model": ["large"]})
    send("model.usage", model="large")
    assert process() == BatchResult(events=1, counted=1)


def test_an_archived_feature_is_a_problem_only_if_no_other_counts_the_event():
    make_customer(external_id="acme")
    make_feature(event_name="old", state="archived", archived_at=NOON - timedelta(days=1))
    make_feature(event_name="both", state="archived", archived_at=NOON - timedelta(days=1))
    make_feature(event_name="both")
    alone, shared = send("old"), send("both")
    process()
    assert open_reasons(alone) == ["feature_archived"]
    assert open_reasons(shared) == []


def test_events_that_arrived_before_a_feature_or_customer_was_archived_still_count():
    make_customer(external_id="acme", state="archived", archived_at=NOON + timedelta(minutes=1))
    make_feature(event_name="api.calls", state="archived", archived_at=NOON + timedelta(minutes=1))
    send("api.calls")
    late = send("api.calls", received_at=NOON + timedelta(minutes=1))
    assert process() == BatchResult(events=2, counted=1, problems=1)
    assert open_reasons(late) == ["customer_archived", "feature_archived"]


@pytest.mark.hot
def test_a_duplicate_counts_once_and_is_logged():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens")
    send("model.usage", event_id="same", tokens=Decimal("1.0"))
    send("model.usage", event_id="same", tokens=1)
    assert process() == BatchResult(events=2, counted=1, duplicates=1)
    send("model.usage", event_id="same", tokens=1)
    assert process() == BatchResult(events=1, duplicates=1)
    assert UsageBucket.objects.get().total == 1
    repeat = DuplicateEvent.objects.get()
    assert (repeat.kind, repeat.count, repeat.body) == ("same", 2, None)


def test_a_retry_without_a_timestamp_is_the_same_event():
    make_customer(external_id="acme")
    make_feature(event_name="api.calls")
    send(event_id="same", at=None, received_at=NOON)
    send(event_id="same", at=None, received_at=NOON + timedelta(minutes=3))
    assert process() == BatchResult(events=2, counted=1, duplicates=1)
    assert ledger("same").occurred_at == NOON


@pytest.mark.hot
def test_a_duplicate_with_different_content_is_a_conflict():
    make_customer(external_id="acme")
    make_feature(event_name="model.usage", field="tokens")
    send("model.usage", event_id="same", tokens=5)
    process()
    send("model.usage", event_id="same", tokens=7, source="backfill")
    assert process() == BatchResult(events=1, duplicates=1, conflicts=1)
    conflict = DuplicateEvent.objects.get()
    assert (conflict.kind, conflict.body["properties"], conflict.source) == ("conflict", {"tokens": 7}, "backfill")
    assert UsageBucket.objects.get().total == 5
    assert Event.objects.count() == 1


def test_unique_values_of_numbers_and_text_are_compared_as_text():
    make_customer(external_id="acme")
    make_feature(event_name="active", aggregation="unique_count", field="user")
    for user in ("7", 7, Decimal("7.0"), "u-8", "x" * 5_000, "x" * 5_000):
        send("active", user=user)
    problem = send("active", user=False)
    process()
    assert UniqueValue.objects.count() == 3
    assert open_reasons(problem) == ["unusable_value"]


def test_the_batch_is_logged_for_the_dashboards():
    make_customer(external_id="acme")
    make_feature(event_name="api.calls")
    send()
    send("nothing")
    process()
    batch = ProcessedBatch.objects.get()
    assert (batch.events, batch.counted, batch.problems, batch.oldest_received_at) == (2, 1, 1, NOON)
