"""CloudEvents 1.0 become events: `type` is the event's name, `subject` the customer, `data` the properties."""

import json
from datetime import UTC, datetime

import pytest

from events.ingest.cloud_events import parse_batched, parse_binary, parse_structured
from events.ingest.payload import PayloadRefused

NOW = datetime(2026, 2, 1, tzinfo=UTC)
SENT = {
    "specversion": "1.0",
    "id": "req_1",
    "source": "/gateway/eu",
    "type": "tokens.used",
    "subject": "acme",
    "time": "2026-01-31T12:00:00Z",
    "datacontenttype": "application/json",
    "data": {"tokens": 1280, "model": "small"},
}


def structured(**changes):
    sent = {name: value for name, value in (SENT | changes).items() if value is not ...}
    return parse_structured(json.dumps(sent).encode(), received_at=NOW)


def test_a_structured_event_is_mapped():
    (event,) = structured()
    assert (event.event_id, event.event_name, event.external_customer_id) == ("req_1", "tokens.used", "acme")
    assert (event.occurred_at, event.source) == (datetime(2026, 1, 31, 12, tzinfo=UTC), "/gateway/eu")
    assert json.loads(event.properties) == {"tokens": 1280, "model": "small"}


def test_without_time_and_data_the_event_occurred_now_without_properties():
    (event,) = structured(time=..., data=..., traceparent="00-1")
    assert (event.occurred_at, event.has_timestamp, event.properties) == (NOW, False, "{}")


def test_numbers_keep_their_digits():
    body = json.dumps(SENT).replace("1280", "12345678901234567890.10").encode()
    (event,) = parse_structured(body, received_at=NOW)
    assert '"tokens": 12345678901234567890.10' in event.properties


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ...}, "id is required"),
        ({"id": ""}, "id must not be empty"),
        ({"id": None}, "id must be a string, not null"),
        ({"type": ...}, "type is required"),
        ({"type": " "}, "type must not be empty"),
        ({"source": ...}, "source is required"),
        ({"subject": ...}, "subject is required"),
        ({"subject": "x" * 256}, "subject must be at most 255 characters long"),
        ({"specversion": ...}, "specversion is required"),
        ({"specversion": "0.3"}, "specversion must be 1.0"),
        ({"time": "2026-01-31T12:00:00"}, "time has no time zone: end it with Z or an offset such as +02:00"),
        ({"data": "text"}, "data must be an object, not a string"),
        ({"data": {"n": "a\x00"}}, "data.n must not contain the NUL character (\\u0000)"),
        ({"data_base64": "e30="}, "data_base64 isn't supported: send `data` as a JSON object"),
    ],
)
def test_a_refusal_names_the_attribute_as_sent(changes, reason):
    with pytest.raises(PayloadRefused) as refused:
        structured(**changes)
    assert str(refused.value) == reason


def test_an_attribute_sent_twice_is_refused():
    with pytest.raises(PayloadRefused, match="type is there twice"):
        parse_structured(json.dumps(SENT).replace('"id"', '"type": "a", "id"').encode(), received_at=NOW)


def test_a_batch_is_mapped_in_order():
    sent = [SENT | {"id": f"req_{number}"} for number in range(3)]
    events = parse_batched(json.dumps(sent).encode(), received_at=NOW)
    assert [event.event_id for event in events] == ["req_0", "req_1", "req_2"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "body must contain at least one event"),
        (json.dumps([SENT] * 1001), "body must contain at most 1000 events; split the batch"),
        (json.dumps([SENT, SENT | {"id": ""}]), "[1].id must not be empty"),
        (json.dumps([SENT, SENT | {"time": "noon"}]), "[1].time must be an RFC 3339 time with a zone, such as"),
        (json.dumps([SENT, SENT | {"data": {"a.b": {"n": "\x00"}}}]), "[1].data.a.b.n must not contain the NUL"),
        (json.dumps([SENT, SENT]).replace('"id"', '"id": "a", "id"'), "[0].id is there twice"),
        (json.dumps(SENT), "body must be an array, not an object"),
    ],
)
def test_a_batch_with_an_invalid_event_is_refused_by_index(text, reason):
    with pytest.raises(PayloadRefused) as refused:
        parse_batched(text.encode(), received_at=NOW)
    assert str(refused.value).startswith(reason)


HEADERS = {name: SENT[name] for name in ("specversion", "id", "source", "type", "subject", "time")}


def test_a_binary_event_has_its_attributes_in_headers():
    headers = HEADERS | {"subject": "Caf%C3%A9 %22Euro%22", "data": "ignored"}
    (event,) = parse_binary(headers, b'{"tokens": 1280}', received_at=NOW)
    assert (event.event_id, event.event_name, event.external_customer_id) == ("req_1", "tokens.used", 'Café "Euro"')
    assert (event.properties, event.source) == ('{"tokens": 1280}', "/gateway/eu")


def test_a_binary_event_without_a_body_has_no_properties():
    (event,) = parse_binary(HEADERS, b"", received_at=NOW)
    assert event.properties == "{}"


@pytest.mark.parametrize(
    ("changes", "body", "reason"),
    [
        ({"id": ""}, b"{}", "id must not be empty"),
        ({"specversion": "2"}, b"{}", "specversion must be 1.0"),
        ({"subject": "%ff"}, b"{}", "subject is not percent-encoded UTF-8"),
        ({"subject": "a%00"}, b"{}", "subject must not contain the NUL character"),
        ({}, b"[1]", "data must be an object, not an array"),
        ({}, b"text", "body is not valid JSON"),
        ({}, b'{"n": 1}, "time": "2026-01-01T00:00:00Z"', "body is not valid JSON"),
        ({}, b'{"n": 1, "n": 2}', "data.n is there twice"),
    ],
)
def test_an_invalid_binary_event_is_refused(changes, body, reason):
    with pytest.raises(PayloadRefused) as refused:
        parse_binary(HEADERS | changes, body, received_at=NOW)
    assert str(refused.value).startswith(reason)


def test_a_binary_event_needs_its_attributes():
    with pytest.raises(PayloadRefused, match="subject is required"):
        parse_binary({name: str(value) for name, value in HEADERS.items() if name != "subject"}, b"{}", received_at=NOW)
