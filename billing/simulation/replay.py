"""Calculate the invoices of past periods again, by the code that bills, under the prices of a scenario.

Each invoice is calculated as it was then: with the phases of the subscription that were known when it was calculated,
after the invoices before it, with the lines that people added. Two things are as they are today: the usage, including
what arrived late, and the conditions (taxes, discounts). Late usage of earlier periods is left out, because it counts
in its own period.

The fees in advance of the first period are on the invoice before it. That invoice's fees are calculated under the
scenario too, and count as invoiced: the simulation starts as if its prices had always been in force.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.charges.fees import calculate_fees
from billing.charges.next_invoice import NextInvoice, period_index
from billing.charges.subscription import BilledSubscription, InvoicedFee
from billing.invoicing.commitments import add_commitments
from billing.invoicing.compute import (
    EXPECTED_ERRORS,
    ComputedInvoice,
    InvoiceRequest,
    compute_invoices,
    fees_of,
    record_commitments,
)
from billing.invoicing.conditions import load_conditions
from billing.invoicing.subscriptions import load_subscriptions_as_of, load_terms
from billing.kinds import COMPUTED_KINDS, FEE_KINDS, IN_ADVANCE_KINDS, InvoiceKind
from billing.lifecycle.recompute import next_invoice_of
from billing.models import Invoice, InvoiceLine, InvoiceState, Simulation
from billing.money import ZERO, round_amount, times
from billing.simulation.scenario import Scenario, load_scenario, plan_at
from customers.periods import Period

OF_PERIODS = (InvoiceKind.OPENING, InvoiceKind.CHANGE, InvoiceKind.CYCLE, InvoiceKind.FINAL, InvoiceKind.LATE)
OF_WHOLE_PERIODS = (InvoiceKind.CYCLE, InvoiceKind.FINAL)
COLUMNS = ("subscription_id", "kind", "state", "currency", "period_start", "period_end", "computed_at", "total")


@dataclass(slots=True)
class Step:
    """One invoice to calculate again: in which period, what was known when it was calculated, and what people added."""

    index: int
    invoice: NextInvoice
    known_at: datetime
    kept: Sequence[InvoiceLine] = ()


@dataclass(slots=True)
class Replay:
    """A subscription with its periods from `first` to `last`: the invoices there are, and those that were simulated."""

    current: BilledSubscription
    first: int
    last: int
    actual: dict[int, list[Invoice]] = field(default_factory=lambda: defaultdict(list))
    later: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    before: Invoice | None = None
    invoiced: list[InvoicedFee] = field(default_factory=list)
    computed: dict[int, list[ComputedInvoice]] = field(default_factory=lambda: defaultdict(list))
    problem: str = ""

    @property
    def subscription_id(self) -> int:
        return self.current.subscription_id

    def period(self, index: int) -> Period:
        full = self.current.full_period(index)
        return Period(max(full.start, self.current.started_at), full.end)

    @property
    def needs_fees_before(self) -> bool:
        """Whether there is a period before the first one."""
        return self.first > self.current.schedule.index_at(self.current.started_at)

    def invoice_before(self) -> NextInvoice:
        """Return the invoice that the first period's fees in advance are on."""
        period = self.period(self.first - 1)
        return NextInvoice(InvoiceKind.CYCLE, period, period.end)

    @property
    def known_before(self) -> datetime:
        return self.before.computed_at if self.before is not None else self.period(self.first - 1).end


@dataclass(slots=True)
class Replayed:
    """Simulated subscriptions, with the saved lines of their invoices and the plan versions of both sides."""

    replays: list[Replay]
    lines: dict[int, list[InvoiceLine]]
    scenario: Scenario


def replay(subscription_ids: Collection[int], simulation: Simulation) -> Replayed:
    """Calculate the last invoiced periods of subscriptions under a simulation's scenario.

    A fixed number of queries for each invoice of a period, however many subscriptions. A subscription of which no
    period is invoiced yet is left out.
    """
    replays = list(_begin(load_terms(subscription_ids).values(), simulation))
    _add_invoices(replays)
    lines = _load_lines(replays)
    _add_steps(replays, lines)
    moments = [(row.subscription_id, step.known_at) for row in replays for step in row.steps]
    moments += [(row.subscription_id, row.known_before) for row in replays if row.needs_fees_before]
    known = load_subscriptions_as_of(moments)
    scenario = load_scenario(simulation, [*known, *(row.current for row in replays)])
    plans = {row.subscription_id: plan_at(row.current, scenario.catalog, simulation.as_of) for row in replays}
    for subscription in known:
        scenario.apply(subscription, plans[subscription.subscription_id])
    _attach_conditions(replays, known, scenario)
    remaining = iter(known)
    of_steps = [[next(remaining) for _ in row.steps] for row in replays]
    for row in replays:
        if row.needs_fees_before:
            _set_fees_before(row, next(remaining), lines)
    _compute(replays, of_steps)
    return Replayed(replays, lines, scenario)


def _begin(subscriptions: Iterable[BilledSubscription], simulation: Simulation) -> Iterable[Replay]:
    for subscription in sorted(subscriptions, key=lambda row: row.subscription_id):
        billed_until = subscription.progress.billed_until
        if billed_until is None or not subscription.phases:
            continue
        last = subscription.schedule.index_at(max(min(billed_until, simulation.as_of), subscription.started_at)) - 1
        start = subscription.schedule.index_at(subscription.started_at)
        if last >= start:
            yield Replay(subscription, max(start, last - simulation.periods + 1), last)


