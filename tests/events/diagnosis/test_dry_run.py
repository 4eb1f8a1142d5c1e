"""The dry run: a pasted payload is checked like a request, and nothing is stored."""

from datetime import timedelta
from decimal import Decimal

import pytest

from events.access.keys import make_key, revoke
from events.diagnosis import Status, StepKey
from events.diagnosis.dry_run import dry_run, read_paste, send_test
from events.ingest.payload import PayloadRefused
from events.models import ApiKey, Event, InboxEvent
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db

GUIDES_CURL = """curl -v --request POST \\
  --url https://billing.example.com/v1/events \\
  --header 'Content-Type: application/json' \\
  --header 'x-api-key: <your_api_key>' \\
  --data '{
    "event_name": "model.usage",
    "external_customer_id": "cust_123",
    "properties": {
      "credits": 2
    }
  }'
"""


@pytest.fixture
def meter(db):
    make_customer(external_id="cust_123")
    return make_feature(name="Credits", event_name="model.usage", field="credits", unit_singular="c", unit_plural="c")


def step(found, key):
    return next(step for step in found.steps if step.key == key)


def test_the_guides_curl_command_is_understood(meter):
    found = dry_run(GUIDES_CURL, now=NOON)
    assert step(found, StepKey.SHAPE).status == Status.PASS
    assert "placeholder" in step(found, StepKey.REQUEST).sentence
    assert step(found, StepKey.USAGE).sentence == "It would add 2 c."


def test_nothing_is_stored_and_no_key_is_used(meter):
    _, secret = make_key("sender")
    found = dry_run(GUIDES_CURL.replace("<your_api_key>", secret), now=NOON)
    assert step(found, StepKey.REQUEST).sentence == "The key sender may send events."
    assert not InboxEvent.objects.exists()
    assert not Event.objects.exists()
    assert ApiKey.objects.get().last_used_at is None


def test_refused_keys_say_why(meter):
    key, secret = make_key("old")
    revoke(key, now=NOON - timedelta(days=1))
    _, reader = make_key("reader", scopes=["read"])
    for presented, status, reason, word in (
        ("", Status.FAIL, "unauthorized", "no x-api-key header"),
        (secret, Status.FAIL, "unauthorized", "was revoked"),
        ("sk_" + "x" * 43, Status.FAIL, "unauthorized", "not known"),
        (reader, Status.FAIL, "forbidden", "lacks the scope events:write"),
    ):
        found = step(dry_run(GUIDES_CURL.replace("<your_api_key>", presented), now=NOON), StepKey.REQUEST)
        assert (found.status, found.reason) == (status, reason)
        assert word in found.sentence


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("curl https://x.example/v1/events", "sends no data"),
        ("curl 'https://x.example/v1/events", "can't be read"),
        ("curl https://x.example/v1/events -d @event.json", "file event.json"),
    ],
)
def test_a_command_without_a_payload_says_what_is_missing(written, word):
    assert word in step(dry_run(written, now=NOON), StepKey.SHAPE).sentence


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("POST", "GET", "sends GET"), ("/v1/events", "/v2/event", "The path /v2/event doesn't accept events")],
)
def test_a_wrong_method_or_endpoint_is_reported(meter, old, new, word):
    found = step(dry_run(GUIDES_CURL.replace(old, new), now=NOON), StepKey.REQUEST)
    assert (found.status, found.reason) == (Status.FAIL, "bad_request")
    assert word in found.sentence


def test_quotes_equals_signs_and_short_options_of_curl_are_read():
    paste = read_paste("""curl -XPOST --url=https://x.example/v1/events -H "X-API-Key: k" --data='{"a": "b=c"}'""")
    assert (paste.url, paste.headers, paste.body) == ("https://x.example/v1/events", {"x-api-key": "k"}, '{"a": "b=c"}')
    assert paste.method == "POST"


def test_a_missing_field_is_reported_and_the_other_steps_still_run(meter):
    found = dry_run('{"external_customer_id": "cust_123", "properties": {"credits": 2}}', now=NOON)
    shape = step(found, StepKey.SHAPE)
    assert (shape.status, shape.reason, shape.guide) == (Status.FAIL, "bad_request", "4A")
    assert "event_name is required" in shape.sentence
    assert step(found, StepKey.CUSTOMER).status == Status.PASS


@pytest.mark.parametrize(
    "body", ["", "not json", "[1]", '"x"', "null", "{", '{"event_name": NaN}', "{}", '{"events": []}']
)
def test_any_pasted_text_gets_a_result(body):
    found = dry_run(body, now=NOON)
    assert step(found, StepKey.SHAPE).status == Status.FAIL


@pytest.mark.parametrize("odd", ['"\\u0000"', '"\\ud800"', "1e999", "[[[[1]]]]", '{"a": null}'])
def test_unusual_values_cause_no_errors(meter, odd):
    body = f'{{"event_name": "model.usage", "external_customer_id": "cust_123", "properties": {{"credits": {odd}}}}}'
    assert {one.key for one in dry_run(body, now=NOON).steps} >= {StepKey.SHAPE, StepKey.CUSTOMER}


def test_one_event_of_a_batch_can_be_picked(meter):
    one = '{"event_name": "model.usage", "external_customer_id": "cust_123", "properties": {"credits": %s}}'
    body = f'{{"events": [{one % 1}, {one % 7}]}}'
    assert step(dry_run(body, now=NOON, chosen=1), StepKey.USAGE).sentence == "It would add 7 c."
    assert dry_run(body, now=NOON).events == 2


def test_an_existing_id_would_be_a_duplicate(meter):
    send("model.usage", customer="cust_123", event_id="e-1", credits=1)
    process()
    body = (
        '{"event_id": "e-1", "event_name": "model.usage", "external_customer_id": "cust_123",'
        ' "properties": {"credits": 2}}'
    )
    found = step(dry_run(body, now=NOON), StepKey.DUPLICATE)
    assert (found.status, found.reason) == (Status.FAIL, "duplicate_conflict")
    assert ("properties.credits", "1", "2") in found.comparisons[0].rows


@pytest.mark.hot
def test_a_test_event_is_processed_like_any_other_and_marked_as_a_test(meter):
    accepted = send_test(GUIDES_CURL, now=NOON)
    waiting = InboxEvent.objects.get()
    assert (waiting.event_id, waiting.source, waiting.received_at) == (accepted.event_ids[0], "test", NOON)
    process()
    assert Event.objects.get().properties == {"credits": Decimal(2)}


def test_a_refused_payload_is_not_sent():
    with pytest.raises(PayloadRefused):
        send_test('{"event_name": ""}', now=NOON)
    assert not InboxEvent.objects.exists()
