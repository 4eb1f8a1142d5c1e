"""Invoice at once what a new subscription owes in advance, and what a change leaves to pay.

Usage is left to the end of its period. If this doesn't happen, because the process died or the subscription is parked,
the next billing run makes the same invoice: the billing progress decides which invoice is due, and its lock and the
constraint on invoices allow only one.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import InterfaceError, OperationalError

from billing.charges.next_invoice import reopen_billing
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.subscriptions import load_subscriptions
from billing.isolation import isolate
from billing.kinds import IN_ADVANCE_KINDS
from billing.runs.billing_run import Progress, compute_due, park_unexpected, save_batch
from billing.runs.billing_states import add_state, due, notice_change
from billing.runs.tally import Tally
from customers.models import Subscription

logger = logging.getLogger(__name__)


def invoice_start(subscription: Subscription, /, *, now: datetime) -> None:
    """Draft the opening invoice of a new subscription, if it is due: not before the start or the trial's end.

    Call it after the subscription is committed, so that its customer isn't locked. Safe to repeat.
    """
    add_state(subscription.pk)
    try:
        _invoice(subscription.pk, now)
    except (OperationalError, InterfaceError):
        logger.warning("The next billing run invoices the start of %s", subscription, exc_info=True)


def invoice_change(subscription: Subscription, /, *, at: datetime, now: datetime) -> None:
    """Draft an invoice of what a change leaves to pay. A credit is left to the next invoice.

    `at` is when the change takes effect. A later change is invoiced by the billing run that is due then. Call it in the
    transaction of the change. Example: $499.00 a year were invoiced on 1 January. On 1 February the plan changes to one
    of $998.00: 334 of 365 days of the difference are $456.62, which are invoiced on 1 February.
    """
    add_state(subscription.pk)
    notice_change(subscription.pk, at=max(at, now))
    _invoice(subscription.pk, now)


def _invoice(subscription_id: int, now: datetime) -> None:
    isolate(
        [subscription_id],
        partial(_invoice_batch, now=now),
        lambda pk, error: park_unexpected(pk, error, now),
    )


def _invoice_batch(subscription_ids: Sequence[int], *, now: datetime) -> Tally:
    states = list(due(now).filter(pk__in=subscription_ids).select_for_update(of=("self",)).order_by("pk"))
    if not states:
        return Tally()
    subscriptions = load_subscriptions([state.pk for state in states])
    attach_conditions(subscriptions.values(), lock=True)
    batch = [Progress(state, subscriptions[state.pk]) for state in states]
    for progress in batch:
        reopen_billing(progress.subscription)
    compute_due(batch, now, kinds=IN_ADVANCE_KINDS)
    return save_batch(batch, now)
