"""The upcoming invoice: what the run would write for a subscription, as of a moment. Same code, writes nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.charges.next_invoice import NextInvoice, is_issued, late_invoice, mark_invoiced, next_invoice, reopen
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices, record_on_subscription
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.subscriptions import load_subscriptions
from billing.kinds import InvoiceKind
from billing.money import ZERO
from customers.periods import Period


@dataclass(slots=True)
class Upcoming:
    """What a subscription will be invoiced for next.

    `invoice` is the one for the period that holds the moment: usage so far, fees in arrears, the next period's fees
    in advance; of a subscription that has ended, its late usage. `earlier` are those that come before it: due already
    and waiting for the next run, or for a trial's end. `problem` says why nothing can be worked out. All empty: nothing
    will be invoiced any more.
    """

    subscription_id: int
    invoice: ComputedInvoice | None = None
    earlier: list[ComputedInvoice] = field(default_factory=list)
    problem: str = ""

    @property
    def total(self) -> Decimal:
        return self.invoice.total if self.invoice is not None else ZERO

    @property
    def period(self) -> Period | None:
        return self.invoice.work.step.period if self.invoice is not None else None


def upcoming(subscription_id: int, *, now: datetime) -> Upcoming:
    """Work out a subscription's upcoming invoice as of a moment. Raises `KeyError` if there is no such subscription."""
    return upcoming_many([subscription_id], now=now)[subscription_id]


def upcoming_many(subscription_ids: Collection[int], *, now: datetime) -> dict[int, Upcoming]:
    """Work out many upcoming invoices, with a number of queries that doesn't depend on how many."""
    subscriptions = load_subscriptions(subscription_ids)
    attach_conditions(subscriptions.values())
    found = {pk: Upcoming(pk) for pk in subscriptions}
    for subscription in subscriptions.values():
        reopen(subscription)
    going = set(subscriptions)
    while going:
        steps = {pk: next_invoice(subscriptions[pk]) or late_invoice(subscriptions[pk], now) for pk in going}
        works = [InvoiceRequest(subscriptions[pk], step, until=now) for pk, step in steps.items() if step is not None]
        going = set()
        for computed in compute_invoices(works):
            if _take_over(found[computed.work.subscription.subscription_id], computed, now):
                going.add(computed.work.subscription.subscription_id)
    return found


def _take_over(upcoming_: Upcoming, computed: ComputedInvoice, now: datetime) -> bool:
    """Put a worked-out invoice where it belongs; tell whether the subscription's next one is to be looked at too."""
    subscription, step = computed.work.subscription, computed.work.step
    if computed.problem:
        upcoming_.problem = computed.problem
        return False
    if step.kind == InvoiceKind.LATE or (step.due_at > now and not _opens_now(step, now)):
        upcoming_.invoice = computed
        return False
    # What is due, or is a start yet to come within this period, leads on to the period's own invoice.
    if computed.lines and not is_issued(subscription, step):
        upcoming_.earlier.append(computed)
    record_on_subscription(computed)
    mark_invoiced(subscription, step)
    return True


def _opens_now(step: NextInvoice, now: datetime) -> bool:
    return step.kind == InvoiceKind.OPENING and step.period.contains(now)
