"""A billed period worked out anew, by the code and the terms of its invoice, less what was charged for it so far."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import transaction

from billing.charges.late_items import NOTHING, Figures, of_prices
from billing.charges.next_invoice import CYCLE, NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.charges.usage_charges import Ask, UsageCharge, charges
from billing.charges.usage_lines import usage_lines
from billing.invoicing.compute import EXPECTED_ERRORS, values_of
from billing.invoicing.late_adjustments import after_of, before_of, set_figures
from billing.invoicing.subscriptions import load_subscriptions_as_of
from billing.late_usage.checks import OF_USAGE, ready_checks
from billing.late_usage.credited import NOT_CREDITED, credited_by_hand
from billing.late_usage.policy import Decision, Policy, decide, read_policy
from billing.lines import Charge
from billing.models import (
    BillingState,
    Invoice,
    InvoiceLine,
    InvoiceState,
    LateAdjustment,
    LateCheck,
    LateState,
    LineKind,
)
from billing.models.invoices import SETTLEMENT
from billing.models.late import OPEN_STATES, SETTLED_STATES
from billing.money import ZERO, round_amount, times
from billing.wording import plain
from catalog.models import Price
from config.audit import recorded
from customers.periods import Period
from events.ledger.retention import ledger_horizon
from events.usage.meter import UsageRequest, floor_hour, usage_many

log = logging.getLogger(__name__)
RETRY_AFTER = timedelta(hours=1)
GONE = "The period comes to what was invoiced for it"


@dataclass(slots=True)
class Reopened:
    """A billed period with its invoice, if it has one, and what its usage makes of it now."""

    subscription: BilledSubscription
    period: Period
    invoice: Invoice | None
    lines: list[Charge] = field(default_factory=list)


def reconcile_due(*, now: datetime) -> int:
    """Do the checks that are waiting, one subscription a transaction; return how many. Safe to repeat, or side by side.

    What can't be worked out is noted on the check and tried again in an hour.
    """
    done = 0
    while True:
        first = ready_checks(now).order_by("subscription_id").values_list("subscription_id", flat=True).first()
        if first is None:
            return done
        done += _reconcile_next(first, now)


def _reconcile_next(subscription_id: int, now: datetime) -> int:
    try:
        with transaction.atomic():
            _lock(subscription_id)
            checks = list(ready_checks(now).filter(subscription_id=subscription_id).order_by("period_start"))
            # They go first: whoever notes one of these periods from here on waits for us, and then notes it again.
            LateCheck.objects.filter(pk__in=[check.pk for check in checks]).delete()
            reconcile(subscription_id, [Period(check.period_start, check.period_end) for check in checks], now=now)
            return len(checks)
    except EXPECTED_ERRORS as error:
        log.warning("Late usage of subscription %s can't be worked out: %s", subscription_id, error)
        return (
            ready_checks(now)
            .filter(subscription_id=subscription_id)
            .update(problem=str(error), retry_at=now + RETRY_AFTER)
        )


def _lock(subscription_id: int) -> None:
    BillingState.objects.select_for_update().filter(pk=subscription_id).first()


def reconcile(
    subscription_id: int, periods: Sequence[Period], *, now: datetime, settling: bool = False
) -> list[LateAdjustment]:
    """Bring the open adjustments of a subscription's billed periods up to date with usage; return those that are open.

    Each holds the difference between what its price comes to now and what was invoiced, credited or ignored for the
    period; one that comes to nothing is cancelled. Called twice it finds the same. The caller holds the lock on the
    subscription's billing progress. A void period that nothing replaces, and one whose events retention has removed,
    has none. `settling` is for a draft that replaces a void invoice: the differences are taken off it at once, whatever
    the policy. Raises one of `EXPECTED_ERRORS`.
    """
    reopened = _reopen(subscription_id, periods, now)
    _compute_periods(reopened)
    policy = Policy(holds_credited=False) if settling else read_policy()
    rows = _rows(subscription_id, [each.period.start for each in reopened])
    with recorded(by=None, reason="Usage of an invoiced period changed"):
        return [
            row
            for each in reopened
            for row in PeriodReconciliation(each, rows[each.period.start], policy, now).adjustments()
            if row.is_open
        ]


def usage_of_period(subscription_id: int, period: Period, *, known_at: datetime) -> list[Charge]:
    """Work out the usage lines of a billed period as reconciling does, on the terms known at a moment. Writes nothing.

    None where counting needs events that retention has removed.
    """
    [subscription] = load_subscriptions_as_of([(subscription_id, known_at)])
    reopened = [Reopened(subscription, period, None)]
    _compute_periods(reopened)
    return [line for each in reopened for line in each.lines]


def _reopen(subscription_id: int, periods: Collection[Period], now: datetime) -> list[Reopened]:
    invoices = _invoices(subscription_id, periods)
    kept = [(period, invoice) for period in periods if not _is_void(invoice := invoices.get(period.start))]
    moments = [invoice.computed_at if invoice else now for _, invoice in kept]
    subscriptions = load_subscriptions_as_of([(subscription_id, moment) for moment in moments])
    return [
        Reopened(subscription, period, invoice)
        for subscription, (period, invoice) in zip(subscriptions, kept, strict=True)
    ]


def _is_void(invoice: Invoice | None) -> bool:
    return invoice is not None and invoice.state == InvoiceState.VOID


def _invoices(subscription_id: int, periods: Collection[Period]) -> dict[datetime, Invoice]:
    """Find the periods' invoices: the live one, else a void one."""
    rows = Invoice.objects.exclude(SETTLEMENT).filter(
        subscription_id=subscription_id, kind__in=OF_USAGE, period_start__in=[period.start for period in periods]
    )
    found: dict[datetime, Invoice] = {}
    for row in rows.order_by("pk"):
        if row.period_start is not None and (row.period_start not in found or row.state != InvoiceState.VOID):
            found[row.period_start] = row
    return found


