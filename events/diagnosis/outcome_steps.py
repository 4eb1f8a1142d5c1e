"""The last steps: free tier, billing period and invoice, duplicates, the usage it added, and its invoice line."""

from datetime import datetime, timedelta
from decimal import Decimal

from catalog.models import Aggregation
from config.numbers import number
from config.office.links import admin_url, page_of
from customers.models import PhaseKind
from events import wording
from events.diagnosis import late
from events.diagnosis.billing_facts import Facts, Standing
from events.diagnosis.context import Context
from events.diagnosis.meter_steps import replay_fix
from events.diagnosis.readings import Reading
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.subject import Place, Subject, find_subject, was_pruned
from events.links import event_url
from events.models import DuplicateEvent, EventState, UsageBucket
from events.models.ledger import DuplicateKind
from events.reasons import Reason
from events.usage.meter import floor_hour

RESETS = {
    "period": "each billing period",
    "daily": "each day",
    "weekly": "each week",
    "monthly": "each month",
    "never": "once for the subscription's life",
}


def _facts(context: Context, reading: Reading) -> Facts | None:
    """Return billing's facts for the feature: of several subscriptions the one that prices it."""
    found = context.facts_of(reading.feature.pk)
    return next((facts for facts in found if facts.lines or facts.free_tier), found[0] if found else None)


def free_tier_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Tell how many free units the plan grants, and how many are left in the event's window."""
    facts = _facts(context, reading)
    if facts is None:
        return reading.step(StepKey.FREE_TIER, Status.INFO, "Not known: no subscription was in force.")
    if facts.problem:
        return reading.step(StepKey.FREE_TIER, Status.INFO, f"Not known: {facts.problem}")
    if any(phase.kind == PhaseKind.TRIAL for phase in context.phases_at):
        return reading.step(StepKey.FREE_TIER, Status.INFO, "In trial: all usage is free.")
    tier, feature = facts.free_tier, reading.feature
    if tier is None and not context.is_priced(feature.pk):
        return reading.step(StepKey.FREE_TIER, Status.INFO, "The plan in force doesn't charge for the feature at all.")
    if tier is None:
        return reading.step(StepKey.FREE_TIER, Status.PASS, "The plan grants no free units: every unit is charged.")
    evidence = (
        Evidence("Granted", RESETS.get(tier.reset, tier.reset)),
        Evidence("Counted over", wording.span(tier.window, facts.timezone)),
        Evidence("Used", wording.units(tier.used, feature)),
    )
    if tier.limit is None:
        sentence = "The plan grants it without limit: it is counted, and never charged."
        return reading.step(StepKey.FREE_TIER, Status.WARNING, sentence, Reason.WITHIN_FREE_TIER, evidence=evidence)
    left = max(tier.limit - tier.used, Decimal(0))
    granted = wording.units(tier.limit, feature)
    if left > 0:
        sentence = f"Within the free tier: {number(tier.used)} of {granted} used, {number(left)} left."
        fix = Fix("Look at the plan's free units", url=page_of(context.phases_at[0].plan_version.plan))
        return reading.step(
            StepKey.FREE_TIER,
            Status.WARNING,
            sentence,
            Reason.WITHIN_FREE_TIER,
            evidence=evidence,
            fixes=(fix,),
        )
    over = wording.units(tier.used - tier.limit, feature)
    verb = "is" if tier.used - tier.limit == 1 else "are"
    sentence = f"The free tier of {granted} is used up; {over} {verb} charged."
    return reading.step(StepKey.FREE_TIER, Status.PASS, sentence, evidence=evidence)


