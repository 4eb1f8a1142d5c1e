"""The chart of events by hour, as data and options for Unfold's Chart.js."""

from collections.abc import Sequence
from typing import Any

import orjson
from django.utils.timezone import localtime

from events.overview.dashboard import Hour

SERIES = (
    ("Counted", "counted", "#14b8a6"),
    ("Partly counted", "partly", "#f59e0b"),
    ("Problems", "problems", "#ef4444"),
    ("Duplicates", "duplicates", "#94a3b8"),
)
GREY = "#9ca3af"


def by_hour(hours: Sequence[Hour]) -> dict[str, Any]:
    """Return a stacked bar per hour, in the current time zone. States without events have no series."""
    labels = [f"{localtime(hour.start):%d %b %H:%M}" for hour in hours]
    datasets = [
        {"label": label, "data": values, "backgroundColor": colour, "maxBarThickness": 18, "borderRadius": 2}
        for label, name, colour in SERIES
        if any(values := [getattr(hour.ended, name) for hour in hours])
    ]
    return {
        "is_empty": not datasets,
        "data": orjson.dumps({"labels": labels, "datasets": datasets}).decode(),
        "options": orjson.dumps(_options()).decode(),
    }


def _options() -> dict[str, Any]:
    ticks = {"color": GREY, "maxRotation": 0, "autoSkipPadding": 24}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {
            "legend": {
                "display": True,
                "align": "end",
                "labels": {"boxHeight": 6, "boxWidth": 6, "color": GREY, "usePointStyle": True, "pointStyle": "circle"},
            }
        },
        "scales": {
            "x": {"stacked": True, "grid": {"display": False}, "ticks": ticks},
            "y": {
                "stacked": True,
                "beginAtZero": True,
                "border": {"display": False},
                "grid": {"lineWidth": 0.5},
                "ticks": {"color": GREY, "precision": 0, "maxTicksLimit": 5},
            },
        },
    }
