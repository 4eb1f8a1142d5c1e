import json
from datetime import UTC, datetime

import pytest

from events.ingest.payload import PayloadRefused, parse_batch, parse_event

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def event(properties="{}", **fields):
    """Write an event's JSON; `properties` is JSON text, so that numbers stay as they are."""
    fields = {"event_name": "tokens.used", "external_customer_id": "acme"} | fields
    return f'{json.dumps(fields)[:-1]}, "properties": {properties}}}'


def batch(*events):
    return f'{{"events": [{", ".join(events)}]}}'.encode()


def parse(body):
    return parse_event(body if isinstance(body, bytes) else body.encode(), received_at=NOW)


def refusal_of(body):
    with pytest.raises(PayloadRefused) as refused:
        parse(body)
    return refused.value.field, refused.value.reason


def batch_refusal_of(body):
    with pytest.raises(PayloadRefused) as refused:
        parse_batch(body, received_at=NOW)
    return refused.value.field, refused.value.reason


def test_an_event_needs_only_a_name_and_a_customer():
    taken = parse('{"event_name": "tokens.used", "external_customer_id": "acme"}')
    assert (taken.event_name, taken.external_customer_id) == ("tokens.used", "acme")
    assert (taken.occurred_at, taken.has_timestamp) == (NOW, False)
    assert (taken.source, taken.properties) == ("", "{}")


def test_a_missing_id_is_generated_and_later_ids_sort_later():
    first, second = parse_batch(batch(event(), event()), received_at=NOW)
    third = parse(event())
    assert first.event_id.startswith("event_")
    assert first.event_id < second.event_id < third.event_id


def test_names_are_trimmed_and_ids_are_not():
    taken = parse(event(event_name="  Tokens.Used\t", external_customer_id=" acme\n", event_id=" id ", source=" s "))
    assert (taken.event_name, taken.external_customer_id) == ("Tokens.Used", "acme")
    assert (taken.event_id, taken.source) == (" id ", " s ")


def test_unknown_fields_are_ignored():
    assert parse(event(customer_id="cust_1", environment={"deep": [[[1]]]}, number=5)).event_name == "tokens.used"


@pytest.mark.parametrize("field", ["event_id", "timestamp", "source", "properties", "customer_id"])
def test_null_is_the_same_as_an_omitted_field(field):
    taken = parse(f'{{"event_name": "a", "external_customer_id": "b", "{field}": null}}')
    assert (taken.occurred_at, taken.has_timestamp, taken.source, taken.properties) == (NOW, False, "", "{}")
    assert taken.event_id.startswith("event_")


# --- Numbers and other values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "properties",
    [
        '{"n": 1.10}',
        '{"n": 0.1000000000000000055511151231257827}',
        '{"n": 123456789012345678901234567890.123456789}',
        '{"n": -0}',
        '{"n": 1e308}',
        '{"n": 5e-324}',
        '{"n": 1E+2, "m": 2.5e-7}',
        '{"n": ' + "9" * 100 + "}",
        '{"n": "1280", "m": "NaN"}',
        '{"a.b": 1, "quote\\"d": 2, "": 3, "A": 1, "a": 2}',
        '{"url": "https://example.com/a:b", "odd": "a\\":b", "tab": "a\\tb", "back": "\\\\u0000"}',
        '{ "spaced" : 1 ,\n\t"lines" : [ 1, 2 ] }',
        '{"emoji": "\\ud83d\\ude00", "letters": "äöü 日本"}',
        '{"nested": {"a": [1, {"b": null}], "c": true}}',
        '{"deep": ' + "[" * 31 + "]" * 31 + "}",
        '{"text": "' + "x" * 16384 + '"}',
        json.dumps({"k" * 255: 1}),
        json.dumps({f"key{n}": n for n in range(256)}),
    ],
)
def test_properties_are_kept_exactly_as_sent(properties):
    assert parse(event(properties)).properties == properties
    assert parse_batch(batch(event('{"x": 1}'), event(properties)), received_at=NOW)[1].properties == properties


