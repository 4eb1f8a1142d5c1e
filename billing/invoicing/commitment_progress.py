"""How far the current term of a subscription's commitment is used, with usage that isn't invoiced yet."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from billing.charges.subscription_commitments import TermStatus, list_terms, term_status, usage_of
from billing.invoicing.subscriptions import load_subscriptions
from billing.invoicing.upcoming import upcoming
from billing.money import exact


def commitment_progress(subscription_id: int, *, now: datetime) -> TermStatus | None:
    """Return the term in force now, or at the subscription's start if that is later; None without a commitment."""
    subscription, lines = load_subscriptions([subscription_id])[subscription_id], []
    if not subscription.committed.amounts:
        return None
    result = upcoming(subscription_id, now=now)
    if result.invoice is not None:
        subscription, lines = result.invoice.request.subscription, result.invoice.lines
    at = max(now, subscription.started_at)
    facts = replace(subscription.committed, usage=[*subscription.committed.usage, *usage_of(lines)])
    statuses = (
        term_status(subscription, committed, term, facts)
        for committed in facts.amounts
        for term in list_terms(subscription, committed, at)
        if term.served is not None and term.served.contains(at)
    )
    return next(statuses, None)


def percent_used(status: TermStatus) -> Decimal:
    """Return how much of a term's amount is used, in percent, at most 100."""
    with exact():
        return status.drawn / status.limit * 100 if status.limit else Decimal(100)
