"""Which subscriptions are due: kept in one row each, brought up to date from the subscriptions' own facts."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from billing.accounts import Account
from billing.models import BillingState
from billing.steps import next_step

RETRY_AFTER = timedelta(hours=1)
LONGEST_RETRY = timedelta(hours=24)

# A due moment that is too early only costs a look. One that is too late would miss an invoice, so what can move it
# forward is looked for here: a new subscription, an end that was set, moved or taken back, a trial cut short.
ADD_MISSING = """
    INSERT INTO billing_billingstate (subscription_id, due_at, opened, parked_reason, attempts)
    SELECT subscription.id, subscription.started_at, false, '', 0
    FROM customers_subscription AS subscription
    LEFT JOIN billing_billingstate AS state ON state.subscription_id = subscription.id
    WHERE state.subscription_id IS NULL
    ON CONFLICT DO NOTHING
"""
NOTICE_ENDS = """
    UPDATE billing_billingstate AS state
    SET due_at = COALESCE(subscription.ended_at, state.closed_at, subscription.started_at)
    FROM customers_subscription AS subscription
    WHERE subscription.id = state.subscription_id
      AND state.closed_at IS DISTINCT FROM subscription.ended_at
      AND (state.due_at IS NULL OR state.due_at > COALESCE(subscription.ended_at, state.due_at))
"""
NOTICE_OPENINGS = """
    UPDATE billing_billingstate AS state
    SET due_at = phase.starts_at
    FROM customers_subscriptionphase AS phase
    WHERE phase.subscription_id = state.subscription_id AND phase.superseded_at IS NULL AND phase.kind = 'active'
      AND NOT state.opened AND state.due_at > phase.starts_at
      AND (state.billed_until IS NULL OR state.billed_until < phase.starts_at)
"""


def refresh_states() -> None:
    """Give every subscription its row, and move due moments forward where the subscription changed. Set-based."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (ADD_MISSING, NOTICE_ENDS, NOTICE_OPENINGS):
            cursor.execute(statement)


def due(as_of: datetime) -> QuerySet[BillingState]:
    """Keep the states that there is something to do for: due, and not parked until later."""
    waiting = Q(parked_at__isnull=False) & (Q(retry_at=None) | Q(retry_at__gt=as_of))
    return BillingState.objects.filter(due_at__lte=as_of).exclude(waiting)


def parked() -> QuerySet[BillingState]:
    """Keep subscriptions that could not be billed, the longest waiting first."""
    return BillingState.objects.filter(parked_at__isnull=False).order_by("parked_at")


def advance(state: BillingState, account: Account) -> None:
    """Take over the account's standing, and when it is due next. Saved by the caller."""
    standing = account.standing
    state.opened, state.billed_until, state.closed_at = standing.opened, standing.billed_until, standing.closed_at
    step = next_step(account)
    state.due_at = None if step is None else step.due_at


def unpark(state: BillingState) -> None:
    """Take a subscription back that could be billed. Saved by the caller."""
    state.parked_at, state.parked_reason, state.attempts, state.retry_at = None, "", 0, None


def park(state: BillingState, reason: str, *, now: datetime) -> None:
    """Put a subscription aside with the reason, to be tried again: after an hour, then twice as long, up to a day."""
    state.parked_at = state.parked_at or now
    state.parked_reason = reason
    state.attempts += 1
    state.retry_at = now + min(RETRY_AFTER * 2 ** min(state.attempts - 1, 10), LONGEST_RETRY)


def save_states(states: Iterable[BillingState]) -> None:
    """Write many states in one statement."""
    fields = ["due_at", "billed_until", "opened", "closed_at", "parked_at", "parked_reason", "attempts", "retry_at"]
    BillingState.objects.bulk_create(
        states, update_conflicts=True, update_fields=fields, unique_fields=["subscription"]
    )