@pytest.mark.parametrize(
    ("properties", "field", "reason"),
    [
        ("5", "properties", "must be an object, not a number"),
        ('"text"', "properties", "must be an object, not a string"),
        ("[]", "properties", "must be an object, not an array"),
        ("false", "properties", "must be an object, not true or false"),
        ('{"n": 1e400}', "properties.n", "is out of range: numbers stay below 1e309 and have at most 400 decimals"),
        ('{"n": -1e309}', "properties.n", "is out of range: numbers stay below 1e309 and have at most 400 decimals"),
        ('{"n": 1e-401}', "properties.n", "is out of range: numbers stay below 1e309 and have at most 400 decimals"),
        (
            '{"n": 1e999999999}',
            "properties.n",
            "is out of range: numbers stay below 1e309 and have at most 400 decimals",
        ),
        ('{"n": [1, 0e99999999999999999999]}', "properties.n[1]", "is out of range"),
        ('{"n": ' + "9" * 101 + "}", "properties.n", "must have at most 100 digits"),
        ('{"n": 0.' + "1" * 101 + "}", "properties.n", "must have at most 100 digits"),
        ('{"n": ' + "1" * 100_000 + "}", "properties.n", "must have at most 100 digits"),
        ('{"a": {"n": [1, 1e400]}}', "properties.a.n[1]", "is out of range"),
        ('{"t": "a\\u0000b"}', "properties.t", "must not contain the NUL character (\\u0000)"),
        ('{"a": ["\\u0000"]}', "properties.a[0]", "must not contain the NUL character (\\u0000)"),
        ('{"a\\u0000": 1}', "properties", "must not contain the NUL character (\\u0000)"),
        ('{"n": 1, "n": 2}', "properties.n", "is there twice"),
        ('{"n": 1, "\\u006e": 2}', "properties.n", "is there twice"),
        ('{"a": {"n": 1, "n": 1}}', "properties.a.n", "is there twice"),
        ('{"n" : 1, "n" : 2}', "properties.n", "is there twice"),
        ('{"n" : 1, "x": "\\":", "n": 2}', "properties.n", "is there twice"),
        ('{"text": "' + "x" * 16385 + '"}', "properties.text", "must be at most 16384 characters long"),
        ('{"a": ["' + "x" * 16385 + '"]}', "properties.a[0]", "must be at most 16384 characters long"),
        (json.dumps({"k" * 256: 1}), f"properties.{'k' * 80}", "has a name longer than 255 characters"),
        (json.dumps({"a": {"k" * 256: 1}}), f"properties.a.{'k' * 80}", "has a name longer than 255 characters"),
        (
            json.dumps({f"key{n}": n for n in range(257)}),
            "properties",
            "must have at most 256 properties, not 257",
        ),
        ('{"a": ' + "[" * 32 + "]" * 32 + "}", "properties.a" + "[0]" * 31, "must not be nested deeper than 32 levels"),
    ],
)
def test_properties_that_cannot_be_stored_are_refused(properties, field, reason):
    said = refusal_of(event(properties))
    assert said[0] == field
    assert said[1].startswith(reason)
    said = batch_refusal_of(batch(event('{"url": "a:b"}'), event(properties)))
    assert said[0] == f"events[1].{field}"
    assert said[1].startswith(reason)


# --- Times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+05:30", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
        ("2026-01-31 12:00:00-00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456Z", datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-01-31T23:59:59.999999999Z", datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)),  # not the next day
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("2027-03-11T12:00:00Z", datetime(2027, 3, 11, 12, tzinfo=UTC)),  # 366 days ahead
    ],
)
def test_a_timestamp_keeps_its_zone_and_is_cut_to_the_microsecond(stamp, moment):
    taken = parse(event(timestamp=stamp))
    assert (taken.occurred_at, taken.has_timestamp) == (moment, True)


