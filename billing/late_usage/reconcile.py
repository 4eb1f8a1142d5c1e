"""Recalculate billed periods with current usage, by the code and terms of their invoices, and adjust the difference."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing.charges.late_items import figures_by_price
from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.charges.usage_charges import MeterQuery, UsageCharge, list_usage_charges
from billing.charges.usage_lines import calculate_usage
from billing.invoicing.compute import EXPECTED_ERRORS, read_event_values
from billing.invoicing.late_adjustments import after_of, before_of, set_figures
from billing.invoicing.subscriptions import load_subscriptions_as_of
from billing.kinds import InvoiceKind
from billing.late_usage.checks import OF_USAGE, ready_checks
from billing.late_usage.credited import credited_by_hand
from billing.late_usage.difference import (
    NO_DIFFERENCE,
    Difference,
    Settled,
    charged_by_price,
    differences,
)
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
from billing.wording import plain
from catalog.models import Price
from config.audit import recorded
from customers.periods import Period
from events.ledger.retention import ledger_horizon
from events.usage.meter import UsageRequest, floor_hour, usage_many

log = logging.getLogger(__name__)
RETRY_AFTER = timedelta(hours=1)
NO_LONGER_NEEDED = "The period totals what was invoiced for it"


@dataclass(slots=True)
class BilledPeriod:
    """A billed period with its invoice, if it has one, and the lines that current usage makes of it."""

    subscription: BilledSubscription
    period: Period
    invoice: Invoice | None
    lines: list[Charge] = field(default_factory=list)


def reconcile_due(*, now: datetime) -> int:
    """Do the waiting checks, one subscription per transaction; return how many. Safe to repeat or run concurrently.

    If a period can't be calculated, its check keeps the reason and is tried again in an hour.
    """
    checked = 0
    while True:
        checks = ready_checks(now).order_by("subscription_id")
        subscription_id = checks.values_list("subscription_id", flat=True).first()
        if subscription_id is None:
            return checked
        checked += _reconcile_next(subscription_id, now)


def _reconcile_next(subscription_id: int, now: datetime) -> int:
    try:
        with transaction.atomic():
            _lock(subscription_id)
            checks = list(ready_checks(now).filter(subscription_id=subscription_id).order_by("period_start"))
            # Deleted first: a new check of one of these periods then waits for this transaction, and stays.
            LateCheck.objects.filter(pk__in=[check.pk for check in checks]).delete()
            reconcile(subscription_id, [Period(check.period_start, check.period_end) for check in checks], now=now)
            return len(checks)
    except EXPECTED_ERRORS as error:
        log.warning("Late usage of subscription %s can't be calculated: %s", subscription_id, error)
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
    """Update the open adjustments of a subscription's billed periods to current usage; return those that are open.

    Each adjustment holds the difference between what its price charges now and what was invoiced, credited or ignored
    for the period. An adjustment without a difference is canceled. Safe to repeat. The caller holds the lock on the
    subscription's billing progress. A void period without a replacement has no adjustments, nor has a period whose
    events retention has removed. `settling` is for a draft that replaces a void invoice: the differences are taken off
    it at once, regardless of the policy. Raises one of `EXPECTED_ERRORS`.
    """
    billed_periods = _load_periods(subscription_id, periods, now)
    _calculate_periods(billed_periods)
    policy = Policy(holds_credited=False) if settling else read_policy()
    adjustments = _lock_adjustments(subscription_id, [billed.period.start for billed in billed_periods])
    with recorded(by=None, reason="Usage of an invoiced period changed"):
        return [
            adjustment
            for billed in billed_periods
            for adjustment in _adjust_period(billed, adjustments[billed.period.start], policy)
            if adjustment.is_open
        ]


def usage_of_period(subscription_id: int, period: Period, *, known_at: datetime) -> list[Charge]:
    """Calculate the usage lines of a billed period on the terms known at a moment, as `reconcile` does. Read-only.

    Returns no lines if retention has removed events that are needed.
    """
    [subscription] = load_subscriptions_as_of([(subscription_id, known_at)])
    billed_periods = [BilledPeriod(subscription, period, None)]
    _calculate_periods(billed_periods)
    return [line for billed in billed_periods for line in billed.lines]


def _load_periods(subscription_id: int, periods: Collection[Period], now: datetime) -> list[BilledPeriod]:
    invoices = _invoices(subscription_id, periods)
    live = [(period, invoice) for period in periods if not _is_void(invoice := invoices.get(period.start))]
    moments = [invoice.computed_at if invoice else now for _, invoice in live]
    subscriptions = load_subscriptions_as_of([(subscription_id, moment) for moment in moments])
    return [
        BilledPeriod(subscription, period, invoice)
        for subscription, (period, invoice) in zip(subscriptions, live, strict=True)
    ]


def _is_void(invoice: Invoice | None) -> bool:
    return invoice is not None and invoice.state == InvoiceState.VOID


def _invoices(subscription_id: int, periods: Collection[Period]) -> dict[datetime, Invoice]:
    """Load each period's invoice, by the period's start: the live invoice, else a void one."""
    rows = Invoice.objects.exclude(SETTLEMENT).filter(
        subscription_id=subscription_id, kind__in=OF_USAGE, period_start__in=[period.start for period in periods]
    )
    invoices: dict[datetime, Invoice] = {}
    for invoice in rows.order_by("pk"):
        start = invoice.period_start
        if start is not None and (start not in invoices or invoice.state != InvoiceState.VOID):
            invoices[start] = invoice
    return invoices


def _calculate_periods(billed_periods: list[BilledPeriod]) -> None:
    """Rate the current usage of the periods, with one query of the meter. Remove periods that can't be counted."""
    horizon = ledger_horizon()
    planned = [
        (
            billed,
            list_usage_charges(billed.subscription, NextInvoice(InvoiceKind.CYCLE, billed.period, billed.period.end)),
        )
        for billed in billed_periods
    ]
    if horizon is not None:
        planned = [
            (billed, period_charges)
            for billed, period_charges in planned
            if not any(_is_pruned(charge, horizon) for charge in period_charges)
        ]
        billed_periods[:] = [billed for billed, _ in planned]
    requests = [
        UsageRequest(billed.subscription.customer_id, query.feature_id, query.window.start, query.window.end)
        for billed, period_charges in planned
        for charge in period_charges
        for query in charge.meter_queries()
    ]
    answers = iter(usage_many(requests) if requests else [])
    for billed, period_charges in planned:
        for charge in period_charges:
            quantities = [next(answers) for _ in charge.meter_queries()]
            values = read_event_values(billed.subscription.customer_id, charge) if charge.needs_events else ()
            billed.lines += calculate_usage(billed.subscription, charge, quantities, values)


