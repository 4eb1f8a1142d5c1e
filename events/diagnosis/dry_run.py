"""Check a pasted payload or curl command without storing anything, or send it as a test."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from events.access.keys import KeyRefused, authenticate
from events.diagnosis import Diagnosis, DiagnosisStep, Evidence, Status, StepKey, diagnose_subject, pasted
from events.ingest.accept import Accepted, accept
from events.ingest.nudge import nudge
from events.ingest.payload import IncomingEvent, PayloadRefused, parse_batch, parse_event
from events.models import Scope
from events.reasons import Reason

_lone_surrogate = re.compile(r"\\ud[89a-f]", re.IGNORECASE).search

TEST_SOURCE = "test"
PATHS = ("/v1/events", "/v1/events/bulk")
DATA_OPTIONS = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json")
VALUE_OPTIONS = (
    "-X",
    "--request",
    "-H",
    "--header",
    "--url",
    "-o",
    "--output",
    "-u",
    "--user",
    "-A",
    "--max-time",
    "-m",
)


@dataclass(frozen=True, slots=True)
class Paste:
    """What staff pasted: a body, and if it was a curl command also its method, URL and headers."""

    body: str
    is_curl: bool = False
    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The result for a pasted payload. `events` is their number; the diagnosis is of the chosen event."""

    steps: tuple[DiagnosisStep, ...]
    diagnosis: Diagnosis | None
    events: int


def read_paste(text: str) -> Paste:
    """Read a payload, or the parts of a curl command. The command is never run."""
    stripped = text.strip()
    if not stripped.startswith("curl"):
        return Paste(stripped)
    try:
        words = shlex.split(stripped.replace("\\\r\n", " ").replace("\\\n", " "))
    except ValueError as error:
        return Paste("", is_curl=True, fault=f"The curl command can't be read: {str(error).lower()}.")
    return _read_curl(words[1:])


def _read_curl(words: Sequence[str]) -> Paste:
    body: list[str] = []
    headers: dict[str, str] = {}
    method = url = ""
    remaining = iter(words)
    for word in remaining:
        name, joined, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in (*DATA_OPTIONS, *VALUE_OPTIONS):
            value = value if joined else next(remaining, "")
            if name in DATA_OPTIONS:
                body.append(value)
            elif name in ("-H", "--header"):
                header, _, content = value.partition(":")
                headers[header.strip().lower()] = content.strip()
            elif name in ("-X", "--request"):
                method = value.upper()
            elif name == "--url":
                url = value
        elif not word.startswith("-"):
            url = word
    fault = "" if body else "The command sends no data: add --data with the payload."
    if body and body[0].startswith("@"):
        fault = f"The payload is in the file {body[0][1:]}: paste its contents instead."
    return Paste("".join(body), True, method or ("POST" if body else "GET"), url, headers, fault)


def dry_run(text: str, *, now: datetime, chosen: int = 0) -> DryRun:
    """Run every step for a pasted payload, as if it arrived now. Stores nothing. `chosen` is the index in a batch."""
    paste = read_paste(text)
    request = request_step(paste, now=now)
    if paste.fault:
        shape = DiagnosisStep(StepKey.SHAPE, Status.FAIL, paste.fault, Reason.BAD_REQUEST)
        return DryRun((request, shape), None, 0)
    try:
        events = parse(paste.body, now=now)
    except PayloadRefused as refused:
        return _refused(paste, request, str(refused), now)
    index = min(max(chosen, 0), len(events) - 1)
    diagnosis = diagnose_subject(pasted(events[index], now=now), now=now)
    return DryRun(_with_request(diagnosis, request), diagnosis, len(events))


def _refused(paste: Paste, request: DiagnosisStep, fault: str, now: datetime) -> DryRun:
    """Report what the API would refuse, and diagnose what can be read."""
    event = readable_part(paste.body, now=now)
    if event is None:
        shape = DiagnosisStep(
            StepKey.SHAPE, Status.FAIL, f"The API would refuse it with 400: {fault}.", Reason.BAD_REQUEST
        )
        return DryRun((request, shape), None, 0)
    diagnosis = diagnose_subject(pasted(event, now=now, shape_fault=fault), now=now)
    return DryRun(_with_request(diagnosis, request), diagnosis, 1)


def _with_request(diagnosis: Diagnosis, request: DiagnosisStep) -> tuple[DiagnosisStep, ...]:
    return (request, *diagnosis.steps[1:])


