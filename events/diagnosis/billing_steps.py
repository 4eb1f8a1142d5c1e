"""The steps about billing: the free tier, the billing period with its invoice, and the invoice line."""

from datetime import datetime

from catalog.kinds import EntitlementReset
from config.numbers import number
from config.office.links import page_of
from customers.models import PhaseKind
from events import wording
from events.diagnosis import late
from events.diagnosis.billing_facts import Facts, PeriodStatus
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import DiagnosisStep, Evidence, Fix, Status, StepKey
from events.models import EventState
from events.reasons import Reason

RESETS = {
    EntitlementReset.PERIOD: "each billing period",
    EntitlementReset.DAILY: "each day",
    EntitlementReset.WEEKLY: "each week",
    EntitlementReset.MONTHLY: "each month",
    EntitlementReset.NEVER: "once for the subscription's lifetime",
}
NO_SUBSCRIPTION = "Not known, because no subscription was in force."


def _facts(context: Context, reading: Reading) -> Facts | None:
    """Return billing's facts about the feature: of several subscriptions, from the one that prices it."""
    candidates = context.facts_of(reading.feature.pk)
    return next((facts for facts in candidates if facts.lines or facts.free_tier), next(iter(candidates), None))


def free_tier_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report how many free units the plan grants, and how many of them are used."""
    facts, feature = _facts(context, reading), reading.feature
    if facts is None:
        return reading.step(StepKey.FREE_TIER, Status.INFO, NO_SUBSCRIPTION)
    if facts.problem:
        return reading.step(StepKey.FREE_TIER, Status.INFO, f"Not known: {facts.problem}")
    if any(phase.kind == PhaseKind.TRIAL for phase in context.phases_at):
        return reading.step(StepKey.FREE_TIER, Status.INFO, "In trial: all usage is free.")
    tier = facts.free_tier
    if tier is None and not context.is_priced(feature.pk):
        return reading.step(StepKey.FREE_TIER, Status.INFO, "The plan in force doesn't charge for this feature.")
    if tier is None:
        return reading.step(StepKey.FREE_TIER, Status.PASS, "The plan has no free units: every unit is charged.")
    evidence = [
        Evidence("Granted", RESETS[EntitlementReset(tier.reset)]),
        Evidence("Counted over", wording.span(tier.window, facts.timezone)),
        Evidence("Used", wording.units(tier.used, feature)),
    ]
    if tier.limit is None:
        sentence = "The plan includes unlimited free units: usage is counted, but never charged."
        return reading.step(StepKey.FREE_TIER, Status.WARNING, sentence, Reason.WITHIN_FREE_TIER, evidence=evidence)
    granted = wording.units(tier.limit, feature)
    if tier.remaining:
        used, remaining = number(tier.used), number(tier.remaining)
        return reading.step(
            StepKey.FREE_TIER,
            Status.WARNING,
            f"Within the free tier: {used} of {granted} used, {remaining} left.",
            Reason.WITHIN_FREE_TIER,
            evidence=evidence,
            fixes=[Fix("Open the plan", url=page_of(context.phases_at[0].plan_version.plan))],
        )
    excess = tier.used - tier.limit
    verb = "is" if excess == 1 else "are"
    sentence = f"The free tier of {granted} is used up; {wording.units(excess, feature)} {verb} charged."
    return reading.step(StepKey.FREE_TIER, Status.PASS, sentence, evidence=evidence)


def period_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report which billing period the event belongs to, and whether that period's invoice includes it."""
    facts = _facts(context, reading)
    if facts is None:
        return reading.step(StepKey.PERIOD, Status.INFO, NO_SUBSCRIPTION)
    period = wording.span(facts.period, facts.timezone)
    evidence = [Evidence("Billing period", period)]
    if reading.feature.is_cumulative:
        evidence.append(Evidence("Usage reset", "Cumulative: the running total of every later period includes it too"))
    else:
        evidence.append(Evidence("Usage reset", "Periodic: usage starts at 0 each billing period"))
    if facts.invoice is None:
        return _without_invoice(context, reading, facts, evidence)
    invoice = facts.invoice
    evidence.append(Evidence("Invoice", f"{invoice.number} ({invoice.state.lower()})", invoice.url))
    evidence.append(Evidence("Calculated", wording.timestamp(invoice.computed_at)))
    changed_at = late.changed_at(context, reading)
    is_late = changed_at is None or changed_at > invoice.computed_at
    if is_late and invoice.is_final:
        change = "voided" if context.void is not None else "counted"
        sentence = f"Its period ({period}) was invoiced on {invoice.number} before the event was {change}."
        return _late(reading, facts, changed_at, sentence, evidence)
    if is_late:
        return reading.step(
            StepKey.PERIOD,
            Status.WARNING,
            f"Its period's draft {invoice.number} was calculated before the event was counted: recalculate the draft.",
            Reason.PERIOD_ALREADY_INVOICED,
            evidence=evidence,
            fixes=[Fix("Open the draft", url=invoice.url)],
        )
    sentence = f"It belongs to {period}, which is on invoice {invoice.number}."
    if facts.status == PeriodStatus.PAST:
        sentence += " It isn't on the upcoming invoice."
        reason = Reason.OUTSIDE_BILLING_PERIOD
        return reading.step(StepKey.PERIOD, Status.WARNING, sentence, reason, evidence=evidence)
    return reading.step(StepKey.PERIOD, Status.PASS, sentence, evidence=evidence)


