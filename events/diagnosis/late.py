"""How an event is billed that changed the usage of an invoiced period."""

from datetime import datetime

from events.diagnosis.billing_facts import Facts, LateFact, LateUsageStatus
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import Fix
from events.models import ProblemState

DESCRIPTIONS = {
    LateUsageStatus.HELD: "The difference, {amount}, is waiting for approval.",
    LateUsageStatus.WAITING: "The difference, {amount}, goes on the subscription's next invoice.",
    LateUsageStatus.SMALL: "The difference, {amount}, is below the limit and stays open until it exceeds the limit.",
    LateUsageStatus.INVOICED: "The difference, {amount}, is on {where}.",
    LateUsageStatus.CREDITED: "The difference, {amount}, is on credit note {where}.",
    LateUsageStatus.IGNORED: "The difference, {amount}, was waived: {why}",
}
LINKS = {
    LateUsageStatus.HELD: "Approve or waive the difference",
    LateUsageStatus.INVOICED: "Open the invoice with the difference",
}
PENDING = "The difference is calculated within a minute, and goes on the subscription's next invoice."
NO_DIFFERENCE = "It doesn't change the period's total."


def changed_at(context: Context, reading: Reading) -> datetime | None:
    """Return when the event last changed the feature's usage: counted, replayed or voided. None: not counted yet."""
    problems = [*context.problems.get(None, []), *context.problems.get(reading.feature.pk, [])]
    moments = [context.subject.processed_at, context.void.voided_at if context.void else None]
    moments += [problem.closed_at for problem in problems if problem.state == ProblemState.RESOLVED]
    return max((moment for moment in moments if moment is not None), default=None)


def late_fact(facts: Facts, changed: datetime | None) -> LateFact | None:
    """Pick the adjustment that includes a change made at that time: the first calculated after it."""
    return next((fact for fact in facts.late if changed is None or fact.as_of > changed), None)


def describe(facts: Facts, fact: LateFact | None) -> str:
    """Say in a sentence how the change is billed."""
    if fact is not None:
        return DESCRIPTIONS[fact.status].format(amount=fact.amount, where=fact.where, why=fact.why)
    return PENDING if facts.is_late_pending else NO_DIFFERENCE


def fixes_of(fact: LateFact | None) -> tuple[Fix, ...]:
    if fact is None or not fact.url:
        return ()
    return (Fix(LINKS.get(fact.status, "Open the difference"), url=fact.url),)
