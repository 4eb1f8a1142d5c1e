"""The first steps: how the event was received, and whether its payload is valid."""

import json
from typing import Any

from config.office.links import page_of
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.steps import DiagnosisStep, Evidence, Status, StepKey
from events.diagnosis.subject import Place, Subject
from events.models import ApiKey
from events.reasons import Reason

CLOCK_SKEW_S = 300  # warn if the sender's clock is further ahead than this


def request_step(context: Context) -> DiagnosisStep:
    """Report with which API key, from which source and when the event was received."""
    subject, now = context.subject, context.now
    if subject.place == Place.PASTED:
        return DiagnosisStep(StepKey.REQUEST, Status.INFO, "A dry run: no request was made and nothing is stored.")
    key = subject.api_key
    evidence = [
        Evidence("API key", str(key) if key else "none: sent by staff", _key_url(key)),
        Evidence("Source", subject.source or "not given"),
        Evidence("Received", f"{wording.timestamp(subject.received_at)} ({wording.ago(subject.received_at, now)})"),
    ]
    if subject.processed_at:
        evidence.append(Evidence("Processed", wording.timestamp(subject.processed_at)))
    by = f"with the key {key.name}" if key else "without a key"
    sentence = f"Accepted (202) {by}, {wording.ago(subject.received_at, now)}."
    if subject.place == Place.WAITING:
        sentence += " It is waiting in the inbox to be processed."
    return DiagnosisStep(StepKey.REQUEST, Status.PASS, sentence, evidence=evidence)


def _key_url(key: ApiKey | None) -> str:
    return page_of(key) if key else ""


def shape_step(context: Context) -> DiagnosisStep:
    """Report whether the payload is valid, and what time the event has."""
    subject = context.subject
    evidence = (
        Evidence("Occurred", _time_of(subject)),
        Evidence("Payload", payload_of(subject), is_code=True),
    )
    if subject.shape_fault:
        sentence = f"The API would refuse it with 400: {subject.shape_fault}. The steps below check the readable part."
        return DiagnosisStep(StepKey.SHAPE, Status.FAIL, sentence, Reason.BAD_REQUEST, evidence)
    late = (subject.received_at - subject.occurred_at).total_seconds()
    if subject.has_timestamp and late < -CLOCK_SKEW_S:
        gap = wording.duration(subject.received_at, subject.occurred_at)
        sentence = f"Valid, but the timestamp is {gap} ahead of its arrival: check the sender's clock."
        return DiagnosisStep(StepKey.SHAPE, Status.WARNING, sentence, evidence=evidence)
    sentence = "Valid: all required fields were sent."
    if not subject.has_timestamp:
        sentence += " Without a timestamp, the time of arrival counts."
    elif late > 86_400:
        sentence += f" It arrived {wording.duration(subject.occurred_at, subject.received_at)} after it occurred."
    return DiagnosisStep(StepKey.SHAPE, Status.PASS, sentence, evidence=evidence)


def _time_of(subject: Subject) -> str:
    origin = "as sent" if subject.has_timestamp else "time of arrival, no timestamp was sent"
    return f"{wording.timestamp(subject.occurred_at)} ({origin})"


def payload_of(subject: Subject) -> str:
    """Write the event as it was sent, with every digit of its numbers."""
    fields: dict[str, str] = {
        "event_id": subject.event_id,
        "event_name": subject.event_name,
        "external_customer_id": subject.external_customer_id,
    }
    if subject.has_timestamp:
        fields["timestamp"] = subject.occurred_at.isoformat().replace("+00:00", "Z")
    if subject.source:
        fields["source"] = subject.source
    lines = [f'  "{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in fields.items()]
    lines.append(f'  "properties": {_indent_json(subject.properties)}')
    return "{\n" + ",\n".join(lines) + "\n}"


class _Verbatim(str):
    """A number as it was sent."""

    __slots__ = ()


def _indent_json(text: str) -> str:
    """Indent a JSON text without changing its numbers."""
    try:
        value = json.loads(text, parse_float=_Verbatim, parse_int=_Verbatim)
    except json.JSONDecodeError:
        return text
    return _indented(value, "  ")


def _indented(value: Any, margin: str) -> str:
    inner = margin + "  "
    if isinstance(value, _Verbatim):
        return str(value)
    if isinstance(value, dict) and value:
        rows = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {_indented(item, inner)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        return "[" + ", ".join(_indented(item, inner) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
