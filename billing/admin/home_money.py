"""The money of the Home page: four figures by currency, revenue by month and receivables by age."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils import timezone

from billing.admin.pages.aging import aging_charts
from billing.admin.shared import amount_formatter
from billing.money import ZERO, format_amount
from billing.month_end.months import Month
from billing.overview.figures import Figures, UpcomingTotals, figures, upcoming_totals
from billing.overview.revenue import FEES, RevenuePart, revenue_by_month
from billing.settlement.aging import sum_by_currency
from config.office.charts import Chart, ChartColor, Series
from config.office.pages import AdminView
from config.office.wording import plural

MONTHS_BEFORE = 6
MOST_PLANS = 4


@dataclass(frozen=True)
class Tile:
    """One figure: an amount per currency, and what it is compared with or means."""

    name: str
    url: str
    amounts: Sequence[str]
    note: str = ""
    is_bad: bool = False


class MoneyPanel(AdminView):
    """Show the figures and charts of invoices. Home loads them after its own, since they read many invoices."""

    template_name = "admin/home/money.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        now = timezone.now()
        upcoming = upcoming_totals(now=now)
        return super().get_context_data(
            tiles=tiles(figures(now=now), upcoming),
            revenue=revenue_charts(now, upcoming),
            aging=aging_charts(sum_by_currency(now)),
            **kwargs,
        )


def tiles(totals: Figures, upcoming: UpcomingTotals | None) -> list[Tile]:
    """Return the four figures: invoiced, open, overdue, upcoming."""
    invoices = reverse("admin:billing_invoice_changelist")
    before = ", ".join(format_all(totals.invoiced_before)) or "nothing"
    return [
        Tile(
            "Invoiced this month",
            reverse("admin:billing_month_end"),
            format_all(totals.invoiced),
            f"last month {before}",
        ),
        Tile("Open", f"{invoices}?payment=open", format_all(totals.open), "unpaid amounts of all invoices"),
        Tile(
            "Overdue",
            f"{invoices}?payment=overdue",
            format_all(totals.overdue),
            "unpaid after the due date" if totals.overdue else "nothing is overdue",
            is_bad=bool(totals.overdue),
        ),
        upcoming_tile(upcoming),
    ]


def upcoming_tile(upcoming: UpcomingTotals | None) -> Tile:
    """Return what the upcoming invoices total; only a link if there are too many to calculate at once."""
    url = reverse("admin:billing_upcoming")
    if upcoming is None:
        return Tile("Upcoming", url, [], "too many subscriptions to calculate here")
    note = f"next invoices of {plural(upcoming.subscriptions, 'subscription')}, as of today"
    if upcoming.problems:
        note = f"{note}; {upcoming.problems:,} can't be calculated"
    return Tile("Upcoming", url, format_all(upcoming.total), note)


def format_all(amounts: dict[str, Decimal]) -> list[str]:
    """Format amounts by currency, for example ["$10.00", "€3.50"]."""
    return [format_amount(amount, currency) for currency, amount in sorted(amounts.items()) if amount]


def revenue_charts(now: datetime, upcoming: UpcomingTotals | None) -> list[Chart]:
    """Return a chart per currency: the last months by plan, and what is upcoming this month and the next."""
    months = last_months(now)
    revenue = revenue_by_month(months[:-1])
    coming = upcoming.revenue if upcoming else {}
    currencies = sorted({*revenue, *(currency for currency, _ in coming)})
    return [
        Chart(
            title="Revenue by month, without tax",
            heading="Month",
            tab=currency,
            labels=[str(month) for month in months],
            series=[
                *(Series(name, [*amounts, None]) for name, amounts in main_parts(revenue.get(currency, {}))),
                Series(
                    "Upcoming",
                    [coming.get((currency, month), ZERO) or None for month in months],
                    ChartColor.QUIET,
                    is_hatched=True,
                ),
            ],
            unit=currency,
            write=amount_formatter(currency),
            links=[f"{reverse('admin:billing_month_end')}?month={month}" for month in months],
            empty_text="Nothing was invoiced in these months, and nothing is upcoming.",
        )
        for currency in currencies
    ]


def last_months(now: datetime) -> list[Month]:
    """Return the months of the chart, oldest first, up to the next month."""
    months = [Month(now.date().replace(day=1)).next]
    while len(months) < MONTHS_BEFORE + 1:
        months.insert(0, months[0].previous)
    return months


def main_parts(parts: dict[RevenuePart, list[Decimal]]) -> Iterable[tuple[str, list[Decimal]]]:
    """Yield the largest plans' fees and usage, then the other plans' and other items, each added up."""
    totals: dict[str, Decimal] = {}
    for part, amounts in parts.items():
        totals[part.plan] = totals.get(part.plan, ZERO) + sum(amounts, ZERO)
    plans = sorted((plan for plan in totals if plan), key=lambda plan: -totals[plan])
    merged: dict[RevenuePart, list[Decimal]] = {}
    for part, amounts in parts.items():
        shown = RevenuePart("Other plans", part.part) if part.plan in plans[MOST_PLANS:] else part
        merged[shown] = [a + b for a, b in zip(merged.get(shown, [ZERO] * len(amounts)), amounts, strict=True)]
    order = {plan: index for index, plan in enumerate([*plans[:MOST_PLANS], "Other plans", ""])}
    ordered = sorted(merged, key=lambda part: (order[part.plan], part.part != FEES))
    return [(part.name, merged[part]) for part in ordered]
