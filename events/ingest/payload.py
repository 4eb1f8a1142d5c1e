"""Parse the body of an event request, or say which field is invalid and why.

msgspec decodes the batch into typed structs. `properties` remain the text that was sent, so that numbers reach the
database with all their digits. Properties that the fast check can't clear (nesting, escapes, exponents, many digits,
possibly repeated keys) are checked again, event by event, by `events/ingest/json_check.py`.
"""

import re
import secrets
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, Raw, UnsetType

from events.ingest import json_check
from events.ingest.json_check import DEEPEST, LONGEST_KEY, LONGEST_STRING, MOST_PROPERTIES, PayloadRefused, join

__all__ = ["LARGEST_BATCH", "IncomingEvent", "PayloadRefused", "parse_batch", "parse_event"]

LARGEST_BATCH = 1000
LONGEST_NAME = 255
BATCH_PATHS = tuple(f"events[{index}]" for index in range(LARGEST_BATCH))
NO_PROPERTIES = b"{}"
NULL = Raw(b"null")
NUL = b"\\u0000"
KEY_END = b'":'
LIMIT_EXCEEDED = -(10**9)

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Key = Annotated[str, Meta(max_length=LONGEST_KEY)]
Value = Annotated[str, Meta(max_length=LONGEST_STRING)] | int | float | bool | dict[str, Any] | list[Any] | None
Properties = Annotated[dict[Key, Value], Meta(max_length=MOST_PROPERTIES)]


class WireEvent(msgspec.Struct, gc=False):
    """An event as sent. Other fields are ignored."""

    event_name: Name
    external_customer_id: Name
    event_id: Name | UnsetType | None = UNSET
    timestamp: str | UnsetType | None = UNSET
    source: Name | UnsetType | None = UNSET
    customer_id: Raw | UnsetType = UNSET  # Flexprice's id of the customer; Countinghouse uses the external id
    properties: Raw | UnsetType = UNSET


class WireBatch(msgspec.Struct):
    """The body of a bulk request."""

    events: Annotated[list[WireEvent], Meta(min_length=1, max_length=LARGEST_BATCH)]


class IncomingEvent(msgspec.Struct, gc=False):
    """A valid event, ready to store: names trimmed, the time set, `properties` the JSON text of an object."""

    event_id: str
    event_name: str
    external_customer_id: str
    occurred_at: datetime
    has_timestamp: bool
    source: str
    properties: str


_event_decoder = msgspec.json.Decoder(WireEvent)
_batch_decoder = msgspec.json.Decoder(WireBatch)
_quick_decoder = msgspec.json.Decoder(list[Properties])

# RFC 3339. fromisoformat() alone would also take week dates, missing zones and commas.
_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,30})?([Zz]|[+-]\d\d:\d\d)", re.ASCII).fullmatch
# A number with an exponent, or longer than any that a JSON library writes without an exponent.
_unusual_number = re.compile(rb"[:,\[\s]-?(?:[0-9.]{40}|[0-9.]+[eE])").search


def parse_event(body: bytes, *, received_at: datetime) -> IncomingEvent:
    """Read the body of a single event. Raises PayloadRefused, which names the field."""
    return check_events([decode(_event_decoder, body)], body, received_at, [""])[0]


def parse_batch(body: bytes, *, received_at: datetime) -> list[IncomingEvent]:
    """Read the body of a batch. Raises PayloadRefused with the invalid field, such as `events[17].timestamp`."""
    return check_events(decode(_batch_decoder, body).events, body, received_at, BATCH_PATHS)


