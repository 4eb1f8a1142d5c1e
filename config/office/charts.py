"""Charts of admin pages as plain values: `{% chart %}` draws them, and writes the same figures as a table.

    Chart("Revenue by month", "Month", ["Jan", "Feb"], [Series("Fees", [Decimal(100), Decimal(120)])], unit="USD")

Every value stays exact: the script only uses numbers for lengths, and shows the texts that `write` returns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson

from config.numbers import number

Value = Decimal | int | None
NO_VALUE = "–"


class ChartKind(StrEnum):
    """Bars, lines, or lines that step at each position, such as the price of a unit by quantity."""

    BAR = "bar"
    LINE = "line"
    STEPS = "steps"


class ChartColor(StrEnum):
    """Colors with a meaning. They are properties of the style sheet, and differ in dark mode."""

    GOOD = "--ch-chart-good"
    CAUTION = "--ch-chart-caution"
    BAD = "--ch-chart-bad"
    QUIET = "--ch-chart-quiet"


PALETTE = tuple(f"--ch-chart-{position}" for position in range(1, 9))


@dataclass(frozen=True)
class Series:
    """One value for each label; None leaves a gap. Without a color it takes the next one of the palette.

    Several colors are one for each label.

    Hatched values aren't final, such as those of an upcoming invoice. A line is drawn over the bars of other series.
    `links` are addresses of the values' own pages, one for each label. With `starts`, a bar begins at its start instead
    of zero, as in a waterfall.
    """

    name: str
    values: Sequence[Value]
    color: ChartColor | Sequence[ChartColor] | None = None
    is_hatched: bool = False
    is_line: bool = False
    links: Sequence[str] = ()
    starts: Sequence[Decimal] = ()

    @property
    def is_empty(self) -> bool:
        return not any(self.values)

    def link_of(self, position: int) -> str:
        """Return the address of a value's page. An absent value, or zero, has none."""
        return self.links[position] if self.links and self.values[position] else ""


@dataclass(frozen=True)
class Mark:
    """A dashed line with a name at a value, such as the free units; vertical at a position of the chart."""

    name: str
    value: Decimal | int
    is_vertical: bool = False


@dataclass(frozen=True)
class Chart:
    """What a chart shows. `heading` says what the labels are, such as "Month". Series without values are left out.

    - `unit` is written at the axis. `write` formats a value for people.
    - `links` are addresses by label, for values without links of their own and for the table. Empty texts are no links.
    - `positions` are the labels' places on a numeric axis, for lines and steps.
    - `tab` names the chart among several in one place, for example its currency.
    - Without `has_table` the page writes the figures itself.
    """

    title: str
    heading: str
    labels: Sequence[str]
    series: Sequence[Series]
    kind: ChartKind = ChartKind.BAR
    unit: str = ""
    write: Callable[[Decimal], str] = number
    links: Sequence[str] = ()
    marks: Sequence[Mark] = ()
    positions: Sequence[Decimal] = ()
    tab: str = ""
    note: str = ""
    empty_text: str = "There are no figures yet."
    is_horizontal: bool = False
    is_stacked: bool = True
    has_table: bool = True

    @property
    def shown_series(self) -> list[Series]:
        return [series for series in self.series if not series.is_empty]

    @property
    def is_empty(self) -> bool:
        return not self.shown_series

    @property
    def name(self) -> str:
        """Return what screen readers call the chart."""
        return f"{self.title} {self.tab}".strip()

    @property
    def has_links(self) -> bool:
        return any(self.links) or any(any(series.links) for series in self.shown_series)

    @property
    def rows(self) -> list[tuple[str, str, list[tuple[str, str]]]]:
        """Return the table: for each label its text, its link, and the texts and links of the shown series' values."""
        links = self.links or [""] * len(self.labels)
        return [
            (label, links[at], [(self.text_of(series.values[at]), series.link_of(at)) for series in self.shown_series])
            for at, label in enumerate(self.labels)
        ]

    def text_of(self, value: Value) -> str:
        return NO_VALUE if value is None else self.write(Decimal(value))

    @property
    def spec(self) -> str:
        """Return what the script draws, as JSON."""
        palette = iter(PALETTE * len(self.series))
        return orjson.dumps(
            {
                "kind": self.kind,
                "labels": list(self.labels),
                "series": [self._drawn(series, series.color or next(palette)) for series in self.shown_series],
                "unit": self.unit,
                "links": list(self.links),
                "marks": [
                    {"name": mark.name, "value": float(mark.value), "isVertical": mark.is_vertical}
                    for mark in self.marks
                ],
                "positions": [float(position) for position in self.positions],
                "isHorizontal": self.is_horizontal,
                "isStacked": self.is_stacked,
            }
        ).decode()

    def _drawn(self, series: Series, color: str | Sequence[str]) -> dict[str, Any]:
        return {
            "name": series.name,
            "values": [None if value is None else float(value) for value in series.values],
            "texts": [self.text_of(value) for value in series.values],
            "links": [series.link_of(at) for at in range(len(series.values))],
            "starts": [float(start) for start in series.starts],
            "colors": [color] if isinstance(color, str) else list(color),
            "isHatched": series.is_hatched,
            "isLine": series.is_line,
        }