def period_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Tell which billing period the event belongs to, and what became of that period's invoice."""
    facts = _facts(context, reading)
    if facts is None:
        return reading.step(StepKey.PERIOD, Status.INFO, "Not known: no subscription was in force.")
    period = wording.span(facts.period, facts.timezone)
    evidence = [Evidence("Billing period", period)]
    if reading.feature.is_cumulative:
        evidence.append(Evidence("Usage reset", "Cumulative: every later period bills it in its running total as well"))
    else:
        evidence.append(Evidence("Usage reset", "Periodic: usage starts at 0 each billing period"))
    if facts.invoice is None:
        return _without_invoice(context, reading, facts, evidence)
    invoice = facts.invoice
    evidence.append(Evidence("Invoice", f"{invoice.number} ({invoice.state.lower()})", invoice.url))
    evidence.append(Evidence("Worked out", wording.moment(invoice.computed_at)))
    changed = late.changed_at(context, reading)
    is_late = changed is None or changed > invoice.computed_at
    if is_late and invoice.is_final:
        what = "voided" if context.void is not None else "counted"
        sentence = f"Its period ({period}) was invoiced on {invoice.number} before the event was {what}."
        return _late(reading, facts, changed, sentence, evidence)
    if is_late:
        sentence = (
            f"The draft {invoice.number} of its period was worked out before the event was counted: recompute it."
        )
        fix = Fix("Open the draft", url=invoice.url)
        return reading.step(
            StepKey.PERIOD,
            Status.WARNING,
            sentence,
            Reason.PERIOD_ALREADY_INVOICED,
            evidence=tuple(evidence),
            fixes=(fix,),
        )
    sentence = f"It belongs to {period}, which is on invoice {invoice.number}."
    if facts.standing == Standing.PAST:
        return reading.step(
            StepKey.PERIOD,
            Status.WARNING,
            f"{sentence} It isn't on the upcoming one.",
            Reason.OUTSIDE_BILLING_PERIOD,
            evidence=tuple(evidence),
        )
    return reading.step(StepKey.PERIOD, Status.PASS, sentence, evidence=tuple(evidence))


def _late(
    reading: Reading, facts: Facts, changed: datetime | None, sentence: str, evidence: list[Evidence]
) -> DiagnosisStep:
    """Say what becomes of a change that came after its period was invoiced."""
    fact = late.late_fact(facts, changed)
    shown = [*evidence, late.evidence_of(fact)] if fact is not None else evidence
    return reading.step(
        StepKey.PERIOD,
        Status.WARNING,
        f"{sentence} {late.becomes(facts, fact)}",
        Reason.PERIOD_ALREADY_INVOICED,
        evidence=tuple(shown),
        fixes=late.fixes_of(fact),
    )


def _without_invoice(context: Context, reading: Reading, facts: Facts, evidence: list[Evidence]) -> DiagnosisStep:
    period = wording.span(facts.period, facts.timezone)
    if facts.standing == Standing.CURRENT:
        follows = (
            "what it adds is on the upcoming invoice" if context.is_priced(reading.feature.pk) else "it isn't charged"
        )
        sentence = f"In the current billing period ({period}); {follows}."
        fix = (Fix("Look at the upcoming invoice", url=facts.billing_url),) if facts.billing_url else ()
        return reading.step(StepKey.PERIOD, Status.PASS, sentence, evidence=tuple(evidence), fixes=fix)
    if facts.late or facts.is_late_pending:
        sentence = f"Its period ({period}) had nothing to be invoiced when it ended."
        return _late(reading, facts, late.changed_at(context, reading), sentence, evidence)
    when = "an earlier" if facts.standing == Standing.PAST else "a later"
    verb = "hasn't been invoiced yet" if facts.standing == Standing.PAST else "hasn't begun"
    sentence = f"In {when} billing period than the current one ({period}), which {verb}."
    return reading.step(
        StepKey.PERIOD, Status.WARNING, sentence, Reason.OUTSIDE_BILLING_PERIOD, evidence=tuple(evidence)
    )


def duplicate_step(context: Context) -> DiagnosisStep:
    """Tell whether the same event_id came again, with the same body or another. The first one stands."""
    repeats = context.repeats
    if context.subject.place == Place.PASTED:
        return _pasted_repeat(context)
    if not repeats:
        return DiagnosisStep(StepKey.DUPLICATE, Status.PASS, "This event_id came once.")
    conflicts = [repeat for repeat in repeats if repeat.kind == DuplicateKind.CONFLICT]
    evidence = tuple(_repeat_evidence(repeat) for repeat in repeats[:20])
    times = sum(repeat.count for repeat in repeats)
    if not conflicts:
        came = "once more" if times == 1 else f"{times:,} times more"
        sentence = f"The same event_id came {came} with the same content. It counts once."
        return DiagnosisStep(StepKey.DUPLICATE, Status.WARNING, sentence, Reason.DUPLICATE_SAME_BODY, evidence)
    more = "once" if times == 1 else f"{times:,} times"
    sentence = (
        f"The same event_id came {more} more, with other content. The first one stands: to count the other, "
        "void this one or send the other under a new event_id."
    )
    sides = tuple(_sides(context, conflict) for conflict in conflicts[:5])
    return DiagnosisStep(StepKey.DUPLICATE, Status.WARNING, sentence, Reason.DUPLICATE_CONFLICT, evidence, sides)


