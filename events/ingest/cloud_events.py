"""Parse CloudEvents 1.0 in the three forms of its HTTP binding. Other attributes than these are ignored:

| CloudEvents | event |
|---|---|
| `id` | `event_id` |
| `type` | `event_name` |
| `subject` | `external_customer_id` |
| `time` | `timestamp` |
| `source` | `source` |
| `data`, a JSON object | `properties` |
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from events.ingest import json_check, payload
from events.ingest.payload import LARGEST_BATCH, IncomingEvent, Name, PayloadRefused, WireEvent

ATTRIBUTES = {
    "event_id": "id",
    "event_name": "type",
    "external_customer_id": "subject",
    "timestamp": "time",
    "properties": "data",
}
IN_HEADERS = ("specversion", "id", "source", "type", "subject", "time")


class CloudEvent(msgspec.Struct):
    """A CloudEvent in the JSON format."""

    specversion: str
    id: Name
    source: Name
    type: Name
    subject: Name
    time: str | UnsetType | None = UNSET
    data: Raw | UnsetType = UNSET
    data_base64: Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(CloudEvent)
_batch_decoder = msgspec.json.Decoder(Annotated[list[CloudEvent], Meta(min_length=1, max_length=LARGEST_BATCH)])
_data_decoder = msgspec.json.Decoder(Raw)


def parse_structured(body: bytes, *, received_at: datetime) -> list[IncomingEvent]:
    """Read a CloudEvent of the type `application/cloudevents+json`. PayloadRefused names the attribute as sent."""
    event = payload.decode(_decoder, body)
    with _naming_attributes():
        return payload.check_events([_convert(event, "")], body, received_at, [""])


def parse_batched(body: bytes, *, received_at: datetime) -> list[IncomingEvent]:
    """Read 1 to 1,000 CloudEvents of the type `application/cloudevents-batch+json`. Refusals name `[17].time`."""
    sent = payload.decode(_batch_decoder, body)
    paths = [f"[{index}]" for index in range(len(sent))]
    with _naming_attributes():
        events = [_convert(event, path) for event, path in zip(sent, paths, strict=True)]
        return payload.check_events(events, body, received_at, paths)


def parse_binary(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[IncomingEvent]:
    """Read a CloudEvent whose data is the body, and whose attributes are headers: `ce-id` is named `id` here."""
    attributes: dict[str, Any] = {name: _read_header(headers[name], name) for name in IN_HEADERS if name in headers}
    if body.strip():
        attributes["data"] = payload.decode(_data_decoder, body)
        body = b'{"data": ' + body + b"}"
    try:
        event = msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        raise json_check.translate(str(error)) from error
    with _naming_attributes():
        return payload.check_events([_convert(event, "")], body or b"{}", received_at, [""])


def _read_header(value: str, name: str) -> str:
    """Decode a header, in which characters outside of ASCII are percent-encoded UTF-8."""
    try:
        text = unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise PayloadRefused(name, "is not percent-encoded UTF-8") from error
    json_check.check_text(text, name)
    return text


def _convert(event: CloudEvent, path: str) -> WireEvent:
    if event.specversion != "1.0":
        raise PayloadRefused(json_check.join(path, "specversion"), "must be 1.0")
    if not event.id:
        raise PayloadRefused(json_check.join(path, "id"), "must not be empty")
    if event.data_base64 is not UNSET:
        raise PayloadRefused(json_check.join(path, "data_base64"), "isn't supported: send `data` as a JSON object")
    return WireEvent(
        event_name=event.type,
        external_customer_id=event.subject,
        event_id=event.id,
        timestamp=event.time,
        source=event.source,
        properties=event.data,
    )


@contextmanager
def _naming_attributes() -> Iterator[None]:
    """Name the attribute as it was sent: `[17].data.tokens` instead of `[17].properties.tokens`."""
    try:
        yield
    except PayloadRefused as refused:
        names = refused.field.split(".")
        place = 1 if names[0].startswith("[") and len(names) > 1 else 0
        names[place] = ATTRIBUTES.get(names[place], names[place])
        raise PayloadRefused(".".join(names), refused.reason) from refused
