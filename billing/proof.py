"""Proof of an invoice line: its usage counted again, priced again, and compared with what the line says."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.accounts import Account
from billing.allowances import Grant
from billing.invoicing import values_of
from billing.lines import USAGE, DraftLine
from billing.models import InvoiceLine
from billing.plan_terms import load_catalog
from billing.usage_charges import Charge, usage_lines
from catalog.refusals import Refused
from customers.periods import Interval, Period, Schedule
from events.usage import UsageRequest, usage_many


class NotUsage(Refused):
    """Only usage lines are counted from events."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of a line: what the invoice says, and what counting again gives."""

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
    """The figures of a line, compared. Where they differ, usage changed after the line was computed."""

    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        return all(finding.agrees for finding in self.findings)


def prove(line: InvoiceLine) -> Proof:
    """Count a usage line's events again in its windows, rate them by its price, and compare. Writes nothing.

    Raises `NotUsage` for other lines.
    """
    if line.kind != USAGE or line.events_count is None or line.events_checksum is None:
        raise NotUsage("Only usage lines are counted from events. A fee is checked by its days.")
    again = _again(line)
    return Proof(
        (
            Finding("Quantity", line.quantity, again.quantity if again else Decimal(0)),
            Finding("Events", Decimal(line.events_count), Decimal((again and again.events_count) or 0)),
            Finding("Checksum", Decimal(line.events_checksum), Decimal((again and again.events_checksum) or 0)),
            Finding("Amount", line.amount, again.amount if again else Decimal(0)),
        )
    )


def _again(line: InvoiceLine) -> DraftLine | None:
    account, charge = _account(line), _charge(line)
    requests = [
        UsageRequest(account.customer_id, ask.feature_id, ask.window.start, ask.window.end) for ask in charge.asks()
    ]
    values = values_of(account.customer_id, charge) if charge.needs_events else []
    lines = usage_lines(account, charge, usage_many(requests), values)
    return next((each for each in lines if each.kind == USAGE), None)


def _account(line: InvoiceLine) -> Account:
    """Make as much of an account as rating a line needs."""
    invoice = line.invoice
    start = line.period_start or invoice.computed_at
    return Account(
        subscription_id=invoice.subscription_id or 0,
        customer_id=invoice.customer_id,
        currency=invoice.currency,
        schedule=Schedule(Interval("month"), start),
        started_at=start,
    )


def _charge(line: InvoiceLine) -> Charge:
    """Build the line's charge from what it recorded: windows and allowances, and the price, which never changes."""
    price = line.price
    if price is None:
        raise NotUsage("The line has no price.")
    plan = load_catalog([price.version_id])[price.version_id].terms(
        price.currency,
        Interval(price.interval, price.interval_count),
    )
    usage_price = next(each for each in plan.usage if each.price_id == price.pk)
    found = tuple(grant_of(window) for window in line.computation["windows"])
    windows = tuple(window for grant in found for window in grant.windows)
    return Charge(usage_price, plan, windows, found, is_trial=bool(line.computation.get("trial")))


def grant_of(window: dict[str, Any]) -> Grant:
    """Read an allowance and its windows back from what a line recorded of them."""
    limit = window["limit"]
    before = window.get("before")
    return Grant(
        windows=tuple(_period(span) for span in window["spans"]),
        limit=None if limit is None else Decimal(limit),
        used_in=None if before is None else _period(before),
    )


def _period(span: dict[str, Any]) -> Period:
    return Period(datetime.fromisoformat(span["from"]), datetime.fromisoformat(span["to"]))
