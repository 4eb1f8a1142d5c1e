"""The step about duplicates: was the same event_id sent more than once, and with which content."""

from config.office.links import page_of
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Status, StepKey
from events.diagnosis.subject import Place, Subject, find_subject, was_pruned
from events.links import event_url
from events.models import DuplicateEvent
from events.models.duplicates import DuplicateKind
from events.reasons import Reason

FIRST_EVENT = "First event, which is kept"


def duplicate_step(context: Context) -> DiagnosisStep:
    """Report whether the same event_id came again, with the same content or different content."""
    repeats = context.repeats
    if context.subject.place == Place.PASTED:
        return _pasted_duplicate(context)
    if not repeats:
        return DiagnosisStep(StepKey.DUPLICATE, Status.PASS, "This event_id was received once.")
    evidence = [_repeat_evidence(repeat) for repeat in repeats[:20]]
    count = sum(repeat.count for repeat in repeats)
    times = "again" if count == 1 else f"{count:,} more times"
    conflicts = [repeat for repeat in repeats if repeat.kind == DuplicateKind.CONFLICT]
    if not conflicts:
        sentence = f"The same event_id came {times} with the same content. It counts once."
        return DiagnosisStep(StepKey.DUPLICATE, Status.WARNING, sentence, Reason.DUPLICATE_SAME_BODY, evidence)
    names = dict.fromkeys(str(part.label).lower() for conflict in conflicts for part in conflict.differences)
    sentence = (
        f"The same event_id came {times}, with {', '.join(names) or 'different content'}. The first event is kept: to "
        "count the other one instead, void this event or send the other one under a new event_id."
    )
    comparisons = [_comparison(context, conflict) for conflict in conflicts[:5]]
    return DiagnosisStep(StepKey.DUPLICATE, Status.WARNING, sentence, Reason.DUPLICATE_CONFLICT, evidence, comparisons)


def _pasted_duplicate(context: Context) -> DiagnosisStep:
    event_id = context.subject.event_id
    first = find_subject(event_id)
    if first is None and not was_pruned(event_id):
        return DiagnosisStep(StepKey.DUPLICATE, Status.PASS, "No event with this event_id has been received yet.")
    sentence = "An event with this event_id exists: this one would be logged as its duplicate, and not counted."
    evidence = [Evidence("First event", event_id, event_url(event_id))]
    comparisons: list[Comparison] = []
    reason = Reason.DUPLICATE_SAME_BODY
    if first is not None:
        rows = _side_by_side(_content(first), _content(context.subject))
        if any(left != right for name, left, right in rows if name != "timestamp" or "none" not in (left, right)):
            reason = Reason.DUPLICATE_CONFLICT
            comparisons = [Comparison(FIRST_EVENT, "Pasted", rows)]
    return DiagnosisStep(StepKey.DUPLICATE, Status.FAIL, sentence, reason, evidence, comparisons)


def _repeat_evidence(repeat: DuplicateEvent) -> Evidence:
    kind = "Different content" if repeat.kind == DuplicateKind.CONFLICT else "Same content"
    key = f", key {repeat.api_key.name}" if repeat.api_key_id and repeat.api_key else ""
    source = f"source {repeat.source}" if repeat.source else "no source"
    return Evidence(
        kind, f"{repeat.count:,}×, {source}{key}, last {wording.timestamp(repeat.last_at)}", page_of(repeat)
    )


def _comparison(context: Context, conflict: DuplicateEvent) -> Comparison:
    body = conflict.body or {}
    content = {
        "event_name": str(body.get("event_name", "")),
        "external_customer_id": str(body.get("external_customer_id", "")),
        "timestamp": str(body.get("timestamp") or "none"),
        "source": str(body.get("source") or "none"),
    } | {f"properties.{name}": str(value) for name, value in (body.get("properties") or {}).items()}
    rows = _side_by_side(_content(context.subject), content)
    return Comparison(FIRST_EVENT, f"Received {wording.minute(conflict.last_at)}", rows)


def _content(subject: Subject) -> dict[str, str]:
    return {
        "event_name": subject.event_name,
        "external_customer_id": subject.external_customer_id,
        "timestamp": subject.occurred_at.isoformat() if subject.has_timestamp else "none",
        "source": subject.source or "none",
    } | {f"properties.{name}": str(value) for name, value in subject.parsed.items()}


def _side_by_side(left: dict[str, str], right: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    names = dict.fromkeys([*left, *right])
    return tuple((name, left.get(name, "missing"), right.get(name, "missing")) for name in names)