def _compute_periods(reopened: list[Reopened]) -> None:
    """Rate the periods' usage anew, with one question to the meter. Those that can't be counted any more go."""
    horizon = ledger_horizon()
    planned = [
        (each, charges(each.subscription, NextInvoice(CYCLE, each.period, each.period.end))) for each in reopened
    ]
    if horizon is not None:
        planned = [(each, own) for each, own in planned if not any(_is_gone(charge, horizon) for charge in own)]
        reopened[:] = [each for each, _ in planned]
    asks = [(each.subscription.customer_id, ask) for each, own in planned for charge in own for ask in charge.asks()]
    requests = [UsageRequest(customer, ask.feature_id, ask.window.start, ask.window.end) for customer, ask in asks]
    answers = iter(usage_many(requests) if requests else [])
    for each, own in planned:
        for charge in own:
            mine = [next(answers) for _ in charge.asks()]
            values = values_of(each.subscription.customer_id, charge) if charge.needs_events else ()
            each.lines += usage_lines(each.subscription, charge, mine, values)


def _is_gone(charge: UsageCharge, horizon: datetime) -> bool:
    """Tell whether counting needs events that retention may have removed: hours that a window cuts, single values."""
    return any(_needs_ledger(charge, ask, horizon) for ask in charge.asks())


def _needs_ledger(charge: UsageCharge, ask: Ask, horizon: datetime) -> bool:
    edges = (ask.window.start, ask.window.end)
    cut = [floor_hour(edge) for edge in edges if floor_hour(edge) != edge]
    return any(hour < horizon for hour in cut) or (charge.needs_events and ask.window.start < horizon)


def _rows(subscription_id: int, starts: Collection[datetime]) -> dict[datetime, list[LateAdjustment]]:
    rows = LateAdjustment.objects.filter(subscription_id=subscription_id, period_start__in=starts)
    found: dict[datetime, list[LateAdjustment]] = defaultdict(list)
    for row in (
        rows.exclude(state=LateState.CANCELLED).select_related("line").select_for_update(of=("self",)).order_by("pk")
    ):
        found[row.period_start].append(row)
    return found


@dataclass(frozen=True, slots=True)
class Creditable:
    """What a price counts as charged (`before`), less the `credited` part of a reduction, and what credit notes left.

    `fresh` is what was credited by hand and no settled adjustment has reckoned with.
    """

    before: Figures
    credited: Decimal
    left: Decimal
    fresh: Decimal


