"""The difference of two sides as a waterfall: from the total before, by cause, to the total after."""

from decimal import Decimal
from functools import partial

from billing.explanation.comparison.values import Comparison
from billing.money import ZERO, exact, format_amount
from config.office.charts import Chart, ChartColor, Series


def waterfall(comparison: Comparison, before: str, after: str, *, title: str, tab: str = "") -> Chart:
    """Draw a comparison. `before` and `after` name the two sides.

    From $90.00, usage $50.00 and a discount of $10.00: bars of 0 to 90, 90 to 140, 140 to 130, and 0 to 130.
    """
    labels, starts, amounts = [before], [ZERO], [comparison.before]
    colors = [ChartColor.QUIET]
    start = comparison.before
    for cause, amount, _ in comparison.by_cause:
        labels.append(cause.label)
        starts.append(start)
        amounts.append(amount)
        colors.append(_color(amount))
        with exact():
            start += amount
    return Chart(
        title=title,
        heading="Cause",
        labels=[*labels, after],
        series=[Series("Amount", [*amounts, comparison.after], [*colors, ChartColor.QUIET], starts=[*starts, ZERO])],
        unit=comparison.currency,
        write=partial(format_amount, currency=comparison.currency),
        tab=tab,
        empty_text="There are no amounts to compare.",
        is_horizontal=True,
        is_stacked=False,
    )


def _color(amount: Decimal) -> ChartColor:
    return ChartColor.CAUTION if amount > 0 else ChartColor.GOOD
