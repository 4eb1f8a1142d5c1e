"""Which subscriptions are due: one row for each subscription, updated when the subscription changes."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import batched

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from billing.charges.next_invoice import next_invoice
from billing.charges.subscription import BilledSubscription
from billing.models import BillingState
from config.db.bulk_update import update_in
from events.ledger.closing import close_usage
from events.usage.meter import floor_hour

CLOSE_BATCH = 5_000  # subscriptions, so that memory stays flat
RETRY_AFTER = timedelta(hours=1)
LONGEST_RETRY = timedelta(hours=24)
SHORTEST_PERIOD = timedelta(hours=22)  # a day on which clocks go forward, less an hour to spare

# A due date that is too early only costs a query. One that is too late would miss an invoice, so changes that can make
# it earlier are found here: a new subscription, an end that was set, moved or removed, a trial that was shortened.
ADD_MISSING = """
    INSERT INTO billing_billingstate (subscription_id, due_at, opened, parked_reason, attempts)
    SELECT subscription.id, subscription.started_at, false, '', 0
    FROM customers_subscription AS subscription
    LEFT JOIN billing_billingstate AS state ON state.subscription_id = subscription.id
    WHERE state.subscription_id IS NULL
    ON CONFLICT DO NOTHING
"""
ADD_ONE = ADD_MISSING.replace("IS NULL", "IS NULL AND subscription.id = %s")
NOTICE_ENDS = """
    UPDATE billing_billingstate AS state
    SET due_at = COALESCE(LEAST(subscription.ended_at, state.closed_at), subscription.started_at)
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
NOTICE_CHANGE = """
    UPDATE billing_billingstate
    SET change_at = LEAST(change_at, %(at)s), due_at = LEAST(due_at, %(at)s)
    WHERE subscription_id = %(subscription_id)s AND opened
"""
SAVED = (
    *("due_at", "billed_until", "opened", "closed_at", "change_at"),
    *("parked_at", "parked_reason", "attempts", "retry_at"),
)


def refresh_states() -> None:
    """Create missing rows, and make due dates earlier where the subscription changed. Set-based."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (ADD_MISSING, NOTICE_ENDS, NOTICE_OPENINGS):
            cursor.execute(statement)


def add_state(subscription_id: int) -> None:
    """Create a new subscription's row, unless it exists."""
    with connection.cursor() as cursor:
        cursor.execute(ADD_ONE, [subscription_id])


def notice_change(subscription_id: int, *, at: datetime) -> None:
    """Have a change invoiced when it takes effect, at `at`. Call it in the transaction of the change.

    If the opening invoice isn't made yet, it includes the change, and nothing is noticed.
    """
    with connection.cursor() as cursor:
        cursor.execute(NOTICE_CHANGE, {"at": at, "subscription_id": subscription_id})


def due(as_of: datetime) -> QuerySet[BillingState]:
    """Filter to the states that are due, without parked ones whose retry isn't due."""
    is_parked = Q(parked_at__isnull=False) & (Q(retry_at=None) | Q(retry_at__gt=as_of))
    return BillingState.objects.filter(due_at__lte=as_of).exclude(is_parked)


def close_due(as_of: datetime, subscription_ids: Collection[int] | None = None) -> None:
    """Close the usage that is about to be invoiced, of all or some subscriptions: changes from now on are late usage.

    Call it before a run's transaction: it returns once usage that doesn't count as late can be read. Entire hours
    before the moment are closed, and periods that end within its hour to the minute.
    """
    states = BillingState.objects.filter(due_at__lte=as_of)
    if subscription_ids is not None:
        states = states.filter(pk__in=subscription_ids)
    rows = states.values_list("subscription__customer_id", "due_at", "subscription__ended_at")
    for batch in batched(rows.iterator(chunk_size=CLOSE_BATCH), CLOSE_BATCH):
        until: dict[int, datetime] = {}
        for customer_id, due_at, ended_at in batch:
            if due_at is not None:
                until[customer_id] = max(until.get(customer_id, due_at), _closed_until(due_at, ended_at, as_of))
        close_usage(until)


def _closed_until(due_at: datetime, ended_at: datetime | None, as_of: datetime) -> datetime:
    """Cover every period that ends by `as_of`, and as little of the current hour as possible."""
    hour = floor_hour(as_of)
    catches_up = due_at < as_of - SHORTEST_PERIOD
    if catches_up or (ended_at is not None and hour < ended_at <= as_of):
        return as_of
    return max(hour, due_at)


def parked() -> QuerySet[BillingState]:
    """Filter to subscriptions that couldn't be billed, the longest waiting first."""
    return BillingState.objects.filter(parked_at__isnull=False).order_by("parked_at")


def advance(state: BillingState, subscription: BilledSubscription) -> None:
    """Copy the subscription's billing progress to its state, with its next due date. The caller saves it."""
    progress = subscription.progress
    state.opened, state.billed_until, state.closed_at = progress.opened, progress.billed_until, progress.closed_at
    state.change_at = progress.change_at
    invoice = next_invoice(subscription)
    state.due_at = None if invoice is None else invoice.due_at


def unpark(state: BillingState) -> None:
    """Clear the problem of a subscription that was billed. The caller saves it."""
    state.parked_at, state.parked_reason, state.attempts, state.retry_at = None, "", 0, None


def park(state: BillingState, reason: str, *, now: datetime) -> None:
    """Park a subscription with the reason and retry it after an hour, then twice as long, up to a day. Caller saves."""
    state.parked_at = state.parked_at or now
    state.parked_reason = reason
    state.attempts += 1
    state.retry_at = now + min(RETRY_AFTER * 2 ** min(state.attempts - 1, 10), LONGEST_RETRY)


def save_states(states: Sequence[BillingState]) -> None:
    """Update many existing states in one statement."""
    update_in(states, SAVED)
