"""What an event may look like on the wire: parse a request's body, or say what is wrong with which field.

A batch's envelope is decoded in C, straight into typed structs. `properties` stay the text that was sent, so that
numbers reach the database digit by digit. What the quick look can't vouch for (nesting, escapes, exponents, many
digits, a key that may be there twice) is read again, event by event, by `events/inspection.py`.
"""

import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, Raw, UnsetType

from events import inspection
from events.inspection import LONGEST_KEY, LONGEST_STRING, MOST_PROPERTIES, PayloadRefused

__all__ = ["LARGEST_BATCH", "LARGEST_BODY", "IncomingEvent", "PayloadRefused", "parse_batch", "parse_event"]

LARGEST_BODY = 32 * 1024 * 1024
LARGEST_BATCH = 1000
LONGEST_NAME = 255
BATCH_PATHS = tuple(f"events[{index}]." for index in range(LARGEST_BATCH))
NO_PROPERTIES = b"{}"
NULL = b"null"

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Scalar = Annotated[str, Meta(max_length=LONGEST_STRING)] | int | float | bool | None
Key = Annotated[str, Meta(max_length=LONGEST_KEY)]
PlainProperties = Annotated[dict[Key, Scalar], Meta(max_length=MOST_PROPERTIES)]


class WireEvent(msgspec.Struct, gc=False):
    """An event as sent. Fields that aren't named here are ignored."""

    event_name: Name
    external_customer_id: Name
    event_id: Name | None = None
    timestamp: str | None = None
    source: Name | None = None
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


class _RawBatch(msgspec.Struct):
    events: list[Raw]


_event_decoder = msgspec.json.Decoder(WireEvent)
_batch_decoder = msgspec.json.Decoder(WireBatch)
_plain_decoder = msgspec.json.Decoder(list[PlainProperties])
_raw_decoder = msgspec.json.Decoder(_RawBatch)

# RFC 3339. fromisoformat() alone would also take week dates, missing zones and commas.
_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,30})?([Zz]|[+-]\d\d:\d\d)", re.ASCII).fullmatch
# A number with an exponent, or longer than any that a client's JSON library writes without one.
_unusual_number = re.compile(rb"[:\s]-?(?:[0-9.]{40}|[0-9.]+[eE])").search
_blank_before_colon = re.compile(rb"[ \t\r\n]:").search


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
        raise inspection.translate(str(error)) from error
    inspection.explain_malformed(body.decode())


def _accept(events: list[WireEvent], body: bytes, received_at: datetime, paths: Sequence[str]) -> list[IncomingEvent]:
    """Check what the decoder's types don't say, and fill in what the sender left out."""
    properties = [_properties_of(event) for event in events]
    _check_properties(properties, paths)
    _check_fields_once(events, properties, body, paths)
    if b"\\u0000" in body:
        _check_no_nul(events, paths)
    earliest = datetime(settings.EVENT_EARLIEST_YEAR, 1, 1, tzinfo=UTC)
    latest = received_at + timedelta(days=settings.EVENT_LATEST_DAYS_AHEAD)
    new_id = f"event_{time.time_ns():016x}{secrets.token_hex(6)}"
    accepted = []
    for index, event in enumerate(events):
        event_id, name, customer = event.event_id, event.event_name.strip(), event.external_customer_id.strip()
        if event_id is None:
            event_id = f"{new_id}{index:04x}"
        if not (event_id and name and customer):
            _refuse_blank(event, paths[index])
        occurred_at, stamp = received_at, event.timestamp
        if stamp is not None:
            occurred_at = _moment(stamp)
            if occurred_at is None or not earliest <= occurred_at <= latest:
                _refuse_moment(stamp, occurred_at, earliest, latest, paths[index])
        text = str(properties[index], "utf-8")
        accepted.append(
            IncomingEvent(event_id, name, customer, occurred_at, stamp is not None, event.source or "", text)
        )
    return accepted


def _properties_of(event: WireEvent) -> bytes | Raw:
    properties = event.properties
    return NO_PROPERTIES if properties is UNSET or properties == NULL else properties


def _check_properties(properties: list[bytes | Raw], paths: Sequence[str]) -> None:
    if _are_plain(properties):
        return
    for index, one in enumerate(properties):
        inspection.check_properties(str(one, "utf-8"), f"{paths[index]}properties")


def _are_plain(properties: list[bytes | Raw]) -> bool:
    """Tell whether all are flat objects of ordinary values without a repeated key. False only means: look closer.

    No repeated key, because as many keys are left after decoding as colons follow a quote in the text; colons that
    follow a quote inside of a string only make for more of them.
    """
    joined = b"[" + b",".join(properties) + b"]"
    if b"\\u0000" in joined or _unusual_number(joined) or _blank_before_colon(joined):
        return False
    try:
        objects = _plain_decoder.decode(joined)
    except (msgspec.DecodeError, RecursionError):
        return False
    return sum(map(len, objects)) == joined.count(b'":')


def _check_fields_once(
    events: list[WireEvent], properties: list[bytes | Raw], body: bytes, paths: Sequence[str]
) -> None:
    """Refuse a field that an event has twice. The count of keys, as above, clears nearly all bodies."""
    wanted = 2 * len(events) + (paths is BATCH_PATHS)
    for event in events:
        wanted += (event.event_id is not None) + (event.timestamp is not None) + (event.source is not None)
        wanted += event.properties is not UNSET
    written = body.count(b'":') - sum(one.count(b'":') for one in map(bytes, properties))
    if written == wanted and not _blank_before_colon(body):
        return
    texts = [bytes(raw) for raw in _raw_decoder.decode(body).events] if paths is BATCH_PATHS else [body]
    for index, text in enumerate(texts):
        inspection.check_no_repeated_fields(text.decode(), paths[index])


def _check_no_nul(events: list[WireEvent], paths: Sequence[str]) -> None:
    for index, event in enumerate(events):
        for field in ("event_id", "event_name", "external_customer_id", "source"):
            inspection.check_text(getattr(event, field) or "", f"{paths[index]}{field}")


def _moment(stamp: str) -> datetime | None:
    """Read an RFC 3339 time. Digits past the microsecond are cut: rounding could move it to the next period."""
    if not _rfc3339(stamp):
        return None
    try:
        return datetime.fromisoformat(stamp.upper())
    except ValueError:
        return None


def _refuse_moment(stamp: str, moment: datetime | None, earliest: datetime, latest: datetime, path: str) -> NoReturn:
    field = f"{path}timestamp"
    if moment is None and _rfc3339(f"{stamp}Z"):
        raise PayloadRefused(field, "has no time zone: end it with Z or an offset such as +02:00")
    if moment is None:
        raise PayloadRefused(field, "must be an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z")
    if moment < earliest:
        raise PayloadRefused(field, f"is too early: times before {earliest:%Y-%m-%d} are not accepted")
    raise PayloadRefused(field, f"is too far ahead: times after {latest:%Y-%m-%dT%H:%M:%SZ} are not accepted")


def _refuse_blank(event: WireEvent, path: str) -> NoReturn:
    if event.event_id == "":
        raise PayloadRefused(f"{path}event_id", "must not be empty; leave it out to have one made")
    blank = "external_customer_id" if event.event_name.strip() else "event_name"
    raise PayloadRefused(f"{path}{blank}", "must not be empty")