def _late(
    reading: Reading, facts: Facts, changed_at: datetime | None, sentence: str, evidence: list[Evidence]
) -> DiagnosisStep:
    """Report how a change is billed that came after its period was invoiced."""
    fact = late.late_fact(facts, changed_at)
    if fact is not None:
        evidence = [*evidence, Evidence("Late usage", f"{fact.amount}, {fact.description}", fact.url)]
    return reading.step(
        StepKey.PERIOD,
        Status.WARNING,
        f"{sentence} {late.describe(facts, fact)}",
        Reason.PERIOD_ALREADY_INVOICED,
        evidence=evidence,
        fixes=late.fixes_of(fact),
    )


def _without_invoice(context: Context, reading: Reading, facts: Facts, evidence: list[Evidence]) -> DiagnosisStep:
    period = wording.span(facts.period, facts.timezone)
    if facts.status == PeriodStatus.CURRENT:
        is_priced = context.is_priced(reading.feature.pk)
        billing = "its usage is on the upcoming invoice" if is_priced else "it isn't charged"
        sentence = f"In the current billing period ({period}); {billing}."
        fixes = [Fix("Open the upcoming invoice", url=facts.billing_url)] if facts.billing_url else []
        return reading.step(StepKey.PERIOD, Status.PASS, sentence, evidence=evidence, fixes=fixes)
    if facts.late or facts.is_late_pending:
        sentence = f"Its period ({period}) had nothing to invoice when it ended."
        return _late(reading, facts, late.changed_at(context, reading), sentence, evidence)
    if facts.status == PeriodStatus.PAST:
        sentence = f"In an earlier billing period ({period}), which hasn't been invoiced yet."
    else:
        sentence = f"In a later billing period ({period}), which hasn't started."
    reason = Reason.OUTSIDE_BILLING_PERIOD
    return reading.step(StepKey.PERIOD, Status.WARNING, sentence, reason, evidence=evidence)


def invoice_line_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report which invoice line bills the usage, or what the line would currently amount to."""
    facts = _facts(context, reading)
    if facts is None:
        return reading.step(StepKey.INVOICE_LINE, Status.INFO, "None, because no subscription was in force.")
    if facts.problem:
        return reading.step(StepKey.INVOICE_LINE, Status.FAIL, f"Can't be calculated: {facts.problem}")
    is_counted = context.is_counted(reading)
    if not facts.lines:
        status = Status.WARNING if is_counted else Status.INFO
        sentence = "None: the plan in force has no line for this feature in this period."
        return reading.step(StepKey.INVOICE_LINE, status, sentence)
    evidence = [
        Evidence("Late usage" if line.is_late else "Line", f"{line.description} = {line.amount}", line.url)
        for line in facts.lines
    ]
    line, feature = facts.lines[-1], reading.feature
    if line.is_written:
        sentence = f"The period's line for {feature.name} amounts to {line.amount}."
    else:
        sentence = f"The line for {feature.name} currently amounts to {line.amount}."
    if not is_counted and context.subject.state not in (EventState.VOIDED, EventState.DISMISSED):
        sentence += " It doesn't include this event."
        return reading.step(StepKey.INVOICE_LINE, Status.INFO, sentence, evidence=evidence)
    return reading.step(StepKey.INVOICE_LINE, Status.PASS, sentence, evidence=evidence)