class PeriodReconciliation:
    """One period's adjustments beside what usage says."""

    def __init__(self, reopened: Reopened, rows: Sequence[LateAdjustment], policy: Policy, now: datetime) -> None:
        self.reopened, self.policy, self.now = reopened, policy, now
        self.open = {row.price_id: row for row in rows if row.state in OPEN_STATES}
        self.wanted = of_prices(reopened.lines)
        written = self._written()
        self.charged = of_prices(written)
        self.usage_line = {line.price_id: line for line in written if line.kind == LineKind.USAGE}
        self.discounts: dict[int | None, Decimal] = defaultdict(lambda: ZERO)
        for line in written:
            self.discounts[line.price_id] += line.discount_amount
        late = [row.line for row in rows if row.state in SETTLED_STATES and row.line is not None]
        self.by_hand = credited_by_hand([*written, *late], self.reopened.subscription.currency)
        for price_id, credited in self.by_hand.items():
            self.discounts[price_id] -= credited.discount
        self.reckoned: dict[int, Decimal] = defaultdict(lambda: ZERO)
        for row in rows:
            if row.state in SETTLED_STATES:
                self.reckoned[row.price_id] += row.credited
                settled = after_of(row).minus(before_of(row))
                self.charged[row.price_id] = self.charged.get(row.price_id, NOTHING).plus(settled)
                on_line = row.line.discount_amount if row.line is not None else -row.discount_back
                self.discounts[row.price_id] += on_line

    def _written(self) -> list[InvoiceLine]:
        invoice = self.reopened.invoice
        if invoice is None:
            return []
        return list(invoice.lines.filter(kind__in=(LineKind.USAGE, LineKind.TRUE_UP)).order_by("position"))

    def adjustments(self) -> list[LateAdjustment]:
        """Write what differs, price by price, and return it."""
        prices = Price.objects.select_related("feature").in_bulk({*self.wanted, *self.charged, *self.open})
        found = [self._adjust(price) for _, price in sorted(prices.items())]
        return [row for row in found if row is not None]

    def _adjust(self, price: Price) -> LateAdjustment | None:
        after = self.wanted.get(price.pk, NOTHING)
        due = self._due(price.pk, after)
        before = due.before
        row = self.open.get(price.pk)
        if before == after and not due.credited:
            return self._cancel(row) if row is not None else None
        if row is None:
            row = self._new(price)
        elif (before_of(row), after_of(row), row.credited) == (before, after, due.credited):
            return row
        was = row.amount_after - row.amount_before if row.pk else None
        set_figures(row, before, after)
        row.credited = due.credited
        row.discount_back = self._discount_back(price.pk, before.amount - after.amount, due.left)
        row.again = [_again(line) for line in self.reopened.lines if line.price_id == price.pk]
        if after.amount - before.amount != was:
            decision = self._decide(price.pk, row.currency, due, after)
            if row.returned_by_id is None:
                row.state, row.reason, row.decided_at, row.decided_by = decision.state, decision.reason, None, None
            elif decision.state == LateState.HELD:
                row.returned_by = None  # nobody approved it as it is now, so no replacement takes it
        row.save()
        return row

    def _due(self, price_id: int, after: Figures) -> Creditable:
        """Say what a price's charges count for, so that no more is given back than credit notes left of them."""
        charged, by_hand = self.charged.get(price_id, NOTHING), self.by_hand.get(price_id, NOT_CREDITED)
        reckoned = min(self.reckoned[price_id], by_hand.amount)  # less, where a note that was reckoned with is void
        charged = replace(charged, amount=charged.amount - reckoned)
        fresh = by_hand.amount - reckoned
        left = charged.amount - fresh
        less = charged.amount - after.amount
        if fresh <= 0 or less <= 0:
            return Creditable(charged, ZERO, left, fresh)
        given = min(less, max(left, ZERO))
        return Creditable(replace(charged, amount=after.amount + given), less - given, left, fresh)

    def _decide(self, price_id: int, currency: str, due: Creditable, after: Figures) -> Decision:
        """Decide by the policy. Of usage that stays in part, nobody can tell which part was credited: staff decide."""
        decision = decide(after.amount - due.before.amount, currency, self.policy)
        is_unclear = due.fresh > 0 and due.before.amount > after.amount > 0
        if is_unclear and self.policy.holds_credited and decision.state == LateState.WAITING:
            return Decision(LateState.HELD, self.by_hand[price_id].why)
        return decision

    def _discount_back(self, price_id: int, given: Decimal, left: Decimal) -> Decimal:
        """Work out the share of earlier discounts in what is given back of what is left of the charges."""
        if given <= 0 or left <= 0 or not self.discounts[price_id]:
            return ZERO
        given_back = times(self.discounts[price_id], Fraction(min(given, left)) / Fraction(left))
        return round_amount(given_back, self.reopened.subscription.currency)

    def _cancel(self, row: LateAdjustment) -> LateAdjustment:
        row.state, row.reason, row.returned_by = LateState.CANCELLED, GONE, None
        row.save()
        return row

    def _new(self, price: Price) -> LateAdjustment:
        subscription, invoice = self.reopened.subscription, self.reopened.invoice
        return LateAdjustment(
            subscription_id=subscription.subscription_id,
            period_start=self.reopened.period.start,
            period_end=self.reopened.period.end,
            invoice=invoice,
            # A draft's lines come and go, and what is taken off it needs no line named.
            adjusts=None if invoice is None or invoice.is_draft else self.usage_line.get(price.pk),
            feature=price.feature,
            price=price,
            currency=subscription.currency,
        )


def _again(line: Charge) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "description": line.description,
        "amount": plain(line.amount),
        "exact_amount": plain(line.exact_amount),
        "free_units": plain(line.free_units),
        "quantity": plain(line.quantity),
        "billable_quantity": plain(line.billable_quantity),
        "events_count": line.events_count,
        "events_checksum": str(line.events_checksum or 0),
        "computation": line.computation,
    }
