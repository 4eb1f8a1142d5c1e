"""Proof of an invoice line: its usage is counted and priced again and compared with the figures of the line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from billing.charges.allowances import Grant
from billing.charges.late_items import NOTHING, Figures, figures_by_price
from billing.charges.subscription import BilledSubscription, PlanTerms
from billing.charges.usage_charges import UsageCharge
from billing.charges.usage_lines import calculate_usage
from billing.invoicing.compute import read_event_values
from billing.invoicing.plan_terms import load_catalog
from billing.kinds import LineKind
from billing.late_usage.reconcile import usage_of_period
from billing.lines import Charge
from billing.models import InvoiceLine, InvoiceState
from catalog.models import Price
from config.refusals import Refused
from customers.periods import Interval, Period, Schedule
from events.usage.meter import UsageRequest, usage_many


class NotUsage(Refused):
    """Only usage lines are counted from events."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of a line, as it is on the invoice and as it is recalculated."""

    name: str
    on_invoice: Decimal
    recounted: Decimal

    @property
    def agrees(self) -> bool:
        return self.on_invoice == self.recounted

    @property
    def difference(self) -> Decimal:
        return self.recounted - self.on_invoice


@dataclass(frozen=True, slots=True)
class Proof:
    """The compared figures of a line. If they differ, usage changed after the line was calculated.

    `corrected_by` are the later late-usage lines, of invoices that aren't void, that charge the difference.
    """

    findings: tuple[Finding, ...]
    corrected_by: tuple[InvoiceLine, ...] = ()

    @property
    def agrees(self) -> bool:
        return all(finding.agrees for finding in self.findings)


def prove(line: InvoiceLine) -> Proof:
    """Count a usage line's events again, rate them by its price, and compare the figures. Writes nothing.

    For a late-usage line, the figures of its whole period are compared. Raises `NotUsage` for other lines.
    """
    if line.kind == LineKind.LATE_USAGE:
        stated, counted = _read_late_figures(line), _recalculate_period(line)
    elif line.kind == LineKind.USAGE and line.events_count is not None and line.events_checksum is not None:
        charge = _recalculate_charge(line)
        stated = Figures(line.quantity, amount=line.amount, events=line.events_count, checksum=line.events_checksum)
        counted = next(iter(figures_by_price([charge]).values()), NOTHING) if charge is not None else NOTHING
    else:
        raise NotUsage("Only usage lines are counted from events. Check a fee by its number of days.")
    findings = (
        Finding("Quantity", stated.quantity, counted.quantity),
        Finding("Events", Decimal(stated.events), Decimal(counted.events)),
        Finding("Checksum", Decimal(stated.checksum), Decimal(counted.checksum)),
        Finding("Amount", stated.amount, counted.amount),
    )
    return Proof(findings, tuple(list_corrections(line)))


def list_corrections(line: InvoiceLine) -> QuerySet[InvoiceLine]:
    """List the late-usage lines that correct a line: later lines of its price and period, except on void invoices."""
    period_start = line.invoice.period_start if line.kind == LineKind.USAGE else line.period_start
    if period_start is None:
        return InvoiceLine.objects.none()
    late = InvoiceLine.objects.filter(
        kind=LineKind.LATE_USAGE,
        price=line.price_id,
        late_adjustment__subscription=line.invoice.subscription_id,
        late_adjustment__period_start=period_start,
        pk__gt=line.pk,
    )
    return late.exclude(invoice__state=InvoiceState.VOID).select_related("invoice").order_by("pk")


def _read_late_figures(line: InvoiceLine) -> Figures:
    after = line.computation["late"]["after"]
    return Figures(
        Decimal(after["quantity"]),
        amount=Decimal(after["amount"]),
        events=int(after["events"]),
        checksum=int(after["checksum"]),
    )


def _recalculate_period(line: InvoiceLine) -> Figures:
    if line.period_start is None or line.period_end is None or line.price_id is None:
        raise NotUsage("The line has no period.")
    known_at = (line.adjusts_invoice or line.invoice).computed_at
    period = Period(line.period_start, line.period_end)
    lines = usage_of_period(line.invoice.subscription_id or 0, period, known_at=known_at)
    return figures_by_price(lines).get(line.price_id, NOTHING)


def _recalculate_charge(line: InvoiceLine) -> Charge | None:
    subscription, charge = _build_subscription(line), _build_charge(line)
    requests = [
        UsageRequest(subscription.customer_id, query.feature_id, query.window.start, query.window.end)
        for query in charge.meter_queries()
    ]
    values = read_event_values(subscription.customer_id, charge) if charge.needs_events else []
    lines = calculate_usage(subscription, charge, usage_many(requests), values)
    return next((charge for charge in lines if charge.kind == LineKind.USAGE), None)


def _build_subscription(line: InvoiceLine) -> BilledSubscription:
    """Build a subscription with the values that rating a line needs."""
    invoice = line.invoice
    start = line.period_start or invoice.computed_at
    return BilledSubscription(
        subscription_id=invoice.subscription_id or 0,
        customer_id=invoice.usage_customer_id,
        payer_id=invoice.customer_id,
        currency=invoice.currency,
        schedule=Schedule(Interval("month"), start),
        started_at=start,
    )


def _build_charge(line: InvoiceLine) -> UsageCharge:
    """Build the charge from the line's recorded windows and allowances, and from its price, which never changes."""
    price = line.price
    if price is None:
        raise NotUsage("The line has no price.")
    plan = load_catalog([price.version_id])[price.version_id].terms(
        price.currency,
        Interval(price.interval, price.interval_count),
    )
    less, is_trial = line.computation.get("less"), bool(line.computation.get("trial"))
    charge = _build_window_charge(plan, price.pk, line.computation["windows"], is_trial=is_trial)
    if less is None:
        return charge
    version_id = Price.objects.get(pk=less["price_id"]).version_id
    before = load_catalog([version_id])[version_id].terms(
        price.currency, Interval(price.interval, price.interval_count)
    )
    return replace(
        charge, charged_before=_build_window_charge(before, less["price_id"], less["windows"], is_trial=less["trial"])
    )


def _build_window_charge(
    plan: PlanTerms, price_id: int, recorded: Sequence[dict[str, Any]], *, is_trial: bool
) -> UsageCharge:
    usage_price = next(usage_price for usage_price in plan.usage if usage_price.price_id == price_id)
    grants = tuple(_read_grant(window) for window in recorded)
    windows = tuple(window for grant in grants for window in grant.windows)
    return UsageCharge(usage_price, plan, windows, grants, is_trial, active=windows)


def read_windows(computation: dict[str, Any]) -> list[Period]:
    """Read the windows whose usage a line charges, without the part that an earlier invoice charged."""
    since = datetime.fromisoformat(computation["less"]["until"]) if "less" in computation else None
    windows = [_read_period(span) for window in computation.get("windows", ()) for span in window["spans"]]
    if since is None:
        return windows
    return [Period(max(window.start, since), window.end) for window in windows if window.end > since]


def _read_grant(window: dict[str, Any]) -> Grant:
    """Read an allowance and its windows from a line's computation."""
    limit = window["limit"]
    before = window.get("before")
    return Grant(
        windows=tuple(_read_period(span) for span in window["spans"]),
        limit=None if limit is None else Decimal(limit),
        used_in=None if before is None else _read_period(before),
    )


def _read_period(span: dict[str, Any]) -> Period:
    return Period(datetime.fromisoformat(span["from"]), datetime.fromisoformat(span["to"]))
