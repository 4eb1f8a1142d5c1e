"""The step about usage: what the event adds to a feature's usage, or why it adds nothing."""

from datetime import timedelta

from catalog.models import Aggregation
from config.office.links import admin_url
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import DiagnosisStep, Evidence, Status, StepKey
from events.diagnosis.stored import replay_fix
from events.diagnosis.subject import Place
from events.models import UsageBucket
from events.reasons import Reason
from events.usage.meter import floor_hour


def usage_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report what the event adds to the feature's usage, and in which hour, or why it adds nothing."""
    subject, feature = context.subject, reading.feature
    aggregation = Aggregation(feature.aggregation)
    evidence = [Evidence("Aggregation", f"{aggregation.label}: {wording.AGGREGATES[aggregation]}")]
    if context.void is not None:
        by = f" by {context.void.voided_by}" if context.void.voided_by else ""
        sentence = f"It adds nothing: voided{by} on {wording.minute(context.void.voided_at)}: {context.void.reason}"
        return reading.step(StepKey.USAGE, Status.FAIL, sentence, Reason.VOIDED, evidence=evidence)
    contribution = _contribution(reading)
    if not context.is_counted(reading) or subject.customer_id is None:
        return _not_counted(context, reading, contribution, evidence)
    hour = floor_hour(subject.occurred_at)
    bucket = UsageBucket.objects.filter(customer_id=subject.customer_id, feature=feature, hour=hour).first()
    if bucket is None:
        sentence = "It counts by today's definition; its hour will be recounted automatically."
        fixes = [replay_fix(context)]
        return reading.step(StepKey.USAGE, Status.WARNING, sentence, evidence=evidence, fixes=fixes)
    evidence.append(Evidence("Added", contribution))
    evidence.append(Evidence("Hour", f"{wording.minute(hour)}: {bucket.count:,} events", _query_url(context, reading)))
    return reading.step(StepKey.USAGE, Status.PASS, f"Counted: it added {contribution}.", evidence=evidence)


def _not_counted(context: Context, reading: Reading, contribution: str, evidence: list[Evidence]) -> DiagnosisStep:
    place = context.subject.place
    if dismissed := context.dismissed(reading.feature.pk):
        by = f" by {dismissed.closed_by}" if dismissed.closed_by else ""
        sentence = f"It adds nothing: dismissed{by}: {dismissed.closing}"
        return reading.step(StepKey.USAGE, Status.WARNING, sentence, evidence=evidence)
    reason = _first_obstacle(context, reading)
    if reason is None and place == Place.LEDGER:
        sentence = f"Not counted yet. Today it would add {contribution}: replay it."
        fixes = [replay_fix(context)]
        return reading.step(StepKey.USAGE, Status.WARNING, sentence, evidence=evidence, fixes=fixes)
    if reason is None:
        verb = "will" if place == Place.WAITING else "would"
        return reading.step(StepKey.USAGE, Status.INFO, f"It {verb} add {contribution}.", evidence=evidence)
    verb = "adds" if place == Place.LEDGER else "would add"
    sentence = f"It {verb} nothing: {reason.label.lower()}."
    if reading.value_reason is None:
        condition = f"If {reading.feature.name} counted it" if reading.mismatches else "Once fixed"
        sentence += f" {condition}, it {'would add' if reading.mismatches else 'adds'} {contribution}."
    return reading.step(StepKey.USAGE, Status.FAIL, sentence, reason, evidence=evidence)


def _first_obstacle(context: Context, reading: Reading) -> Reason | None:
    """Return why the event doesn't count for the feature with today's configuration."""
    customer = context.customer.customer
    if context.name.suspected is not None:
        return Reason.UNKNOWN_EVENT_NAME
    if customer is None:
        return Reason.UNKNOWN_CUSTOMER
    if customer.archived_at is not None and customer.archived_at <= context.subject.received_at:
        return Reason.CUSTOMER_ARCHIVED
    return reading.reason


def _contribution(reading: Reading) -> str:
    """Write what the event adds to the feature's usage."""
    feature = reading.feature
    if feature.aggregation == Aggregation.COUNT:
        return f"1 {feature.unit_for(1)}"
    if feature.aggregation == Aggregation.UNIQUE_COUNT:
        return f"the value {wording.quoted(reading.unique_key or '')}"
    return wording.units(reading.adds, feature) if reading.adds is not None else "nothing"


def _query_url(context: Context, reading: Reading) -> str:
    """Link to the Query tool with the event's hour."""
    hour = floor_hour(context.subject.occurred_at)
    return admin_url(
        "events_query",
        feature=reading.feature.pk,
        customer=context.subject.external_customer_id,
        window="custom",
        start=f"{hour:%Y-%m-%dT%H:%M}",
        end=f"{hour + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        timezone="UTC",
    )