def _pasted_repeat(context: Context) -> DiagnosisStep:
    known = find_subject(context.subject.event_id)
    if known is None and not was_pruned(context.subject.event_id):
        return DiagnosisStep(StepKey.DUPLICATE, Status.PASS, "No event with this event_id has come yet.")
    sentence = "An event with this event_id has come before: this one would be logged as its duplicate, and not count."
    evidence = [Evidence("First one", context.subject.event_id, event_url(context.subject.event_id))]
    comparisons: tuple[Comparison, ...] = ()
    reason = Reason.DUPLICATE_SAME_BODY
    if known is not None:
        rows = _compared(_body(known), _body(context.subject))
        if any(left != right for _, left, right in rows):
            reason = Reason.DUPLICATE_CONFLICT
            comparisons = (Comparison("The first one, which stands", "Pasted", rows),)
    return DiagnosisStep(StepKey.DUPLICATE, Status.FAIL, sentence, reason, tuple(evidence), comparisons)


def _repeat_evidence(repeat: DuplicateEvent) -> Evidence:
    kind = "Conflict" if repeat.kind == DuplicateKind.CONFLICT else "Same body"
    key = f", key {repeat.api_key.name}" if repeat.api_key_id and repeat.api_key else ""
    source = f"source {repeat.source}" if repeat.source else "no source"
    last = wording.moment(repeat.last_at)
    return Evidence(kind, f"{repeat.count:,}×, {source}{key}, last {last}", page_of(repeat))


def _sides(context: Context, conflict: DuplicateEvent) -> Comparison:
    body = conflict.body or {}
    other = {
        "event_name": str(body.get("event_name", "")),
        "external_customer_id": str(body.get("external_customer_id", "")),
        "timestamp": str(body.get("timestamp") or "none"),
        "source": str(body.get("source") or "none"),
    } | {f"properties.{name}": str(value) for name, value in (body.get("properties") or {}).items()}
    return Comparison(
        "The first one, which stands",
        f"Came again {wording.minute(conflict.last_at)}",
        _compared(_body(context.subject), other),
    )


def _body(subject: Subject) -> dict[str, str]:
    stamp = subject.occurred_at.isoformat() if subject.has_timestamp else "none"
    own = {
        "event_name": subject.event_name,
        "external_customer_id": subject.external_customer_id,
        "timestamp": stamp,
        "source": subject.source or "none",
    }
    return own | {f"properties.{name}": str(value) for name, value in subject.parsed.items()}