def decode[Body](decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """Decode a body with a decoder of its structs. Raises PayloadRefused."""
    try:
        body.decode()
        return decoder.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        _refuse(body, error)


def _refuse(body: bytes, error: Exception) -> NoReturn:
    """Explain the decoder's error, which is about the first invalid field."""
    if isinstance(error, UnicodeDecodeError):
        raise PayloadRefused("body", f"is not UTF-8: the byte at {error.start} can't be read") from error
    if isinstance(error, msgspec.ValidationError):
        raise json_check.translate(str(error)) from error
    json_check.explain_malformed(body.decode())


def check_events(
    events: list[WireEvent], body: bytes, received_at: datetime, paths: Sequence[str]
) -> list[IncomingEvent]:
    """Check what the decoder's types don't cover, and fill in the fields that the sender omitted.

    `paths` are the events' places in the body. Raises PayloadRefused.
    """
    properties = [_properties_of(event) for event in events]
    joined = b"[" + b",".join(properties) + b"]"
    for index in _doubtful(properties, joined):
        json_check.check_properties(str(properties[index], "utf-8"), join(paths[index], "properties"))
    _check_fields_once(events, body, joined, around=int(paths is BATCH_PATHS))
    if NUL in body:
        _check_no_nul(events, paths)
    earliest, latest = _accepted_times(received_at)
    new_id = ""
    accepted = []
    for index, event in enumerate(events):
        event_id, name, customer = event.event_id, event.event_name.strip(), event.external_customer_id.strip()
        if not isinstance(event_id, str):
            new_id = new_id or f"event_{time.time_ns():016x}{secrets.token_hex(6)}"
            event_id = f"{new_id}{index:04x}"
        if not (event_id and name and customer):
            _refuse_blank(event, paths[index])
        occurred_at, stamp = received_at, event.timestamp
        if isinstance(stamp, str):
            sent_time = _parse_time(stamp)
            if sent_time is None or not earliest <= sent_time <= latest:
                _refuse_time(stamp, sent_time, earliest, latest, paths[index])
            occurred_at = sent_time
        text = str(properties[index], "utf-8")
        accepted.append(
            IncomingEvent(event_id, name, customer, occurred_at, isinstance(stamp, str), event.source or "", text)
        )
    return accepted


def _accepted_times(received_at: datetime) -> tuple[datetime, datetime]:
    earliest = datetime(settings.EVENT_EARLIEST_YEAR, 1, 1, tzinfo=UTC)
    return earliest, received_at + timedelta(days=settings.EVENT_LATEST_DAYS_AHEAD)


def _properties_of(event: WireEvent) -> bytes | Raw:
    properties = event.properties
    return NO_PROPERTIES if properties is UNSET or properties == NULL else properties


def _doubtful(properties: Sequence[bytes | Raw], joined: bytes) -> Sequence[int]:
    """List the indexes of properties that need the thorough check. Nearly all batches pass in a few passes.

    No key is repeated if the decoded objects have as many keys as the text has quotes followed by a colon. Strings can
    contain more of these, which causes a thorough check but no error.
    """
    try:
        objects = _quick_decoder.decode(joined)
    except (msgspec.DecodeError, RecursionError):
        return range(len(properties))
    if not _is_unusual(joined) and joined.count(KEY_END) == _keys(objects, joined):
        return ()
    return [index for index, text in enumerate(map(bytes, properties)) if _is_doubtful(text, objects[index])]


def _is_doubtful(text: bytes, value: dict[str, Any]) -> bool:
    return _is_unusual(text) or text.count(KEY_END) != _keys_within(value, 1)


def _is_unusual(text: bytes) -> bool:
    return NUL in text or _unusual_number(text) is not None or _has_space_before_colon(text)


def _keys(objects: list[dict[str, Any]], text: bytes) -> int:
    """Count the keys, going through the values only if there may be nested objects."""
    if text.count(b"{") == len(objects) and text.count(b"[") == 1:
        return sum(map(len, objects))
    return sum([_keys_within(value, 1) for value in objects])


def _keys_within(value: dict[str, Any] | list[Any], depth: int) -> int:
    """Count the keys at all levels. If a limit is exceeded, return a count that can't match."""
    if depth > DEEPEST:
        return LIMIT_EXCEEDED
    keys = 0
    inner: Iterable[Any] = value
    if isinstance(value, dict):
        keys, inner = len(value), value.values()
        if depth > 1 and any(len(key) > LONGEST_KEY for key in value):
            return LIMIT_EXCEEDED
    for item in inner:
        if isinstance(item, (dict, list)):
            keys += _keys_within(item, depth + 1)
        elif depth > 1 and isinstance(item, str) and len(item) > LONGEST_STRING:
            return LIMIT_EXCEEDED
    return keys


def _check_fields_once(events: list[WireEvent], body: bytes, joined: bytes, *, around: int) -> None:
    """Refuse a repeated field. Counting the keys, as above, clears nearly all bodies.

    `around` is the number of keys around the events. Ignored fields have keys too, and so cause a thorough check.
    """
    optional = [
        (event.event_id is not UNSET)
        + (event.timestamp is not UNSET)
        + (event.source is not UNSET)
        + (event.customer_id is not UNSET)
        + (event.properties is not UNSET)
        for event in events
    ]
    read = around + 2 * len(events) + sum(optional)
    if read != body.count(KEY_END) - joined.count(KEY_END) or _has_space_before_colon(body):
        json_check.check_fields_once(body.decode())


def _has_space_before_colon(text: bytes) -> bool:
    return any(space in text and space + b":" in text for space in (b" ", b"\n", b"\t", b"\r"))


def _check_no_nul(events: list[WireEvent], paths: Sequence[str]) -> None:
    for index, event in enumerate(events):
        for field in ("event_id", "event_name", "external_customer_id", "source"):
            json_check.check_text(getattr(event, field) or "", join(paths[index], field))


def _parse_time(stamp: str) -> datetime | None:
    """Read an RFC 3339 time. Digits after the microsecond are cut: rounding could move it to the next period."""
    if not _rfc3339(stamp):
        return None
    try:
        return datetime.fromisoformat(stamp.upper())
    except ValueError:
        return None


def _refuse_time(stamp: str, moment: datetime | None, earliest: datetime, latest: datetime, path: str) -> NoReturn:
    field = join(path, "timestamp")
    if moment is None and _rfc3339(f"{stamp}Z"):
        raise PayloadRefused(field, "has no time zone: end it with Z or an offset such as +02:00")
    if moment is None:
        raise PayloadRefused(field, "must be an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z")
    if moment < earliest:
        raise PayloadRefused(field, f"is too early: times before {earliest:%Y-%m-%d} are not accepted")
    raise PayloadRefused(field, f"is too far in the future: times after {latest:%Y-%m-%dT%H:%M:%SZ} are not accepted")


def _refuse_blank(event: WireEvent, path: str) -> NoReturn:
    if event.event_id == "":
        raise PayloadRefused(join(path, "event_id"), "must not be empty; omit it to have one generated")
    field = "external_customer_id" if event.event_name.strip() else "event_name"
    raise PayloadRefused(join(path, field), "must not be empty")
