"""What an event may look like on the wire: parse a request's body, or say what is wrong with which field.

A batch's envelope is decoded in C, straight into typed structs. `properties` stay the text that was sent, so that
numbers reach the database digit by digit. What the quick look can't vouch for (nesting, escapes, exponents, many
digits, a key that may be there twice) is read again, event by event, by `events/ingest/json_check.py`.
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

__all__ = ["LARGEST_BATCH", "LARGEST_BODY", "IncomingEvent", "PayloadRefused", "parse_batch", "parse_event"]

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_BATCH = 1000
LONGEST_NAME = 255
BATCH_PATHS = tuple(f"events[{index}]" for index in range(LARGEST_BATCH))
NO_PROPERTIES = b"{}"
NULL = Raw(b"null")
NUL = b"\\u0000"
KEY_END = b'":'
OVER_A_LIMIT = -(10**9)

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Key = Annotated[str, Meta(max_length=LONGEST_KEY)]
Value = Annotated[str, Meta(max_length=LONGEST_STRING)] | int | float | bool | dict[str, Any] | list[Any] | None
Properties = Annotated[dict[Key, Value], Meta(max_length=MOST_PROPERTIES)]


class WireEvent(msgspec.Struct, gc=False):
    """An event as sent. Fields that aren't named here are ignored."""

    event_name: Name
    external_customer_id: Name
    event_id: Name | UnsetType | None = UNSET
    timestamp: str | UnsetType | None = UNSET
    source: Name | UnsetType | None = UNSET
    customer_id: Raw | UnsetType = UNSET  # Flexprice's own id of the customer; ours goes by the external one
    properties: Raw | UnsetType = UNSET


class WireBatch(msgspec.Struct):
    """The body of a bulk request."""

    events: Annotated[list[WireEvent], Meta(min_length=1, max_length=LARGEST_BATCH)]


class IncomingEvent(msgspec.Struct, gc=False):
    """An event that is fit to be stored: names trimmed, the time known, `properties` the JSON text of an object."""

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
# A number with an exponent, or longer than any that a client's JSON library writes without one.
_unusual_number = re.compile(rb"[:,\[\s]-?(?:[0-9.]{40}|[0-9.]+[eE])").search


def parse_event(body: bytes, *, received_at: datetime) -> IncomingEvent:
    """Read the body of a single event. Raises PayloadRefused, which names the field."""
    try:
        body.decode()
        event = _event_decoder.decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        _refuse(body, error)
    return _accept([event], body, received_at, [""])[0]


def parse_batch(body: bytes, *, received_at: datetime) -> list[IncomingEvent]:
    """Read the body of a batch. One malformed event refuses all: PayloadRefused names it as `events[17].timestamp`."""
    try:
        body.decode()
        events = _batch_decoder.decode(body).events
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        _refuse(body, error)
    return _accept(events, body, received_at, BATCH_PATHS)


def _refuse(body: bytes, error: Exception) -> NoReturn:
    """Say in our words what the decoder found: it stops at the first field that doesn't fit."""
    if isinstance(error, UnicodeDecodeError):
        raise PayloadRefused("body", f"is not UTF-8: the byte at {error.start} can't be read") from error
    if isinstance(error, msgspec.ValidationError):
        raise json_check.translate(str(error)) from error
    json_check.explain_malformed(body.decode())


def _accept(events: list[WireEvent], body: bytes, received_at: datetime, paths: Sequence[str]) -> list[IncomingEvent]:
    """Check what the decoder's types don't say, and fill in what the sender left out."""
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
            moment = _moment(stamp)
            if moment is None or not earliest <= moment <= latest:
                _refuse_moment(stamp, moment, earliest, latest, paths[index])
            occurred_at = moment
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
    """List which properties need the careful look. Those of nearly all batches are cleared in a few passes.

    No key is there twice when as many are left after decoding as quotes are followed by a colon in the text. Inside
    of a string that can only be more of them, which is a doubt and not a mistake.
    """
    try:
        objects = _quick_decoder.decode(joined)
    except (msgspec.DecodeError, RecursionError):
        return range(len(properties))
    if not _is_unusual(joined) and joined.count(KEY_END) == _keys(objects, joined):
        return ()
    return [index for index, one in enumerate(map(bytes, properties)) if _is_doubtful(one, objects[index])]