def _is_pruned(charge: UsageCharge, horizon: datetime) -> bool:
    """Whether counting needs events that retention may have removed: parts of hours, or single values."""
    return any(_needs_ledger(charge, query, horizon) for query in charge.meter_queries())


def _needs_ledger(charge: UsageCharge, query: MeterQuery, horizon: datetime) -> bool:
    edges = (query.window.start, query.window.end)
    cut_hours = [floor_hour(edge) for edge in edges if floor_hour(edge) != edge]
    return any(hour < horizon for hour in cut_hours) or (charge.needs_events and query.window.start < horizon)


def _lock_adjustments(subscription_id: int, starts: Collection[datetime]) -> dict[datetime, list[LateAdjustment]]:
    rows = LateAdjustment.objects.filter(subscription_id=subscription_id, period_start__in=starts)
    rows = rows.exclude(state=LateState.CANCELLED).select_related("line").select_for_update(of=("self",))
    by_start: dict[datetime, list[LateAdjustment]] = defaultdict(list)
    for adjustment in rows.order_by("pk"):
        by_start[adjustment.period_start].append(adjustment)
    return by_start


def _adjust_period(billed: BilledPeriod, adjustments: Sequence[LateAdjustment], policy: Policy) -> list[LateAdjustment]:
    """Save the difference of every price of a period, and return the adjustments that hold them."""
    currency = billed.subscription.currency
    lines = _charged_lines(billed.invoice)
    settled = [adjustment for adjustment in adjustments if adjustment.state in SETTLED_STATES]
    open_by_price = {adjustment.price_id: adjustment for adjustment in adjustments if adjustment.state in OPEN_STATES}
    late_lines = [adjustment.line for adjustment in settled if adjustment.line is not None]
    credited = credited_by_hand([*lines, *late_lines], currency)
    charged = charged_by_price(lines, [_settled(adjustment) for adjustment in settled])
    by_price = differences(figures_by_price(billed.lines), charged, credited, currency)
    usage_lines_by_price = {line.price_id: line for line in lines if line.kind == LineKind.USAGE}
    saved = []
    for price_id, price in sorted(Price.objects.select_related("feature").in_bulk({*by_price, *open_by_price}).items()):
        difference = by_price.get(price_id, NO_DIFFERENCE)
        credit_reason = credited[price_id].reason if difference.is_unclear else ""
        adjustment = _adjust_price(
            open_by_price.get(price_id) or _new_adjustment(billed, price, usage_lines_by_price.get(price_id)),
            difference,
            decide(difference.amount, currency, policy, credit_reason=credit_reason),
            billed.lines,
        )
        saved += [adjustment] if adjustment is not None else []
    return saved