def _compared(left: dict[str, str], right: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    names = dict.fromkeys([*left, *right])
    return tuple((name, left.get(name, "missing"), right.get(name, "missing")) for name in names)


def usage_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Tell what the event adds to the feature's usage, in which hour, or why it adds nothing."""
    subject, feature = context.subject, reading.feature
    adds = contribution(reading)
    how = wording.AGGREGATES[Aggregation(feature.aggregation)]
    evidence = [Evidence("Aggregation", f"{feature.get_aggregation_display()}: {how}")]
    if context.void is not None:
        who = f" by {context.void.voided_by}" if context.void.voided_by else ""
        sentence = f"It adds nothing: voided{who} on {wording.minute(context.void.voided_at)}: {context.void.reason}"
        return reading.step(StepKey.USAGE, Status.FAIL, sentence, Reason.VOIDED, evidence=tuple(evidence))
    if context.is_counted(reading) and subject.customer_id is not None:
        hour = floor_hour(subject.occurred_at)
        bucket = UsageBucket.objects.filter(customer_id=subject.customer_id, feature=feature, hour=hour).first()
        if bucket is None:
            sentence = (
                "By today's definition it counts, but its hour hasn't been recounted yet: a worker does so by itself."
            )
            return reading.step(
                StepKey.USAGE, Status.WARNING, sentence, evidence=tuple(evidence), fixes=(replay_fix(context),)
            )
        evidence.append(Evidence("Added", adds))
        evidence.append(
            Evidence("Hour", f"{wording.minute(hour)}: {bucket.count:,} events", query_url(context, reading))
        )
        return reading.step(StepKey.USAGE, Status.PASS, f"Counted: it added {adds}.", evidence=tuple(evidence))
    return _not_counted(context, reading, adds, tuple(evidence))


def _not_counted(context: Context, reading: Reading, adds: str, evidence: tuple[Evidence, ...]) -> DiagnosisStep:
    subject = context.subject
    blocked = _first_obstacle(context, reading)
    dismissed = context.dismissed(reading.feature.pk)
    if dismissed is not None:
        who = f" by {dismissed.closed_by}" if dismissed.closed_by else ""
        sentence = f"It adds nothing: dismissed{who}: {dismissed.closing}"
        return reading.step(StepKey.USAGE, Status.WARNING, sentence, evidence=evidence)
    if blocked is None:
        if subject.place == Place.LEDGER:
            sentence = f"Not counted yet. Today it would add {adds}: replay it."
            return reading.step(
                StepKey.USAGE, Status.WARNING, sentence, evidence=evidence, fixes=(replay_fix(context),)
            )
        will = "It will add" if subject.place == Place.WAITING else "It would add"
        return reading.step(StepKey.USAGE, Status.INFO, f"{will} {adds}.", evidence=evidence)
    if blocked == Reason.FILTER_MISMATCH and any(other.passes_filter for other in context.readings):
        sentence = "It adds nothing here: the filter leaves it to another feature."
        return reading.step(StepKey.USAGE, Status.INFO, sentence, evidence=evidence)
    verb = "adds" if subject.place == Place.LEDGER else "would add"
    sentence = f"It {verb} nothing: {blocked.label.lower()}."
    if reading.value_reason is None:
        sentence += f" Mended, it adds {adds}."
    return reading.step(StepKey.USAGE, Status.FAIL, sentence, blocked, evidence=evidence)


def _first_obstacle(context: Context, reading: Reading) -> Reason | None:
    """Return what keeps the event from counting for the feature, by today's configuration."""
    if context.name.suspected is not None:
        return Reason.UNKNOWN_EVENT_NAME
    if context.customer.customer is None:
        return Reason.UNKNOWN_CUSTOMER
    archived_at = context.customer.customer.archived_at
    if archived_at is not None and archived_at <= context.subject.received_at:
        return Reason.CUSTOMER_ARCHIVED
    return reading.reason


def contribution(reading: Reading) -> str:
    """Write what the event adds to the feature's usage."""
    feature = reading.feature
    if feature.aggregation == Aggregation.COUNT:
        return f"1 {feature.unit_for(1)}"
    if feature.aggregation == Aggregation.UNIQUE_COUNT:
        return f"the value {wording.quoted(reading.unique_key or '')}"
    return wording.units(reading.adds, feature) if reading.adds is not None else "nothing"


def invoice_line_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Tell which invoice line the usage is on, or what the line would say as things stand."""
    facts = _facts(context, reading)
    if facts is None:
        return reading.step(StepKey.INVOICE_LINE, Status.INFO, "None: no subscription was in force.")
    if facts.problem:
        return reading.step(StepKey.INVOICE_LINE, Status.FAIL, f"Can't be worked out: {facts.problem}")
    if not facts.lines:
        status = Status.WARNING if context.is_counted(reading) else Status.INFO
        return reading.step(
            StepKey.INVOICE_LINE, status, "None: the plan in force has no line for the feature in this period."
        )
    evidence = tuple(
        Evidence("Late usage" if line.is_late else "Line", f"{line.description} = {line.amount}", line.url)
        for line in facts.lines
    )
    line = facts.lines[-1]
    counted = context.is_counted(reading)
    if line.is_written:
        sentence = f"Its period's line for {reading.feature.name} comes to {line.amount}."
    else:
        sentence = f"As things stand, the line for {reading.feature.name} comes to {line.amount}."
    if not counted and context.subject.state not in (EventState.VOIDED, EventState.DISMISSED):
        return reading.step(
            StepKey.INVOICE_LINE, Status.INFO, f"{sentence} This event is not in it.", evidence=evidence
        )
    return reading.step(StepKey.INVOICE_LINE, Status.PASS, sentence, evidence=evidence)


def query_url(context: Context, reading: Reading) -> str:
    """Link to the Query tool with the hour of the event and the day around it."""
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
