"""Revenue by month for charts: fees and usage by plan, after discounts, voids and credit notes, without tax."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, Sum
from django.db.models.functions import TruncMonth

from billing.kinds import ADJUSTMENT_KINDS, FEE_KINDS, USAGE_KINDS
from billing.models import CreditNoteLine, InvoiceLine
from billing.money import ZERO
from billing.month_end.months import Month

FEES, USAGE, ITEMS = "fees", "usage", "One-off items and credits"


@dataclass(frozen=True, slots=True)
class RevenuePart:
    """The fees or the usage of a plan; without a plan, all other items."""

    plan: str
    part: str

    @property
    def name(self) -> str:
        return f"{self.plan} · {self.part}" if self.plan else self.part


Revenue = dict[str, dict[RevenuePart, list[Decimal]]]


def revenue_by_month(months: Sequence[Month]) -> Revenue:
    """Return the revenue by currency and part, one amount for each of the consecutive months. Four queries.

    Invoices count in the month they were finalized in; voids and credit notes reduce their own month, as in the
    month-end report. A month's parts total its invoices' subtotals less discounts and inclusive tax.
    """
    position = {month.period.start: index for index, month in enumerate(months)}
    revenue: Revenue = defaultdict(dict)
    for sign, rows in _sums(months[0].period.start, months[-1].period.end):
        for currency, month, kind, plan, amount in rows:
            amounts = revenue[currency].setdefault(_part_of(kind, plan), [ZERO] * len(months))
            amounts[position[month]] += sign * amount
    return dict(sorted(revenue.items()))


def _part_of(kind: str, plan: str | None) -> RevenuePart:
    if plan and kind in FEE_KINDS:
        return RevenuePart(plan, FEES)
    if plan and kind in USAGE_KINDS:
        return RevenuePart(plan, USAGE)
    return RevenuePart("", ITEMS)


def _sums(start: datetime, end: datetime) -> Iterable[tuple[int, Iterable[Any]]]:
    """Yield the signs and the sums by currency, month, kind and plan: invoiced, voided, credited, credits voided."""
    lines = InvoiceLine.objects.exclude(kind__in=ADJUSTMENT_KINDS).order_by()
    net = F("amount") - F("discount_amount") - F("tax_included")
    names = ("kind", "plan_version__plan__name")
    for sign, at in ((1, "invoice__finalized_at"), (-1, "invoice__voided_at")):
        rows = lines.filter(_within(at, start, end)).annotate(month=TruncMonth(at))
        yield sign, rows.values_list("invoice__currency", "month", *names).annotate(net=Sum(net))
    notes = CreditNoteLine.objects.filter(credit_note__finalized_at__isnull=False).order_by()
    names = ("invoice_line__kind", "invoice_line__plan_version__plan__name")
    for sign, at in ((-1, "credit_note__finalized_at"), (1, "credit_note__voided_at")):
        credit_rows = notes.filter(_within(at, start, end)).annotate(month=TruncMonth(at))
        credited = Sum(F("amount") - F("tax_included"))
        yield sign, credit_rows.values_list("credit_note__currency", "month", *names).annotate(net=credited)


def _within(name: str, start: datetime, end: datetime) -> Q:
    return Q(**{f"{name}__gte": start, f"{name}__lt": end})
