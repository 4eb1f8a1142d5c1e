"""What is measured, and how it is shown."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

Benchmark = Callable[[], "Iterator[Measured]"]


@dataclass(frozen=True)
class Measured:
    """One figure, as it was seen, and on what data."""

    figure: str
    value: float
    unit: str
    target: float
    smaller_is_better: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        return self.value <= self.target if self.smaller_is_better else self.value >= self.target

    @property
    def as_json(self) -> str:
        return json.dumps(
            {
                "figure": self.figure,
                "value": round(self.value, 4),
                "unit": self.unit,
                "target": self.target,
                "better": "smaller" if self.smaller_is_better else "larger",
                "reached": self.reached,
                **self.data,
            }
        )


# Which benchmark gives which figures, in the order of measuring.
BENCHMARKS = {
    "tests.bench.ingest:bulk": ("bulk_ingest_eps", "bulk_ingest_ratio"),
    "tests.bench.ingest:single": ("single_ingest_ratio",),
    "tests.bench.latency:counted": ("counted_p95_s",),
    "tests.bench.queries:usage_queries": ("usage_query_p95_ms", "usage_query_growth", "worker_memory_ratio"),
    "tests.bench.pages:pages": ("admin_p95_ms",),
    "tests.bench.runs:speed": ("invoice_run_ratio",),
    "tests.bench.runs:memory": ("invoice_run_memory_ratio",),
}


def select(only: str | None) -> list[Benchmark]:
    """Give the benchmarks that measure one figure, or all. Raises SystemExit for an unknown name."""
    chosen = [place for place, figures in BENCHMARKS.items() if only is None or only in figures]
    if not chosen:
        known = ", ".join(name for figures in BENCHMARKS.values() for name in figures)
        raise SystemExit(f"There is no figure {only!r}. Choose one of: {known}.")
    return [load(place) for place in chosen]


def load(place: str) -> Benchmark:
    module, name = place.split(":")
    benchmark: Benchmark = getattr(import_module(module), name)
    return benchmark


def print_table(measured: list[Measured]) -> None:
    """Print all figures, one a line."""
    print(f"\n{'figure':<24}{'value':>14} {'unit':<14}{'target':>10}  reached")
    for one in measured:
        sign = "≤" if one.smaller_is_better else "≥"
        reached = "yes" if one.reached else "NO"
        print(f"{one.figure:<24}{one.value:>14,.3f} {one.unit:<14}{sign}{one.target:>9,g}  {reached}")