NOT_A_TIME = "must be an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [
        ("2026-01-31T12:00:00", "has no time zone: end it with Z or an offset such as +02:00"),
        ("2026-01-31T12:00:00.5", "has no time zone: end it with Z or an offset such as +02:00"),
        ("2026-01-31", NOT_A_TIME),
        ("", NOT_A_TIME),
        ("yesterday", NOT_A_TIME),
        ("1767225600", NOT_A_TIME),
        ("2026-02-30T12:00:00Z", NOT_A_TIME),
        ("2026-01-31T24:00:00Z", NOT_A_TIME),
        ("2026-01-31T12:00:60Z", NOT_A_TIME),
        ("2026-01-31T12:00:00+0200", NOT_A_TIME),
        ("2026-01-31T12:00:00+99:99", NOT_A_TIME),
        ("2026-W05-6T12:00:00Z", NOT_A_TIME),
        ("٢٠٢٦-01-31T12:00:00Z", NOT_A_TIME),
        ("0000-01-01T00:00:00Z", NOT_A_TIME),
        ("0001-01-01T00:00:00Z", "is too early: times before 2000-01-01 are not accepted"),
        ("1999-12-31T23:59:59Z", "is too early: times before 2000-01-01 are not accepted"),
        ("2027-03-11T12:00:01Z", "is too far in the future: times after 2027-03-11T12:00:00Z are not accepted"),
        ("9999-12-31T23:59:59-23:59", "is too far in the future: times after 2027-03-11T12:00:00Z are not accepted"),
    ],
)
def test_invalid_timestamps_are_refused(stamp, reason):
    assert refusal_of(event(timestamp=stamp)) == ("timestamp", reason)


def test_the_accepted_time_range_is_a_setting(settings):
    settings.EVENT_EARLIEST_YEAR, settings.EVENT_LATEST_DAYS_AHEAD = 2026, 0
    assert refusal_of(event(timestamp="2025-12-31T23:59:59Z"))[1].startswith("is too early")
    assert refusal_of(event(timestamp="2026-03-10T12:00:01Z"))[1].startswith("is too far in the future")


# --- The envelope -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ("", "body", "is not valid JSON: Expecting value at line 1, column 1"),
        ("not json", "body", "is not valid JSON: Expecting value at line 1, column 1"),
        ("{'event_name': 1}", "body", "is not valid JSON: Expecting property name enclosed in double quotes"),
        (event()[:-1], "body", "is not valid JSON: Expecting ',' delimiter"),
        (event() + " x", "body", "is not valid JSON: Extra data"),
        ('{"event_name": "a", "external_customer_id": "b",}', "body", "is not valid JSON"),
        (event('{"n": NaN}'), "body", "is not valid JSON: NaN is not a JSON value"),
        (event('{"n": -Infinity}'), "body", "is not valid JSON: -Infinity is not a JSON value"),
        (event('{"n": 01}'), "body", "is not valid JSON"),
        (event('{"n": "\n"}'), "body", "is not valid JSON: Invalid control character"),
        (event('{"n": "a\x00b"}'), "body", "is not valid JSON: Invalid control character"),
        (event('{"n": "\\ud800"}'), "properties.n", "contains half of a UTF-16 surrogate pair"),
        (event('{"\\udc00": 1}'), "properties", "contains half of a UTF-16 surrogate pair"),
        (event(event_name="\ud800"), "event_name", "contains half of a UTF-16 surrogate pair"),
        (event("[" * 10_000 + "]" * 10_000), "body", "must not be nested deeper than 32 levels"),
        (event(extra=1)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "body", "must not be nested deeper"),
        ("[]", "body", "must be an object, not an array"),
        ("5", "body", "must be an object, not a number"),
        ("null", "body", "must be an object, not null"),
        ("{}", "event_name", "is required"),
        ('{"event_name": "a"}', "external_customer_id", "is required"),
        (event(event_name=5), "event_name", "must be a string, not a number"),
        (event(event_name=None), "event_name", "must be a string, not null"),
        (event(event_name={}), "event_name", "must be a string, not an object"),
        (event(external_customer_id=["a"]), "external_customer_id", "must be a string, not an array"),
        (event(event_id=7), "event_id", "must be a string or null, not a number"),
        (event(timestamp=1767225600), "timestamp", "must be a string or null, not a number"),
        (event(source=True), "source", "must be a string or null, not true or false"),
        (event(event_name=""), "event_name", "must not be empty"),
        (event(event_name=" \t"), "event_name", "must not be empty"),
        (event(external_customer_id=" "), "external_customer_id", "must not be empty"),
        (event(event_id=""), "event_id", "must not be empty; omit it to have one generated"),
        (event(event_name="n" * 256), "event_name", "must be at most 255 characters long"),
        (event(external_customer_id="n" * 256), "external_customer_id", "must be at most 255 characters long"),
        (event(event_id="n" * 10_240), "event_id", "must be at most 255 characters long"),
        (event(source="n" * 256), "source", "must be at most 255 characters long"),
        (event(event_name="a\x00b"), "event_name", "must not contain the NUL character (\\u0000)"),
        (event(event_id="\x00"), "event_id", "must not contain the NUL character (\\u0000)"),
        (event(source="\x00"), "source", "must not contain the NUL character (\\u0000)"),
        (event()[:-1] + ', "event_name": "b"}', "event_name", "is there twice"),
        (event()[:-1] + ', "event\\u005fid": "b", "event_id": "c"}', "event_id", "is there twice"),
        (event()[:-1] + ', "properties": {}}', "properties", "is there twice"),
    ],
)
def test_a_malformed_event_is_refused_with_the_field_and_the_reason(body, field, reason):
    said = refusal_of(body)
    assert said[0] == field
    assert said[1].startswith(reason)


