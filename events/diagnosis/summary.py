"""A diagnosis in one sentence: does the event count, and if not, what is the first thing that keeps it from it."""

from dataclasses import dataclass
from decimal import Decimal

from config.numbers import number
from events.diagnosis import Diagnosis, DiagnosisStep, Place, Status, StepKey
from events.models import EventState


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands on top of an event's page. `level` is a step's status."""

    level: Status
    headline: str
    text: str


def summary_of(found: Diagnosis) -> Summary:
    """Sum a diagnosis up, also of an event that isn't there any more, or never was."""
    if found.subject is None:
        return _unknown(found)
    usage = [step for step in found.steps if step.key == StepKey.USAGE]
    counted = [step for step in usage if step.status == Status.PASS]
    first = found.first_failure
    text = first.sentence if first else "Every step of the path passes."
    if found.subject.place == Place.WAITING:
        return Summary(Status.INFO, "Waiting to be processed", "A worker takes it within a second or so.")
    if found.subject.place == Place.PASTED:
        would = [step for step in usage if step.status == Status.INFO]
        if first is None or (would and first.status != Status.FAIL):
            return Summary(Status.WARNING if first else Status.PASS, "It would count", text)
        return Summary(Status.FAIL, "It would count in part" if would else "It would not count", text)
    if found.subject.state in (EventState.VOIDED, EventState.DISMISSED):
        return Summary(Status.INFO, str(EventState(found.subject.state).label), usage[0].sentence if usage else text)
    if not counted:
        return Summary(Status.FAIL, "It doesn't count", text)
    headline = "Counted" if len(counted) == len(usage) or not _failed(usage) else "Counted in part"
    if not any(step.key == StepKey.PLAN and step.status == Status.PASS for step in found.steps):
        headline += ", but not billed"
    level = Status.PASS if first is None else Status.WARNING
    return Summary(level, headline, text)


def _failed(usage: list[DiagnosisStep]) -> bool:
    return any(step.status == Status.FAIL for step in usage)


def _unknown(found: Diagnosis) -> Summary:
    if found.was_pruned:
        text = "Its row was removed from the ledger by retention. The id stays taken: a repeat of it doesn't count."
        return Summary(Status.INFO, "Removed by retention", text)
    if found.repeats:
        return Summary(
            Status.WARNING, "Only repeats are known", "The first event of this id is no longer in the ledger."
        )
    text = (
        "No event with this id was ever accepted. Perhaps its request was refused: the refused requests are listed"
        " below the live view. Ids are compared exactly."
    )
    return Summary(Status.FAIL, "Never accepted", text)


def plain_quantity(quantity: Decimal) -> str:
    """Write a quantity for a table."""
    return number(quantity)
