"""Judge a pasted payload, or the curl command around it, without storing anything; or send it as a test."""

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
PATHS = {"/v1/events": "one event", "/v1/events/bulk": "a batch"}
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
    """What was pasted: a body, and of a curl command its method, address and headers."""

    body: str
    is_curl: bool = False
    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would become of a pasted payload. `events` is how many it holds; the diagnosis is of the chosen one."""

    steps: tuple[DiagnosisStep, ...]
    diagnosis: Diagnosis | None
    events: int


def read_paste(text: str) -> Paste:
    """Tell a payload from a curl command, and take the command apart. It is read, never run."""
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
    found = {"method": "", "url": ""}
    rest = iter(words)
    for word in rest:
        name, joined, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in (*DATA_OPTIONS, *VALUE_OPTIONS):
            value = value if joined else next(rest, "")
            if name in DATA_OPTIONS:
                body.append(value)
            elif name in ("-H", "--header"):
                header, _, content = value.partition(":")
                headers[header.strip().lower()] = content.strip()
            elif name in ("-X", "--request"):
                found["method"] = value.upper()
            elif name == "--url":
                found["url"] = value
        elif not word.startswith("-"):
            found["url"] = word
    fault = "The command sends no data: it needs --data with the payload." if not body else ""
    if body and body[0].startswith("@"):
        fault = f"The payload is in the file {body[0][1:]}: paste its content here instead."
    return Paste("".join(body), True, found["method"] or ("POST" if body else "GET"), found["url"], headers, fault)


def dry_run(text: str, *, now: datetime, chosen: int = 0) -> DryRun:
    """Walk the whole path for what was pasted, as if it came now. Nothing is stored. `chosen` picks one of a batch."""
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
    """Say what the API would refuse, and go on with what can be read all the same."""
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
    """Read one event, or a batch, as the API does. Raises PayloadRefused, which names the field."""
    data = body.encode("utf-8", "surrogatepass")
    if _looks_like_a_batch(body):
        return parse_batch(data, received_at=now)
    return [parse_event(data, received_at=now)]


def _looks_like_a_batch(body: str) -> bool:
    found = _loads(body)
    return isinstance(found, dict) and "events" in found and "event_name" not in found


def _loads(body: str) -> Any:
    try:
        return json.loads(body, parse_constant=str)
    except (json.JSONDecodeError, RecursionError):
        return None


def readable_part(body: str, *, now: datetime) -> IncomingEvent | None:
    """Take from a refused payload what can be judged: of a batch the first event. None where nothing can be read."""
    found = _loads(body)
    if isinstance(found, dict) and isinstance(found.get("events"), list) and found["events"]:
        found = found["events"][0]
    if not isinstance(found, dict):
        return None
    properties = _properties_text(found.get("properties"))
    moment = _moment(found.get("timestamp"))
    return IncomingEvent(
        event_id=_text(found, "event_id"),
        event_name=_text(found, "event_name"),
        external_customer_id=_text(found, "external_customer_id"),
        occurred_at=moment or now,
        has_timestamp=moment is not None,
        source=_text(found, "source"),
        properties=properties,
    )


def _properties_text(properties: object) -> str:
    """Write properties that PostgreSQL can read; those with something that it can't keep are left out."""
    try:
        text = json.dumps(properties, allow_nan=False) if isinstance(properties, dict) else "{}"
    except ValueError:
        return "{}"
    return "{}" if "\\u0000" in text or _lone_surrogate(text) else text


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return value.strip()[:255].replace("\x00", "") if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) if moment else None


def request_step(paste: Paste, *, now: datetime) -> DiagnosisStep:
    """Judge what a curl command says of the request: its method, its path, and its key."""
    if not paste.is_curl:
        return DiagnosisStep(
            StepKey.REQUEST, Status.INFO, "A dry run of a payload: no request is made and nothing is stored."
        )
    path = urlsplit(paste.url).path.rstrip("/")
    evidence = [
        Evidence("Method", paste.method, is_code=True),
        Evidence("Address", paste.url or "none", is_code=True),
    ]
    if paste.method != "POST":
        sentence = f"The command sends {paste.method}; events are sent with POST."
        return DiagnosisStep(StepKey.REQUEST, Status.FAIL, sentence, Reason.BAD_REQUEST, tuple(evidence))
    if path not in PATHS:
        sentence = f"The path {path or '/'} takes no events: one goes to /v1/events, a batch to /v1/events/bulk."
        return DiagnosisStep(StepKey.REQUEST, Status.FAIL, sentence, Reason.BAD_REQUEST, tuple(evidence))
    return _judge_key(paste, tuple(evidence), now)


def _judge_key(paste: Paste, evidence: tuple[Evidence, ...], now: datetime) -> DiagnosisStep:
    key = paste.headers.get("x-api-key", "")
    if not key:
        sentence = "The command has no x-api-key header: the API would answer 401."
        return DiagnosisStep(StepKey.REQUEST, Status.FAIL, sentence, Reason.UNAUTHORIZED, evidence)
    if key.startswith(("<", "$")):
        sentence = "The command still has a placeholder for the API key; the rest of the request is right."
        return DiagnosisStep(StepKey.REQUEST, Status.INFO, sentence, evidence=evidence)
    try:
        with transaction.atomic():
            caller = authenticate(key, now=now)
            transaction.set_rollback(True)  # a dry run is no use of the key
    except KeyRefused as refused:
        return DiagnosisStep(
            StepKey.REQUEST, Status.FAIL, f"The API would answer 401: {refused}", Reason.UNAUTHORIZED, evidence
        )
    evidence = (*evidence, Evidence("API key", f"{caller.name} ({caller.prefix}…)"))
    if not caller.may(Scope.EVENTS_WRITE):
        sentence = f"The API would answer 403: the key {caller.name} lacks the scope {Scope.EVENTS_WRITE.value}."
        return DiagnosisStep(StepKey.REQUEST, Status.FAIL, sentence, Reason.FORBIDDEN, evidence)
    return DiagnosisStep(StepKey.REQUEST, Status.PASS, f"The key {caller.name} may send events.", evidence=evidence)


def send_test(text: str, *, now: datetime) -> Accepted:
    """Put the pasted events into the inbox as the API does, marked as a test by their source.

    They count like any other: send them for a test customer, or void them afterwards. Raises PayloadRefused.
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
