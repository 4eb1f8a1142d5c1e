"""The troubleshooting guide as code: `diagnose(event)` runs every step, `look_up(event_id)` finds the event first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from events.diagnosis.billing_steps import free_tier_step, invoice_line_step, period_step
from events.diagnosis.context import Context
from events.diagnosis.customer_step import customer_step
from events.diagnosis.duplicate_step import duplicate_step
from events.diagnosis.feature_steps import filter_step, name_step, other_features_step, state_step
from events.diagnosis.request_steps import request_step, shape_step
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.subject import Place, Subject, find_subject, pasted, subject_of, was_pruned
from events.diagnosis.subscription_steps import plan_steps, subscription_step
from events.diagnosis.usage_step import usage_step
from events.diagnosis.value_steps import field_step, value_step
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
    """What is known about an event id. Without a subject, only `repeats` and `was_pruned`.

    `tiered` lists the (subscription id, feature id) whose price in force at the event's time has tiers.
    """

    event_id: str
    subject: Subject | None
    steps: tuple[DiagnosisStep, ...] = ()
    repeats: tuple[DuplicateEvent, ...] = ()
    was_pruned: bool = False
    tiered: tuple[tuple[int, int], ...] = ()

    @property
    def is_known(self) -> bool:
        return self.subject is not None or self.was_pruned or bool(self.repeats)

    @property
    def first_failure(self) -> DiagnosisStep | None:
        """Return the first step that fails, else the first with a warning."""
        for status in (Status.FAIL, Status.WARNING):
            for step in self.steps:
                if step.status == status:
                    return step
        return None


def diagnose(event: Event | InboxEvent | IncomingEvent | Subject, *, now: datetime) -> list[DiagnosisStep]:
    """Run every step of the guide for an event, without stopping at a failure. Writes nothing.

    Steps that differ by feature come once per feature of the name that the event concerns; one step covers the others.
    Steps about subscriptions are judged as of the event's time, by the history as recorded today. If the configuration
    has changed since the event was processed, the steps compare the two. The number of queries depends on the features
    and subscriptions, not on the ledger's size.
    Raises LookupError if the event was processed or removed in the meantime.
    """
    return list(_walk(Context(subject_of(event, now=now), now)))


def diagnose_subject(subject: Subject, *, now: datetime) -> Diagnosis:
    """Run every step for a subject."""
    context = Context(subject, now)
    steps = tuple(_walk(context))
    return Diagnosis(subject.event_id, subject, steps, tuple(context.repeats), tiered=_tiered(context))


def _tiered(context: Context) -> tuple[tuple[int, int], ...]:
    pairs = [(phase, reading.feature.pk) for reading in context.relevant for phase in context.phases_at]
    prices = [(phase.subscription_id, feature, context.price_in(phase, feature)) for phase, feature in pairs]
    return tuple((subscription, feature) for subscription, feature, price in prices if price and price.is_tiered)


def look_up(event_id: str, *, now: datetime) -> Diagnosis:
    """Find an event by its id in the ledger, else in the inbox, and diagnose it. An unknown id has no steps."""
    subject = find_subject(event_id)
    if subject is not None:
        return diagnose_subject(subject, now=now)
    repeats = tuple(DuplicateEvent.objects.filter(event_id=event_id).select_related("api_key")[:50])
    return Diagnosis(event_id, None, repeats=repeats, was_pruned=was_pruned(event_id))


def _walk(context: Context) -> Iterator[DiagnosisStep]:
    yield request_step(context)
    yield shape_step(context)
    yield name_step(context)
    for reading in context.relevant:
        yield state_step(context, reading)
        yield filter_step(context, reading)
        yield field_step(context, reading)
        yield value_step(context, reading)
    yield from other_features_step(context)
    yield customer_step(context)
    yield subscription_step(context)
    for reading in context.relevant:
        yield from plan_steps(context, reading)
        yield free_tier_step(context, reading)
        yield period_step(context, reading)
    yield duplicate_step(context)
    for reading in context.relevant:
        yield usage_step(context, reading)
        yield invoice_line_step(context, reading)
