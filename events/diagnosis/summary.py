"""A diagnosis in a sentence: does the event count, and if not, what is the first reason."""

from dataclasses import dataclass

from events.diagnosis import Diagnosis, Place, Status, StepKey
from events.models import EventState


@dataclass(frozen=True, slots=True)
class Summary:
    """The heading of an event's page. `level` is a step's status."""

    level: Status
    headline: str
    text: str


def summary_of(diagnosis: Diagnosis) -> Summary:
    """Summarize a diagnosis, also of an event that was removed or never accepted."""
    subject = diagnosis.subject
    if subject is None:
        return _unknown(diagnosis)
    usage = [step for step in diagnosis.steps if step.key == StepKey.USAGE]
    failure = diagnosis.first_failure
    text = failure.sentence if failure else "Every step passes."
    if subject.place == Place.WAITING:
        return Summary(Status.INFO, "Waiting to be processed", "A worker processes it within a second or so.")
    if subject.place == Place.PASTED:
        would_count = any(step.status == Status.INFO for step in usage)
        if failure is None or (would_count and failure.status != Status.FAIL):
            return Summary(Status.WARNING if failure else Status.PASS, "It would count", text)
        return Summary(Status.FAIL, "It would be partly counted" if would_count else "It would not count", text)
    if subject.state in (EventState.VOIDED, EventState.DISMISSED):
        return Summary(Status.INFO, str(EventState(subject.state).label), usage[0].sentence if usage else text)
    if not any(step.status == Status.PASS for step in usage):
        return Summary(Status.FAIL, "It doesn't count", text)
    headline = "Partly counted" if any(step.status == Status.FAIL for step in usage) else "Counted"
    if not any(step.key == StepKey.PLAN and step.status == Status.PASS for step in diagnosis.steps):
        headline += ", but not billed"
    return Summary(Status.WARNING if failure else Status.PASS, headline, text)


def _unknown(diagnosis: Diagnosis) -> Summary:
    if diagnosis.was_pruned:
        text = "The data retention period has passed. The event_id remains used: sending it again doesn't count."
        return Summary(Status.INFO, "Removed from the ledger", text)
    if diagnosis.repeats:
        text = "The first event with this id is no longer in the ledger."
        return Summary(Status.WARNING, "Only duplicates are known", text)
    text = (
        "No event with this id was ever accepted. Its request may have been refused: see the refused requests below"
        " the live view. IDs are case-sensitive."
    )
    return Summary(Status.FAIL, "Never accepted", text)
