"""The first steps: how the event came, and whether its shape is right."""

import json
from typing import Any

from config.office.links import page_of
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.steps import DiagnosisStep, Evidence, Status, StepKey
from events.diagnosis.subject import Place, Subject
from events.models import ApiKey
from events.reasons import Reason

SKEW_S = 300  # a sender whose clock is so much ahead of ours is worth a word


def request_step(context: Context) -> DiagnosisStep:
    """Tell by which key, from which source and when the event came."""
    subject, now = context.subject, context.now
    if subject.place == Place.PASTED:
        return DiagnosisStep(StepKey.REQUEST, Status.INFO, "A dry run: no request was made and nothing is stored.")
    key = subject.api_key
    evidence = [
        Evidence("API key", str(key) if key else "none: put in by staff", key_url(key)),
        Evidence("Source", subject.source or "not given"),
        Evidence("Received", f"{wording.moment(subject.received_at)} ({wording.ago(subject.received_at, now)})"),
    ]
    if subject.processed_at:
        evidence.append(Evidence("Processed", wording.moment(subject.processed_at)))
    who = f"with the key {key.name}" if key else "without a key"
    sentence = f"Accepted (202) {who}, {wording.ago(subject.received_at, now)}."
    if subject.place == Place.WAITING:
        sentence += " It waits in the inbox to be processed."
    return DiagnosisStep(StepKey.REQUEST, Status.PASS, sentence, evidence=tuple(evidence))


def key_url(key: ApiKey | None) -> str:
    return page_of(key) if key else ""


def shape_step(context: Context) -> DiagnosisStep:
    """Tell whether the payload was well formed, and which time the event has."""
    subject = context.subject
    evidence = (
        Evidence("Occurred", moment_evidence(context)),
        Evidence("Payload", payload_of(subject), is_code=True),
    )
    if subject.shape_fault:
        sentence = f"The API would refuse it with 400: {subject.shape_fault}. The steps below judge what could be read."
        return DiagnosisStep(StepKey.SHAPE, Status.FAIL, sentence, Reason.BAD_REQUEST, evidence)
    late = (subject.received_at - subject.occurred_at).total_seconds()
    if subject.has_timestamp and late < -SKEW_S:
        ahead = wording.ago(subject.occurred_at, subject.received_at).removeprefix("in ")
        sentence = f"Well formed, but its timestamp is {ahead} ahead of its arrival: check the sender's clock."
        return DiagnosisStep(StepKey.SHAPE, Status.WARNING, sentence, evidence=evidence)
    sentence = "Well formed: every required field is there."
    if not subject.has_timestamp:
        sentence += " Without a timestamp it counts at the moment of its arrival."
    elif late > 86_400:
        sentence += (
            f" It came {wording.ago(subject.occurred_at, subject.received_at).removesuffix(' ago')} after it occurred."
        )
    return DiagnosisStep(StepKey.SHAPE, Status.PASS, sentence, evidence=evidence)


def moment_evidence(context: Context) -> str:
    subject = context.subject
    return f"{wording.moment(subject.occurred_at)} ({'as sent' if subject.has_timestamp else 'no timestamp: arrival'})"


def payload_of(subject: Subject) -> str:
    """Write the event as it was sent, numbers digit by digit."""
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
    lines.append(f'  "properties": {exact_json(subject.properties)}')
    return "{\n" + ",\n".join(lines) + "\n}"


class _Verbatim(str):
    """A number as it was written."""

    __slots__ = ()


def exact_json(text: str) -> str:
    """Indent a JSON text, its numbers untouched."""
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
        rows = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_indented(one, inner)}" for key, one in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        return "[" + ", ".join(_indented(one, inner) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)