def _charged_lines(invoice: Invoice | None) -> list[InvoiceLine]:
    if invoice is None:
        return []
    return list(invoice.lines.filter(kind__in=(LineKind.USAGE, LineKind.TRUE_UP)).order_by("position"))


def _settled(adjustment: LateAdjustment) -> Settled:
    return Settled(
        adjustment.price_id,
        before_of(adjustment),
        after_of(adjustment),
        credited=adjustment.credited,
        discount=-adjustment.discount_back if adjustment.line is None else adjustment.line.discount_amount,
    )


def _adjust_price(
    adjustment: LateAdjustment, difference: Difference, decision: Decision, lines: Sequence[Charge]
) -> LateAdjustment | None:
    """Save a price's difference on its open or new adjustment. Return `None` if there is nothing to adjust.

    A change of the amount is decided again. If it needs approval, an adjustment that a void invoice returned no longer
    moves to that invoice's replacement.
    """
    is_new = adjustment.pk is None
    if difference.is_nothing:
        return None if is_new else _cancel(adjustment)
    known = (before_of(adjustment), after_of(adjustment), adjustment.credited)
    if not is_new and known == (difference.before, difference.after, difference.credited):
        return adjustment
    is_decided = not is_new and adjustment.amount_after - adjustment.amount_before == difference.amount
    set_figures(adjustment, difference.before, difference.after)
    adjustment.credited, adjustment.discount_back = difference.credited, difference.discount_back
    adjustment.again = [_as_json(line) for line in lines if line.price_id == adjustment.price_id]
    if not is_decided and adjustment.returned_by_id is None:
        adjustment.state, adjustment.reason = decision.state, decision.reason
        adjustment.decided_at = adjustment.decided_by = None
    elif not is_decided and decision.state == LateState.HELD:
        adjustment.returned_by = None
    adjustment.save()
    return adjustment


def _cancel(adjustment: LateAdjustment) -> LateAdjustment:
    adjustment.state, adjustment.reason, adjustment.returned_by = LateState.CANCELLED, NO_LONGER_NEEDED, None
    adjustment.save()
    return adjustment


def _new_adjustment(billed: BilledPeriod, price: Price, usage_line: InvoiceLine | None) -> LateAdjustment:
    subscription, invoice = billed.subscription, billed.invoice
    return LateAdjustment(
        subscription_id=subscription.subscription_id,
        period_start=billed.period.start,
        period_end=billed.period.end,
        invoice=invoice,
        # A draft's lines are replaced when it is recomputed, so its adjustments name none of them.
        adjusts=None if invoice is None or invoice.is_draft else usage_line,
        feature=price.feature,
        price=price,
        currency=subscription.currency,
    )


def _as_json(line: Charge) -> dict[str, Any]:
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