def parse(body: str, *, now: datetime) -> list[IncomingEvent]:
    """Read an event or a batch as the API does. Raises PayloadRefused, which names the field."""
    data = body.encode("utf-8", "surrogatepass")
    if _looks_like_a_batch(body):
        return parse_batch(data, received_at=now)
    return [parse_event(data, received_at=now)]


def _looks_like_a_batch(body: str) -> bool:
    payload = _loads(body)
    return isinstance(payload, dict) and "events" in payload and "event_name" not in payload


def _loads(body: str) -> Any:
    try:
        return json.loads(body, parse_constant=str)
    except (json.JSONDecodeError, RecursionError):
        return None


def readable_part(body: str, *, now: datetime) -> IncomingEvent | None:
    """Read what can be diagnosed of a refused payload: of a batch, the first event. None if nothing is readable."""
    fields = _loads(body)
    if isinstance(fields, dict) and isinstance(fields.get("events"), list) and fields["events"]:
        fields = fields["events"][0]
    if not isinstance(fields, dict):
        return None
    timestamp = _parse_timestamp(fields.get("timestamp"))
    return IncomingEvent(
        event_id=_text(fields, "event_id"),
        event_name=_text(fields, "event_name"),
        external_customer_id=_text(fields, "external_customer_id"),
        occurred_at=timestamp or now,
        has_timestamp=timestamp is not None,
        source=_text(fields, "source"),
        properties=_properties_text(fields.get("properties")),
    )


def _properties_text(properties: object) -> str:
    """Write properties as JSON; empty if PostgreSQL couldn't store them."""
    try:
        text = json.dumps(properties, allow_nan=False) if isinstance(properties, dict) else "{}"
    except ValueError:
        return "{}"
    return "{}" if "\\u0000" in text or _lone_surrogate(text) else text


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.strip()[:255].replace("\x00", "") if isinstance(value, str) else ""


def _parse_timestamp(value: object) -> datetime | None:
    try:
        timestamp = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)) if timestamp else None


def request_step(paste: Paste, *, now: datetime) -> DiagnosisStep:
    """Check the request of a curl command: its method, path and API key."""
    if not paste.is_curl:
        sentence = "A dry run of a payload: no request is made and nothing is stored."
        return DiagnosisStep(StepKey.REQUEST, Status.INFO, sentence)
    evidence = [
        Evidence("Method", paste.method, is_code=True),
        Evidence("URL", paste.url or "none", is_code=True),
    ]
    path = urlsplit(paste.url).path.rstrip("/")
    status: Status = Status.FAIL
    reason: Reason | None = Reason.BAD_REQUEST
    if paste.method != "POST":
        sentence = f"The command sends {paste.method}; events are sent with POST."
    elif path not in PATHS:
        sentence = f"The path {path or '/'} doesn't accept events: use /v1/events, or /v1/events/bulk for a batch."
    else:
        status, reason, sentence = _check_key(paste.headers.get("x-api-key", ""), evidence, now)
    return DiagnosisStep(StepKey.REQUEST, status, sentence, reason, evidence)


def _check_key(key: str, evidence: list[Evidence], now: datetime) -> tuple[Status, Reason | None, str]:
    """Check the API key, and add its name to the evidence if it is valid."""
    if not key:
        sentence = "The command has no x-api-key header: the API would answer 401."
        return Status.FAIL, Reason.UNAUTHORIZED, sentence
    if key.startswith(("<", "$")):
        sentence = "The command has a placeholder instead of an API key; the rest of the request is right."
        return Status.INFO, None, sentence
    try:
        with transaction.atomic():
            caller = authenticate(key, now=now)
            transaction.set_rollback(True)  # a dry run doesn't count as a use of the key
    except KeyRefused as refused:
        return Status.FAIL, Reason.UNAUTHORIZED, f"The API would answer 401: {refused}"
    evidence.append(Evidence("API key", f"{caller.name} ({caller.prefix}…)"))
    if not caller.may(Scope.EVENTS_WRITE):
        sentence = f"The API would answer 403: the key {caller.name} lacks the scope {Scope.EVENTS_WRITE.value}."
        return Status.FAIL, Reason.FORBIDDEN, sentence
    return Status.PASS, None, f"The key {caller.name} may send events."


def send_test(text: str, *, now: datetime) -> Accepted:
    """Put the pasted events into the inbox as the API does, with the source "test".

    They count like any other event: send them for a test customer, or void them afterwards. Raises PayloadRefused.
    """
    paste = read_paste(text)
    if paste.fault:
        raise PayloadRefused("body", paste.fault)
    events = parse(paste.body, now=now)
    for event in events:
        event.source = TEST_SOURCE
    accepted = accept(events, api_key_id=None, received_at=now)
    nudge()
    return accepted
