"""`{% chart %}` draws a chart with its figures as a table; `{% sparkbars %}` draws small bars within a row."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import template

from config.office.charts import Chart

register = template.Library()

SPARK_HEIGHT = 24
SPARK_STEP = 5
KEYS = "Arrow keys choose a value, Enter opens its page."


@register.inclusion_tag("admin/office/chart.html", name="chart")
def draw_chart(charts: Chart | Sequence[Chart]) -> dict[str, Any]:
    """Draw a chart under its title, or several of one subject as tabs: `{% chart revenue %}`.

    Put the tag in an element of the class `ch-card`. The title is an `h2`.
    """
    sequence = [charts] if isinstance(charts, Chart) else list(charts)
    first, has_tabs = sequence[0] if sequence else None, len(sequence) > 1
    return {"charts": sequence, "first": first, "has_tabs": has_tabs, "keys": KEYS}


@register.inclusion_tag("admin/office/sparkbars.html")
def sparkbars(values: Sequence[Decimal | int], title: str) -> dict[str, Any]:
    """Draw small bars without axes, such as the usage of each day: `{% sparkbars days "Usage by day" %}`.

    Screen readers read `title`, so it should also say the total.
    """
    most = max(values, default=0)
    bars = [
        (number * SPARK_STEP, SPARK_HEIGHT - height, height)
        for number, value in enumerate(values)
        if (height := _height(Decimal(value), Decimal(most)))
    ]
    return {"bars": bars, "title": title, "width": max(len(values), 1) * SPARK_STEP, "height": SPARK_HEIGHT}


def _height(value: Decimal, most: Decimal) -> int:
    """Return the height of a bar: at least one pixel for a positive value."""
    return max(round(value / most * SPARK_HEIGHT), 1) if value > 0 else 0
