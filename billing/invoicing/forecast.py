"""The invoices that are to come, as far as they are known: fees, commitments and usage so far, without later usage."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.invoicing.upcoming import Upcoming, upcoming
from billing.money import ZERO
from config.approvals.gate import without_approval
from customers.models import Subscription
from customers.periods import Period
from customers.subscriptions import get_schedule

MOST_PERIODS = 12


@dataclass(frozen=True, slots=True)
class ComingInvoice:
    """What is invoiced on one day, and what it would be without the change that is previewed."""

    due_at: datetime
    period: Period
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return self.after - self.before


def preview_coming(subscription: Subscription, change: Callable[[], object], *, now: datetime) -> list[ComingInvoice]:
    """List the invoices of the next periods with a change and without. Saves nothing. Raises what the change raises."""
    before = _list_totals(subscription, now)
    with transaction.atomic():
        with without_approval():
            change()
        after = _list_totals(subscription, now)
        transaction.set_rollback(True)
    return [
        ComingInvoice(due_at, (after.get(due_at) or before[due_at])[0], _total(before, due_at), _total(after, due_at))
        for due_at in sorted({*before, *after})
    ]


def forecast(subscription: Subscription, *, now: datetime, periods: int = MOST_PERIODS) -> Upcoming:
    """Calculate the invoices that are due until the end of so many billing periods, the current one included.

    They are the `earlier` ones of the result, by when they are due, with those that are due and not issued yet.
    """
    schedule = get_schedule(subscription)
    start = max(now, subscription.started_at)
    return upcoming(subscription.pk, now=schedule.boundary(schedule.index_at(start) + periods))


type Totals = dict[datetime, tuple[Period, Decimal]]


def _list_totals(subscription: Subscription, now: datetime) -> Totals:
    """Return the totals of the invoices that are due within the next periods, by when they are due."""
    result = forecast(subscription, now=now)
    totals: Totals = defaultdict(lambda: (Period(now, now), ZERO))
    for computed in result.earlier:
        invoice = computed.request.invoice
        _, total = totals[invoice.due_at]
        totals[invoice.due_at] = (invoice.period, total + computed.total)
    return dict(totals)


def _total(totals: Totals, due_at: datetime) -> Decimal:
    return totals[due_at][1] if due_at in totals else ZERO
