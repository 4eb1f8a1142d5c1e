"""Invoices: worked out from facts by `draft_lines`, for many at once by `compute_invoices`, and written by `issue`.

The billing run, recomputing a draft, reissuing a void invoice and the upcoming invoice all go this way, so they agree.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import Conditions
from billing.charges.fees import fee_lines
from billing.charges.late_lines import due_items, late_line
from billing.charges.next_invoice import NextInvoice, is_issued
from billing.charges.subscription import BilledSubscription, CannotBill, InvoicedFee
from billing.charges.usage_charges import Ask, UsageCharge, charges
from billing.charges.usage_lines import usage_lines
from billing.invoicing.rows import charge_of
from billing.lines import FEE, LATE_USAGE, PRORATION, Charge
from billing.models import InvoiceLine
from billing.money import UnknownCurrency
from billing.rating.rate import QuantityOutOfRange
from catalog.models import Feature
from events.usage.meter import Quantity, UsageRequest, event_values, usage_many

EXPECTED_ERRORS = (CannotBill, UnknownCurrency, QuantityOutOfRange)


@dataclass(slots=True)
class InvoiceRequest:
    """One invoice to work out. `until` leaves out usage after a moment, for an invoice whose period goes on.

    `kept` are written lines of it that stay, and count in what it comes to.
    """

    subscription: BilledSubscription
    step: NextInvoice
    until: datetime | None = None
    kept: Sequence[InvoiceLine] = ()


@dataclass(slots=True)
class ComputedInvoice:
    """What one piece of work came to: its charges and what these come to, or why it can't be billed."""

    work: InvoiceRequest
    lines: list[Charge] = field(default_factory=list)
    problem: str = ""
    adjusted: InvoiceTotals = field(default_factory=InvoiceTotals)

    @property
    def total(self) -> Decimal:
        return self.adjusted.total


def draft_lines(
    subscription: BilledSubscription,
    step: NextInvoice,
    found: Sequence[UsageCharge],
    metered: Sequence[Quantity],
    values: Callable[[UsageCharge], Sequence[Sequence[Decimal]]],
) -> list[Charge]:
    """Work out an invoice's lines: fees, usage, then late usage of earlier periods.

    Pure, given the answers to the charges' `asks` in their order. `values` is asked for the single events' values of a
    charge whose price needs them. Raises one of `EXPECTED_ERRORS`.
    """
    answers = iter(metered)
    lines = fee_lines(subscription, step)
    for charge in found:
        mine = [next(answers) for _ in charge.asks()]
        lines += usage_lines(subscription, charge, mine, values(charge) if charge.needs_events else ())
    return lines + [
        late_line(item, subscription.currency, subscription.timezone) for item in due_items(subscription.late, step)
    ]


def compute_invoices(works: Sequence[InvoiceRequest]) -> list[ComputedInvoice]:
    """Work out many invoices with one question to the meter. One that can't be billed carries its problem.

    Invoices of one customer use up discounts and credit in the order given.
    """
    results = [ComputedInvoice(work) for work in works]
    planned = [_planned(result) for result in results]
    requests = [_request(result.work, ask) for result, own in zip(results, planned, strict=True) for ask in _asks(own)]
    answers = iter(usage_many(requests) if requests else [])
    for result, own in zip(results, planned, strict=True):
        mine = [next(answers) for _ in _asks(own)]
        if not result.problem:
            _work_out(result, own, mine)
    return results


def _planned(result: ComputedInvoice) -> list[UsageCharge]:
    work = result.work
    try:
        return charges(work.subscription, work.step, until=work.until)
    except EXPECTED_ERRORS as error:
        result.problem = str(error)
        return []


def _work_out(result: ComputedInvoice, own: list[UsageCharge], metered: list[Quantity]) -> None:
    work = result.work
    try:
        result.lines = draft_lines(
            work.subscription, work.step, own, metered, partial(values_of, work.subscription.customer_id)
        )
        result.adjusted = _adjusted(work, result.lines)
    except EXPECTED_ERRORS as error:
        result.problem = str(error)


def _adjusted(work: InvoiceRequest, lines: Sequence[Charge]) -> InvoiceTotals:
    """Reduce and tax the charges, unless there is such an invoice already, which then has what it used."""
    subscription, step = work.subscription, work.step
    charges_to_adjust = [*map(charge_of, work.kept), *lines]
    is_open = subscription.conditions is not None and not is_issued(subscription, step)
    conditions = subscription.conditions if subscription.conditions is not None and is_open else Conditions()
    return adjust(
        charges_to_adjust,
        conditions,
        currency=subscription.currency,
        at=step.due_at,
        subscription_id=subscription.subscription_id,
    )


def _asks(own: Iterable[UsageCharge]) -> list[Ask]:
    return [ask for charge in own for ask in charge.asks()]


def _request(work: InvoiceRequest, ask: Ask) -> UsageRequest:
    return UsageRequest(work.subscription.customer_id, ask.feature_id, ask.window.start, ask.window.end)


def values_of(customer_id: int, charge: UsageCharge) -> list[list[Decimal]]:
    """Read the values of the events that a charge rates one by one, a list for each of its grants.

    Only prices with amounts per event need them.
    """
    feature = Feature.objects.get(pk=charge.price.feature.id)
    grants = charge.grants if charge.less is None else (*charge.grants, *charge.less.grants)
    return [
        [value for span in grant.windows for value in event_values(customer_id, feature, span.start, span.end)]
        for grant in grants
    ]


def record_on_subscription(computed: ComputedInvoice) -> None:
    """Note on the subscription which fees and late usage an invoice holds, so that the next one includes them once."""
    subscription = computed.work.subscription
    taken = {line.adjustment_id for line in computed.lines if line.kind == LATE_USAGE}
    subscription.late = [item for item in subscription.late if item.adjustment_id not in taken]
    subscription.invoiced += fees_of(computed)


def fees_of(computed: ComputedInvoice) -> list[InvoicedFee]:
    """List the fees that a worked-out invoice holds."""
    return [
        InvoicedFee(
            price_id=line.price_id,
            version_id=line.plan_version_id,
            label=line.label,
            service=line.period,
            amount=line.amount,
            in_advance=line.computation["in_advance"],
            discount=line.discount,
            settles=computed.work.step.is_settlement,
        )
        for line in computed.lines
        if line.kind in (FEE, PRORATION) and line.price_id is not None and line.period is not None
    ]
