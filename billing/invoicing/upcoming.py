"""The upcoming invoice: what a billing run would charge, as of a moment. Same code as the run; saves nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.charges.next_invoice import (
    NextInvoice,
    is_issued,
    late_invoice,
    mark_invoiced,
    next_invoice,
    reopen_billing,
)
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices, record_on_subscription
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.subscriptions import load_subscriptions
from billing.kinds import InvoiceKind
from billing.money import ZERO
from customers.periods import Period


@dataclass(slots=True)
class Upcoming:
    """A subscription's next invoices.

    `invoice` is the one of the current period: usage so far, fees in arrears, the next period's fees in advance. For a
    subscription that has ended it has late usage. `earlier` are invoices before it, which are due and not issued yet,
    or due at a trial's end or at a scheduled change. `problem` is the reason why an invoice can't be calculated. If all
    are empty, nothing more will be invoiced.
    """

    subscription: BilledSubscription
    invoice: ComputedInvoice | None = None
    earlier: list[ComputedInvoice] = field(default_factory=list)
    problem: str = ""

    @property
    def total(self) -> Decimal:
        return self.invoice.total if self.invoice is not None else ZERO

    @property
    def period(self) -> Period | None:
        return self.invoice.request.invoice.period if self.invoice is not None else None


def upcoming(subscription_id: int, *, now: datetime) -> Upcoming:
    """Calculate a subscription's upcoming invoice as of a moment. Raises `KeyError` if the subscription is unknown."""
    return upcoming_many([subscription_id], now=now)[subscription_id]


def upcoming_many(subscription_ids: Collection[int], *, now: datetime) -> dict[int, Upcoming]:
    """Calculate many upcoming invoices. The number of queries doesn't depend on how many."""
    subscriptions = load_subscriptions(subscription_ids)
    attach_conditions(subscriptions.values())
    upcoming_by_id = {pk: Upcoming(subscription) for pk, subscription in subscriptions.items()}
    for subscription in subscriptions.values():
        reopen_billing(subscription)
    open_ids = set(subscriptions)
    while open_ids:
        invoices = {pk: next_invoice(subscriptions[pk]) or late_invoice(subscriptions[pk], now) for pk in open_ids}
        requests = [
            InvoiceRequest(subscriptions[pk], invoice, until=now, now=now)
            for pk, invoice in invoices.items()
            if invoice is not None
        ]
        open_ids = set()
        for computed in compute_invoices(requests):
            pk = computed.request.subscription.subscription_id
            if _add_invoice(upcoming_by_id[pk], computed, now):
                open_ids.add(pk)
    return upcoming_by_id


def _add_invoice(result: Upcoming, computed: ComputedInvoice, now: datetime) -> bool:
    """Add a calculated invoice to a subscription's result, and return whether another invoice follows it."""
    subscription, invoice = computed.request.subscription, computed.request.invoice
    if computed.problem:
        result.problem = computed.problem
        return False
    if invoice.kind == InvoiceKind.LATE or (invoice.due_at > now and not _is_within_this_period(invoice, now)):
        result.invoice = computed
        return False
    # The invoice is due, or is of an opening or change within the current period, whose own invoice follows.
    if computed.is_needed and not is_issued(subscription, invoice):
        result.earlier.append(computed)
        record_on_subscription(computed)
    mark_invoiced(subscription, invoice)
    return True


def _is_within_this_period(invoice: NextInvoice, now: datetime) -> bool:
    if invoice.kind == InvoiceKind.CHANGE:
        return True  # it is only next if its moment is within the period that is billed next
    return invoice.kind == InvoiceKind.OPENING and invoice.period.contains(now)
