"""The customers whose invoices changed most since the period before, as a chart of the review and of a dry run."""

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter

from billing.admin.shared import amount_formatter
from billing.lifecycle.review import CustomerChange
from config.office.charts import Chart, Series


def change_charts(changes: Sequence[CustomerChange], url: Callable[[CustomerChange], str]) -> list[Chart]:
    """Return a chart per currency with a bar per customer, which leads to the address that `url` returns."""
    return [_chart(currency, list(group), url) for currency, group in groupby(changes, key=attrgetter("currency"))]


def _chart(currency: str, changes: Sequence[CustomerChange], url: Callable[[CustomerChange], str]) -> Chart:
    return Chart(
        title="Customers by change since the period before",
        heading="Customer",
        tab=currency,
        labels=[row.name for row in changes],
        series=[
            Series("More", [row.change if row.change > 0 else None for row in changes]),
            Series("Less", [row.change if row.change < 0 else None for row in changes]),
        ],
        unit=currency,
        write=amount_formatter(currency),
        links=[url(row) for row in changes],
        is_horizontal=True,
    )
