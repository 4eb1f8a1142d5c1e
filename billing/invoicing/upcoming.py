"""The upcoming invoice: what the run would write for a subscription, as of a moment. Same code, writes nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.charges.next_invoice import LATE, OPENING, Step, is_issued, late_step, next_step, reopen, take
from billing.invoicing.accounts import load_accounts
from billing.invoicing.compute import Computed, Work, compute_many, remember
from billing.invoicing.conditions import attach_conditions
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
    invoice: Computed | None = None
    earlier: list[Computed] = field(default_factory=list)
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
    accounts = load_accounts(subscription_ids)
    attach_conditions(accounts.values())
    found = {pk: Upcoming(pk) for pk in accounts}
    for account in accounts.values():
        reopen(account)
    going = set(accounts)
    while going:
        steps = {pk: next_step(accounts[pk]) or late_step(accounts[pk], now) for pk in going}
        works = [Work(accounts[pk], step, until=now) for pk, step in steps.items() if step is not None]
        going = set()
        for computed in compute_many(works):
            if _take_over(found[computed.work.account.subscription_id], computed, now):
                going.add(computed.work.account.subscription_id)
    return found


def _take_over(upcoming_: Upcoming, computed: Computed, now: datetime) -> bool:
    """Put a worked-out invoice where it belongs; tell whether the subscription's next one is to be looked at too."""
    account, step = computed.work.account, computed.work.step
    if computed.problem:
        upcoming_.problem = computed.problem
        return False
    if step.kind == LATE or (step.due_at > now and not _opens_now(step, now)):
        upcoming_.invoice = computed
        return False
    # What is due, or is a start yet to come within this period, leads on to the period's own invoice.
    if computed.lines and not is_issued(account, step):
        upcoming_.earlier.append(computed)
    remember(computed)
    take(account, step)
    return True


def _opens_now(step: Step, now: datetime) -> bool:
    return step.kind == OPENING and step.period.contains(now)
