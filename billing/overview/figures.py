"""The figures of the Home page by currency: invoiced, open, overdue and upcoming amounts."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, Sum

from billing.invoicing.compute import ComputedInvoice
from billing.invoicing.upcoming import upcoming_many
from billing.models import Invoice
from billing.models.invoices import REMAINING
from billing.money import ZERO
from billing.month_end.months import Month
from customers.models import Subscription

MOST_UPCOMING = 300  # subscriptions whose upcoming invoices are calculated while a page loads

Amounts = dict[str, Decimal]


@dataclass(frozen=True)
class Figures:
    """Amounts by currency. `invoiced` and `invoiced_before` are totals with tax of this and the previous UTC month."""

    invoiced: Amounts
    invoiced_before: Amounts
    open: Amounts
    overdue: Amounts


@dataclass
class UpcomingTotals:
    """What upcoming invoices total by currency, and their revenue without tax by the month in which they are due."""

    total: Amounts = field(default_factory=lambda: defaultdict(lambda: ZERO))
    revenue: dict[tuple[str, Month], Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    subscriptions: int = 0
    problems: int = 0


def figures(*, now: datetime) -> Figures:
    """Add up invoices by currency. Void invoices don't count. Three queries."""
    this_month = Month(now.date().replace(day=1))
    unpaid = Invoice.objects.to_pay().order_by().values_list("currency")
    sums = unpaid.annotate(open=Sum(REMAINING), overdue=Sum(REMAINING, filter=Q(due_at__lt=now), default=ZERO))
    rows = list(sums.order_by("currency"))
    return Figures(
        invoiced=_invoiced_in(this_month),
        invoiced_before=_invoiced_in(this_month.previous),
        open={currency: amount for currency, amount, _ in rows},
        overdue={currency: amount for currency, _, amount in rows if amount},
    )


def upcoming_totals(*, now: datetime) -> UpcomingTotals | None:
    """Calculate the upcoming invoices of all active subscriptions; None if there are more than MOST_UPCOMING."""
    ids = list(Subscription.objects.live(now).order_by().values_list("pk", flat=True)[: MOST_UPCOMING + 1])
    if len(ids) > MOST_UPCOMING:
        return None
    totals = UpcomingTotals(subscriptions=len(ids))
    for preview in upcoming_many(ids, now=now).values():
        totals.problems += bool(preview.problem)
        for invoice in [*preview.earlier, *([preview.invoice] if preview.invoice else [])]:
            _add(totals, invoice, now)
    return totals


def _add(totals: UpcomingTotals, invoice: ComputedInvoice, now: datetime) -> None:
    currency, adjusted = invoice.request.subscription.currency, invoice.adjusted
    due = max(invoice.request.invoice.due_at, now)
    totals.total[currency] += adjusted.total
    month = Month(due.date().replace(day=1))
    totals.revenue[currency, month] += adjusted.subtotal - adjusted.discount - adjusted.tax_included


def _invoiced_in(month: Month) -> Amounts:
    invoices = Invoice.objects.filter(
        finalized_at__gte=month.period.start, finalized_at__lt=month.period.end, voided_at=None
    )
    return dict(invoices.order_by("currency").values_list("currency").annotate(amount=Sum("total")))
