"""What billed periods were charged for usage so far: on invoices, by late adjustments, and what is still pending."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.charges.late_items import NOTHING, Figures, figures_by_price
from billing.invoicing.late_adjustments import after_of, before_of
from billing.late_usage.checks import OF_USAGE
from billing.late_usage.credited import credited_by_hand
from billing.late_usage.difference import NOT_CREDITED
from billing.models import Invoice, InvoiceLine, InvoiceState, LateAdjustment, LateCheck, LateState, LineKind
from billing.models.invoices import SETTLEMENT
from billing.money import ZERO
from events.models import TouchedUsage

type PeriodKey = tuple[int, datetime]  # subscription, start


@dataclass(slots=True)
class StatedUsage:
    """A billed period's usage as billing states it. `credited` was credited by hand and isn't refunded again."""

    subscription_id: int
    customer_id: int
    currency: str
    start: datetime
    end: datetime
    invoice: Invoice | None = None
    is_void: bool = False
    is_pending: bool = False
    lines: list[InvoiceLine] = field(default_factory=list)
    figures: dict[int, Figures] = field(default_factory=dict)
    credited: dict[int, Decimal] = field(default_factory=dict)

    @property
    def is_draft(self) -> bool:
        return self.invoice is not None and self.invoice.is_draft

    def known_at(self, otherwise: datetime) -> datetime:
        """Return when the period was calculated: on its invoice, or else on the one that charges it later."""
        return self.invoice.computed_at if self.invoice is not None else otherwise


def load_stated_usage(invoices: Iterable[Invoice], lines: Iterable[InvoiceLine]) -> dict[PeriodKey, StatedUsage]:
    """Read what the periods of invoices, and those of their late-usage lines, were charged. A few queries for all."""
    stated: dict[PeriodKey, StatedUsage] = {}
    for invoice, start, end in [*_own_periods(invoices), *_late_periods(lines)]:
        subscription_id = invoice.subscription_id or 0
        stated[subscription_id, start] = StatedUsage(
            subscription_id, invoice.usage_customer_id, invoice.currency, start, end
        )
    _add_invoices(stated)
    _add_adjustments(stated)
    _add_pending(stated)
    return stated


def _add_invoices(stated: dict[PeriodKey, StatedUsage]) -> None:
    rows = Invoice.objects.exclude(SETTLEMENT).filter(
        subscription__in={pk for pk, _ in stated}, period_start__in={start for _, start in stated}, kind__in=OF_USAGE
    )
    for invoice in rows.order_by("pk"):
        key = (invoice.subscription_id, invoice.period_start)
        if key not in stated:
            continue
        usage = stated[key]
        if invoice.state == InvoiceState.VOID:
            usage.is_void = usage.invoice is None
        else:
            usage.invoice, usage.is_void = invoice, False
    by_invoice = {usage.invoice.pk: usage for usage in stated.values() if usage.invoice is not None}
    lines = InvoiceLine.objects.filter(invoice__in=by_invoice, kind__in=(LineKind.USAGE, LineKind.TRUE_UP))
    for line in lines.order_by("position"):
        by_invoice[line.invoice_id].lines.append(line)
    for usage in by_invoice.values():
        usage.figures = figures_by_price(usage.lines)


def _add_adjustments(stated: dict[PeriodKey, StatedUsage]) -> None:
    """Add the differences that late adjustments charge, credit, waive or wait to charge."""
    rows = LateAdjustment.objects.filter(
        subscription__in={pk for pk, _ in stated}, period_start__in={start for _, start in stated}
    )
    rows = rows.exclude(state=LateState.CANCELLED).select_related("line").order_by("pk")
    late_lines: dict[PeriodKey, list[InvoiceLine]] = defaultdict(list)
    for row in rows:
        usage = stated.get((row.subscription_id, row.period_start))
        if usage is not None:
            figures = usage.figures.get(row.price_id, NOTHING)
            usage.figures[row.price_id] = figures.plus(after_of(row).minus(before_of(row)))
            usage.credited[row.price_id] = usage.credited.get(row.price_id, ZERO) + row.credited
            late_lines[row.subscription_id, row.period_start] += [row.line] if row.line is not None else []
    for key, usage in stated.items():
        _limit_credited(usage, late_lines[key])


def _limit_credited(usage: StatedUsage, late_lines: list[InvoiceLine]) -> None:
    """Limit what was credited by hand to what still is: a credit note can have been voided since."""
    if any(usage.credited.values()):
        credited = credited_by_hand([*usage.lines, *late_lines], usage.currency)
        for price_id, amount in usage.credited.items():
            usage.credited[price_id] = min(amount, credited.get(price_id, NOT_CREDITED).amount)


def _add_pending(stated: dict[PeriodKey, StatedUsage]) -> None:
    """Mark periods whose usage changed and that billing hasn't recalculated yet."""
    checks = LateCheck.objects.filter(subscription__in={pk for pk, _ in stated})
    waiting = set(checks.values_list("subscription_id", "period_start"))
    touched: dict[int, list[datetime]] = defaultdict(list)
    changes = TouchedUsage.objects.filter(customer__in={usage.customer_id for usage in stated.values()})
    for customer_id, hour in changes.values_list("customer_id", "hour").distinct():
        touched[customer_id].append(hour)
    for key, usage in stated.items():
        is_touched = any(hour < usage.end for hour in touched[usage.customer_id])
        usage.is_pending = key in waiting or is_touched


def _own_periods(invoices: Iterable[Invoice]) -> Iterator[tuple[Invoice, datetime, datetime]]:
    for invoice in invoices:
        if charges_usage(invoice) and invoice.period_start is not None and invoice.period_end is not None:
            yield invoice, invoice.period_start, invoice.period_end


def _late_periods(lines: Iterable[InvoiceLine]) -> Iterator[tuple[Invoice, datetime, datetime]]:
    for line in lines:
        if line.kind == LineKind.LATE_USAGE and line.period_start is not None and line.period_end is not None:
            yield line.invoice, line.period_start, line.period_end


def charges_usage(invoice: Invoice) -> bool:
    """Return whether an invoice charges the usage of its period. Fees in advance and settlements don't."""
    start, end = invoice.period_start, invoice.period_end
    has_period = start is not None and end is not None and start < end
    return invoice.subscription_id is not None and invoice.kind in OF_USAGE and has_period