def _is_doubtful(text: bytes, value: dict[str, Any]) -> bool:
    return _is_unusual(text) or text.count(KEY_END) != _keys_within(value, 1)


def _is_unusual(text: bytes) -> bool:
    return NUL in text or _unusual_number(text) is not None or _has_blank_before_colon(text)


def _keys(objects: list[dict[str, Any]], text: bytes) -> int:
    """Count the keys, looking into the values only where some may be nested."""
    if text.count(b"{") == len(objects) and text.count(b"[") == 1:
        return sum(map(len, objects))
    return sum([_keys_within(one, 1) for one in objects])


def _keys_within(value: dict[str, Any] | list[Any], depth: int) -> int:
    """Count the keys at all levels; what is over a limit gives a count that can't be right."""
    if depth > DEEPEST:
        return OVER_A_LIMIT
    keys = 0
    inner: Iterable[Any] = value
    if isinstance(value, dict):
        keys, inner = len(value), value.values()
        if depth > 1 and any(len(key) > LONGEST_KEY for key in value):
            return OVER_A_LIMIT
    for one in inner:
        if isinstance(one, (dict, list)):
            keys += _keys_within(one, depth + 1)
        elif depth > 1 and isinstance(one, str) and len(one) > LONGEST_STRING:
            return OVER_A_LIMIT
    return keys


def _check_fields_once(events: list[WireEvent], body: bytes, joined: bytes, *, around: int) -> None:
    """Refuse a field that is there twice. The count of keys, as above, clears nearly all bodies.

    `around` is how many the body has around its events. Ignored fields bring keys too, and so a closer look.
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
    if read != body.count(KEY_END) - joined.count(KEY_END) or _has_blank_before_colon(body):
        json_check.check_fields_once(body.decode())


def _has_blank_before_colon(text: bytes) -> bool:
    return any(blank in text and blank + b":" in text for blank in (b" ", b"\n", b"\t", b"\r"))


def _check_no_nul(events: list[WireEvent], paths: Sequence[str]) -> None:
    for index, event in enumerate(events):
        for field in ("event_id", "event_name", "external_customer_id", "source"):
            json_check.check_text(getattr(event, field) or "", join(paths[index], field))


def _moment(stamp: str) -> datetime | None:
    """Read an RFC 3339 time. Digits past the microsecond are cut: rounding could move it to the next period."""
    if not _rfc3339(stamp):
        return None
    try:
        return datetime.fromisoformat(stamp.upper())
    except ValueError:
        return None


def _refuse_moment(stamp: str, moment: datetime | None, earliest: datetime, latest: datetime, path: str) -> NoReturn:
    field = join(path, "timestamp")
    if moment is None and _rfc3339(f"{stamp}Z"):
        raise PayloadRefused(field, "has no time zone: end it with Z or an offset such as +02:00")
    if moment is None:
        raise PayloadRefused(field, "must be an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z")
    if moment < earliest:
        raise PayloadRefused(field, f"is too early: times before {earliest:%Y-%m-%d} are not accepted")
    raise PayloadRefused(field, f"is too far ahead: times after {latest:%Y-%m-%dT%H:%M:%SZ} are not accepted")


def _refuse_blank(event: WireEvent, path: str) -> NoReturn:
    if event.event_id == "":
        raise PayloadRefused(join(path, "event_id"), "must not be empty; leave it out to have one made")
    blank = "external_customer_id" if event.event_name.strip() else "event_name"
    raise PayloadRefused(join(path, blank), "must not be empty")