@pytest.mark.parametrize("body", [b'{"event_name": "\xff"}', b"\xed\xa0\x80", '{"event_name": "a"}'.encode("utf-16")])
def test_a_body_that_is_not_utf8_is_refused(body):
    field, reason = refusal_of(body)
    assert field == "body"
    assert reason.startswith("is not UTF-8")


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b'{"events": []}', "events", "must contain at least one event"),
        (b'{"events": null}', "events", "must be an array, not null"),
        (b'{"events": {}}', "events", "must be an array, not an object"),
        (b'{"events": [5]}', "events[0]", "must be an object, not a number"),
        (b"{}", "events", "is required"),
        (b"[]", "body", "must be an object, not an array"),
        (batch(*[event()] * 1001), "events", "must contain at most 1000 events; split the batch"),
        (batch(event(), '{"event_name": "a"}'), "events[1].external_customer_id", "is required"),
        (batch(*[event()] * 17, event(timestamp="x")), "events[17].timestamp", NOT_A_TIME),
        (batch(event(), event(), event(source=5)), "events[2].source", "must be a string or null, not a number"),
        (batch(event(), event()[:-1] + ', "source": "a", "source": "b"}'), "events[1].source", "is there twice"),
        (b'{"events": [' + event().encode() + b'], "events": []}', "events", "must contain at least one event"),
        (batch(event())[:-1] + b', "events": [' + event().encode() + b"]}", "events", "is there twice"),
        (batch(event(), event('{"n": "\\ud800"}')), "events[1].properties.n", "contains half of a UTF-16"),
        (batch(event(event_id="")), "events[0].event_id", "must not be empty"),
    ],
)
def test_a_batch_with_a_malformed_event_is_refused_with_its_index(body, field, reason):
    said = batch_refusal_of(body)
    assert said[0] == field
    assert said[1].startswith(reason)


def test_a_batch_has_up_to_a_thousand_events_and_may_repeat_an_id():
    taken = parse_batch(batch(*[event(event_id="same")] * 1000), received_at=NOW)
    assert [one.event_id for one in taken] == ["same"] * 1000