def _add_invoices(replays: Sequence[Replay]) -> None:
    if not replays:
        return
    earliest = min(row.current.schedule.boundary(row.first - 1) for row in replays)
    by_subscription = {row.subscription_id: row for row in replays}
    invoices = Invoice.objects.filter(
        subscription__among=list(by_subscription), kind__in=OF_PERIODS, period_end__gte=earliest
    ).exclude(state=InvoiceState.VOID)
    for invoice in invoices.only(*COLUMNS).order_by("pk"):
        row = by_subscription[invoice.subscription_id or 0]
        index = period_index(row.current, next_invoice_of(invoice, row.current))
        if row.first <= index <= row.last:
            row.actual[index].append(invoice)
        elif index == row.first - 1 and invoice.kind == InvoiceKind.CYCLE:
            row.before = invoice
        if index >= row.first:
            row.later.append(invoice.pk)


def _load_lines(replays: Sequence[Replay]) -> dict[int, list[InvoiceLine]]:
    ids = [invoice.pk for row in replays for invoices in row.actual.values() for invoice in invoices]
    ids += [row.before.pk for row in replays if row.before is not None]
    lines: dict[int, list[InvoiceLine]] = defaultdict(list)
    for line in InvoiceLine.objects.filter(invoice__among=ids).order_by("invoice", "position"):
        lines[line.invoice_id].append(line)
    return lines


def _add_steps(replays: Sequence[Replay], lines: dict[int, list[InvoiceLine]]) -> None:
    for row in replays:
        for index in range(row.first, row.last + 1):
            invoices = [invoice for invoice in row.actual[index] if invoice.kind != InvoiceKind.LATE]
            for invoice in invoices:
                kept = [line for line in lines[invoice.pk] if line.kind not in COMPUTED_KINDS]
                row.steps.append(Step(index, next_invoice_of(invoice, row.current), invoice.computed_at, kept))
            if not any(invoice.kind in OF_WHOLE_PERIODS for invoice in invoices):
                period = row.period(index)  # nothing was charged, but there may be something to charge now
                row.steps.append(Step(index, NextInvoice(InvoiceKind.CYCLE, period, period.end), period.end))
        row.steps.sort(key=lambda step: (step.index, step.invoice.kind not in IN_ADVANCE_KINDS, step.invoice.due_at))


def _attach_conditions(replays: Sequence[Replay], known: Iterable[BilledSubscription], scenario: Scenario) -> None:
    """Set conditions and commitments as if the simulated invoices, and those after them, didn't exist."""
    leaving_out = [pk for row in replays for pk in row.later]
    add_commitments({row.subscription_id: row.current for row in replays}, leaving_out)
    conditions = load_conditions({row.current.payer_id for row in replays}, leaving_out=leaving_out)
    scenario.add_discount(conditions.values())
    by_subscription = {row.subscription_id: row for row in replays}
    for subscription in known:
        row = by_subscription[subscription.subscription_id]
        subscription.conditions = conditions[row.current.payer_id]
        subscription.committed = row.current.committed
        subscription.invoiced = row.invoiced


def _set_fees_before(row: Replay, subscription: BilledSubscription, lines: dict[int, list[InvoiceLine]]) -> None:
    invoice = row.invoice_before()
    subscription.invoiced = []
    try:
        charges = calculate_fees(subscription, invoice)
    except EXPECTED_ERRORS as error:
        row.problem = str(error)
        return
    discounted = _discounted_shares(lines[row.before.pk] if row.before is not None else [])
    for fee in fees_of(ComputedInvoice(InvoiceRequest(subscription, invoice), charges)):
        share = discounted.get(fee.service.start, Fraction(0))
        discount = round_amount(times(fee.amount, share), subscription.currency) if share else ZERO
        row.invoiced.append(replace(fee, discount=discount))


def _discounted_shares(lines: Iterable[InvoiceLine]) -> dict[datetime, Fraction]:
    """Return which part of the fees that begin at a moment was discounted.

    A fee of $30.00 from 1 June with a discount of $3.00 is discounted by a tenth, and a fee of another version too.
    """
    amounts: dict[datetime, Decimal] = defaultdict(Decimal)
    discounts: dict[datetime, Decimal] = defaultdict(Decimal)
    for line in lines:
        if line.kind in FEE_KINDS and line.period_start is not None:
            amounts[line.period_start] += line.amount
            discounts[line.period_start] += line.discount_amount
    return {at: Fraction(discounts[at]) / Fraction(amount) for at, amount in amounts.items() if amount > 0}


def _compute(replays: Sequence[Replay], of_steps: Sequence[Sequence[BilledSubscription]]) -> None:
    """Calculate the first invoice of every subscription, then the next, each after those before it."""
    for number in range(max((len(row.steps) for row in replays), default=0)):
        batch = [
            (row, row.steps[number], subscriptions[number])
            for row, subscriptions in zip(replays, of_steps, strict=True)
            if number < len(row.steps) and not row.problem
        ]
        requests = [
            InvoiceRequest(subscription, step.invoice, kept=step.kept, now=step.known_at)
            for _, step, subscription in batch
        ]
        results = compute_invoices(requests)
        for (row, step, _), computed in zip(batch, results, strict=True):
            _collect(row, step, computed)


def _collect(row: Replay, step: Step, computed: ComputedInvoice) -> None:
    if computed.problem:
        row.problem = computed.problem
    elif step.kept or computed.is_needed:
        row.computed[step.index].append(computed)
        row.invoiced += fees_of(computed)
        record_commitments(computed.request.subscription, computed)
