"""The troubleshooting guide, walked: `diagnose(event)` takes every step, `look_up(event_id)` finds what there is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from events.diagnosis.account_steps import customer_step, plan_steps, subscription_step
from events.diagnosis.context import Context
from events.diagnosis.meter_steps import feature_steps, name_step
from events.diagnosis.outcome_steps import (
    duplicate_step,
    free_tier_step,
    invoice_line_step,
    period_step,
    usage_step,
)
from events.diagnosis.request_steps import request_step, shape_step
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.subject import Place, Subject, find_subject, pasted, subject_of, was_pruned
from events.ingest.payload import IncomingEvent
from events.models import DuplicateEvent, Event, InboxEvent

__all__ = [
    "Comparison",
    "Diagnosis",
    "DiagnosisStep",
    "Evidence",
    "Fix",
    "Place",
    "Status",
    "StepKey",
    "Subject",
    "diagnose",
    "diagnose_subject",
    "find_subject",
    "look_up",
    "pasted",
]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of an event id. Without a subject, `repeats` and `was_pruned` are all that is left of it."""

    event_id: str
    subject: Subject | None
    steps: tuple[DiagnosisStep, ...] = ()
    repeats: tuple[DuplicateEvent, ...] = ()
    was_pruned: bool = False

    @property
    def is_known(self) -> bool:
        return self.subject is not None or self.was_pruned or bool(self.repeats)

    @property
    def first_failure(self) -> DiagnosisStep | None:
        """Return the first step that fails, else the first that warns."""
        for status in (Status.FAIL, Status.WARNING):
            for step in self.steps:
                if step.status == status:
                    return step
        return None


def diagnose(event: Event | InboxEvent | IncomingEvent | Subject, *, now: datetime) -> list[DiagnosisStep]:
    """Walk the guide's whole path for one event, never stopping at a failure. Writes nothing.

    Steps that differ by feature come once for each feature of the name. What depends on subscriptions is judged as of
    the event's time, by the history as it is recorded; what was stored when the event was processed is shown beside
    today's configuration where they differ. A fixed number of queries per feature and subscription, whatever the
    ledger's size. Raises LookupError for a row that is gone meanwhile.
    """
    return list(_walk(Context(subject_of(event, now=now), now)))


def diagnose_subject(subject: Subject, *, now: datetime) -> Diagnosis:
    """Walk the path for a subject and keep what it was about."""
    context = Context(subject, now)
    return Diagnosis(subject.event_id, subject, tuple(_walk(context)), tuple(context.repeats))


def look_up(event_id: str, *, now: datetime) -> Diagnosis:
    """Find an event by its id and diagnose it: in the ledger, else in the inbox. An unknown id has no steps."""
    subject = find_subject(event_id)
    if subject is not None:
        return diagnose_subject(subject, now=now)
    repeats = tuple(DuplicateEvent.objects.filter(event_id=event_id).select_related("api_key")[:50])
    return Diagnosis(event_id, None, repeats=repeats, was_pruned=was_pruned(event_id))


def _walk(context: Context) -> Iterator[DiagnosisStep]:
    yield request_step(context)
    yield shape_step(context)
    yield name_step(context)
    for reading in context.readings:
        yield from feature_steps(context, reading)
    yield customer_step(context)
    yield subscription_step(context)
    for reading in context.readings:
        yield from plan_steps(context, reading)
        yield free_tier_step(context, reading)
        yield period_step(context, reading)
    yield duplicate_step(context)
    for reading in context.readings:
        yield usage_step(context, reading)
        yield invoice_line_step(context, reading)
