"""What becomes of an event that changed an invoiced period afterwards."""

from datetime import datetime

from events.diagnosis.billing_facts import Facts, LateFact, LateStanding
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import Evidence, Fix
from events.models import ProblemState

SAYS = {
    LateStanding.HELD: "The difference, {amount}, waits for approval.",
    LateStanding.WAITING: "The difference, {amount}, goes on the subscription's next invoice.",
    LateStanding.SMALL: "The difference, {amount}, is below the limit and waits until more of it comes.",
    LateStanding.INVOICED: "The difference, {amount}, is on {where}.",
    LateStanding.CREDITED: "The difference, {amount}, is on credit note {where}.",
    LateStanding.IGNORED: "The difference, {amount}, was let go: {why}",
}
LINKS = {
    LateStanding.HELD: "Decide about the difference",
    LateStanding.INVOICED: "Open the invoice that holds it",
}
PENDING = "What that changes is worked out within a minute, and goes on the subscription's next invoice."
NOTHING = "It changes nothing about what its period comes to."


def changed_at(context: Context, reading: Reading) -> datetime | None:
    """Return when the event last changed the feature's usage: counted, replayed, or voided. None: not counted yet."""
    problems = [*context.problems.get(None, []), *context.problems.get(reading.feature.pk, [])]
    moments = [context.subject.processed_at, context.void.voided_at if context.void else None]
    moments += [problem.closed_at for problem in problems if problem.state == ProblemState.RESOLVED]
    return max((moment for moment in moments if moment is not None), default=None)


def late_fact(facts: Facts, changed: datetime | None) -> LateFact | None:
    """Pick the adjustment that holds a change of that moment: the first that was worked out after it."""
    return next((fact for fact in facts.late if changed is None or fact.as_of > changed), None)


def becomes(facts: Facts, fact: LateFact | None) -> str:
    """Say in a sentence what becomes of the change."""
    if fact is not None:
        return SAYS[fact.standing].format(amount=fact.amount, where=fact.where, why=fact.why)
    return PENDING if facts.is_late_pending else NOTHING


def evidence_of(fact: LateFact) -> Evidence:
    return Evidence("Late usage", f"{fact.amount}, {fact.description}", fact.url)


def fixes_of(fact: LateFact | None) -> tuple[Fix, ...]:
    if fact is None or not fact.url:
        return ()
    return (Fix(LINKS.get(fact.standing, "Look at the difference"), url=fact.url),)
