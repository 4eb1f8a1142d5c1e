"""Invoices: worked out from facts by `draft_lines`, for many at once by `compute_many`, and written by `issue`.

The billing run, recomputing a draft, reissuing a void invoice and the upcoming invoice all go this way, so they agree.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial

from billing.adjustments.adjust import Adjusted, adjust
from billing.adjustments.conditions import Conditions
from billing.charges.accounts import Account, CannotBill, InvoicedFee
from billing.charges.fees import fee_lines
from billing.charges.late_lines import late_line, ripe
from billing.charges.next_invoice import Step, is_issued
from billing.charges.usage_charges import Ask, Charge, charges
from billing.charges.usage_lines import usage_lines
from billing.invoicing.totals import item_of
from billing.lines import FEE, LATE_USAGE, PRORATION, DraftLine
from billing.models import InvoiceLine
from billing.money import UnknownCurrency
from billing.rating.rate import NegativeQuantity, QuantityOutOfRange
from catalog.models import Feature
from events.usage.meter import Quantity, UsageRequest, event_values, usage_many

FORESEEN = (CannotBill, UnknownCurrency, QuantityOutOfRange, NegativeQuantity)


@dataclass(slots=True)
class Work:
    """One invoice to work out. `until` leaves out usage after a moment, for an invoice whose period goes on.

    `kept` are written lines of it that stay, and count in what it comes to.
    """

    account: Account
    step: Step
    until: datetime | None = None
    kept: Sequence[InvoiceLine] = ()


@dataclass(slots=True)
class Computed:
    """What one piece of work came to: its charges and what these come to, or why it can't be billed."""

    work: Work
    lines: list[DraftLine] = field(default_factory=list)
    problem: str = ""
    adjusted: Adjusted = field(default_factory=Adjusted)

    @property
    def total(self) -> Decimal:
        return self.adjusted.total


def draft_lines(
    account: Account,
    step: Step,
    found: Sequence[Charge],
    metered: Sequence[Quantity],
    values: Callable[[Charge], Sequence[Sequence[Decimal]]],
) -> list[DraftLine]:
    """Work out an invoice's lines: fees, usage, then late usage of earlier periods.

    Pure, given the answers to the charges' `asks` in their order. `values` is asked for the single events' values of a
    charge whose price needs them. Raises one of `FORESEEN`.
    """
    answers = iter(metered)
    lines = fee_lines(account, step)
    for charge in found:
        mine = [next(answers) for _ in charge.asks()]
        lines += usage_lines(account, charge, mine, values(charge) if charge.needs_events else ())
    return lines + [late_line(item, account.currency, account.timezone) for item in ripe(account.late, step)]


def compute_many(works: Sequence[Work]) -> list[Computed]:
    """Work out many invoices with one question to the meter. One that can't be billed carries its problem.

    Invoices of one customer use up discounts and credit in the order given.
    """
    results = [Computed(work) for work in works]
    planned = [_planned(result) for result in results]
    requests = [_request(result.work, ask) for result, own in zip(results, planned, strict=True) for ask in _asks(own)]
    answers = iter(usage_many(requests) if requests else [])
    for result, own in zip(results, planned, strict=True):
        mine = [next(answers) for _ in _asks(own)]
        if not result.problem:
            _work_out(result, own, mine)
    return results


def _planned(result: Computed) -> list[Charge]:
    work = result.work
    try:
        return charges(work.account, work.step, until=work.until)
    except FORESEEN as error:
        result.problem = str(error)
        return []


def _work_out(result: Computed, own: list[Charge], metered: list[Quantity]) -> None:
    work = result.work
    try:
        result.lines = draft_lines(work.account, work.step, own, metered, partial(values_of, work.account.customer_id))
        result.adjusted = _adjusted(work, result.lines)
    except FORESEEN as error:
        result.problem = str(error)


def _adjusted(work: Work, lines: Sequence[DraftLine]) -> Adjusted:
    """Reduce and tax the charges, unless there is such an invoice already, which then has what it used."""
    account, step = work.account, work.step
    items = [*map(item_of, work.kept), *map(item_of, lines)]
    is_open = account.conditions is not None and not is_issued(account, step)
    conditions = account.conditions if account.conditions is not None and is_open else Conditions()
    return adjust(items, conditions, currency=account.currency, at=step.due_at, subscription_id=account.subscription_id)


def _asks(own: Iterable[Charge]) -> list[Ask]:
    return [ask for charge in own for ask in charge.asks()]


def _request(work: Work, ask: Ask) -> UsageRequest:
    return UsageRequest(work.account.customer_id, ask.feature_id, ask.window.start, ask.window.end)


def values_of(customer_id: int, charge: Charge) -> list[list[Decimal]]:
    """Read the values of the events that a charge rates one by one, a list for each of its grants.

    Only prices with amounts per event need them.
    """
    feature = Feature.objects.get(pk=charge.price.feature.id)
    grants = charge.grants if charge.less is None else (*charge.grants, *charge.less.grants)
    return [
        [value for span in grant.windows for value in event_values(customer_id, feature, span.start, span.end)]
        for grant in grants
    ]


def remember(computed: Computed) -> None:
    """Let the account know which fees and late usage an invoice now holds, so that the next one reckons with them."""
    account = computed.work.account
    taken = {line.adjustment_id for line in computed.lines if line.kind == LATE_USAGE}
    account.late = [item for item in account.late if item.adjustment_id not in taken]
    account.invoiced += fees_of(computed)


def fees_of(computed: Computed) -> list[InvoicedFee]:
    """List the fees that a worked-out invoice holds."""
    parts = computed.adjusted.parts[len(computed.work.kept) :]
    return [
        InvoicedFee(
            price_id=line.price_id,
            version_id=line.plan_version_id,
            label=line.label,
            service=line.period,
            amount=line.amount,
            in_advance=line.computation["in_advance"],
            discount=part.discount,
            settles=computed.work.step.is_settlement,
        )
        for line, part in zip(computed.lines, parts, strict=True)
        if line.kind in (FEE, PRORATION)
    ]
