"""Draw how figures grow with the ledger, as an SVG whose colors follow the reader's color scheme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, GAP = 220, 212, 16
LEFT, RIGHT, TOP, BOTTOM = 28, 28, 64, 30
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #475569 }
.title { font-size: 13px; font-weight: 600; fill: #0f172a }
.value { font-weight: 600; fill: #0f172a; text-anchor: middle }
.tick { text-anchor: middle }
.axis { stroke: #cbd5e1 }
.line { fill: none; stroke: #0d9488; stroke-width: 2 }
.dot { fill: #0d9488 }
@media (prefers-color-scheme: dark) {
  text { fill: #94a3b8 }
  .title, .value { fill: #e2e8f0 }
  .axis { stroke: #475569 }
  .line { stroke: #2dd4bf }
  .dot { fill: #2dd4bf }
}
"""


@dataclass(frozen=True)
class Panel:
    """A line from zero over a logarithmic axis of the number of events."""

    title: str
    unit: str
    points: Sequence[tuple[float, float]]


def draw(panels: Sequence[Panel]) -> str:
    """Return the panels side by side."""
    width = len(panels) * (WIDTH + GAP) - GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}">',
        f"<style>{STYLE}</style>",
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * (WIDTH + GAP)} 0)">', *_draw_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw_panel(panel: Panel) -> list[str]:
    bottom = HEIGHT - BOTTOM
    places = [(_x(events, panel), _y(value, panel)) for events, value in panel.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        f'<text class="title" x="0" y="14">{escape(panel.title)}</text>',
        f'<text x="0" y="30">{escape(panel.unit)}</text>',
        f'<line class="axis" x1="0" y1="{bottom}" x2="{WIDTH}" y2="{bottom}"/>',
        f'<polyline class="line" points="{line}"/>',
    ]
    for (x, y), (events, value) in zip(places, panel.points, strict=True):
        parts += [
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>',
            f'<text class="value" x="{x:.1f}" y="{y - 9:.1f}">{write_number(value)}</text>',
            f'<text class="tick" x="{x:.1f}" y="{bottom + 18}">{write_events(events)}</text>',
        ]
    return parts


def _x(events: float, panel: Panel) -> float:
    first, last = math.log10(panel.points[0][0]), math.log10(panel.points[-1][0])
    return LEFT + (math.log10(events) - first) / (last - first) * (WIDTH - LEFT - RIGHT)


def _y(value: float, panel: Panel) -> float:
    most = max(value for _, value in panel.points)
    return HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM)


def write_number(value: float) -> str:
    """Write a number with three significant digits, and whole numbers from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write_events(events: float) -> str:
    """Write a number of events as 100 k or 10 M."""
    return f"{events / 1e6:g} M" if events >= 1e6 else f"{events / 1e3:g} k"
