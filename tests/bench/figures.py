"""The performance figures, and how they are shown."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

Benchmark = Callable[[], "Iterator[Figure]"]


@dataclass(frozen=True)
class Figure:
    """One measured figure and the data it was measured with."""

    name: str
    value: float
    unit: str
    target: float
    smaller_is_better: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_reached(self) -> bool:
        return self.value <= self.target if self.smaller_is_better else self.value >= self.target

    @property
    def as_json(self) -> str:
        return json.dumps(
            {
                "figure": self.name,
                "value": round(self.value, 4),
                "unit": self.unit,
                "target": self.target,
                "better": "smaller" if self.smaller_is_better else "larger",
                "reached": self.is_reached,
                **self.data,
            }
        )


# Benchmarks and the figures they measure, in order.
BENCHMARKS = {
    "tests.bench.ingest:bulk": ("bulk_ingest_eps", "bulk_ingest_ratio"),
    "tests.bench.ingest:single": ("single_ingest_ratio",),
    "tests.bench.observing:cost": ("metrics_cost_ratio",),
    "tests.bench.latency:counted": ("counted_p95_s",),
    "tests.bench.under_attack:under_attack": ("ingest_under_attack_p95_ms", "ingest_under_attack_ratio"),
    "tests.bench.growth:growth": (
        "usage_query_p95_ms",
        "usage_query_growth",
        "worker_memory_ratio",
        "admin_ratio",
        "admin_growth",
        "event_bytes",
    ),
    "tests.bench.sealing:sealing": (
        "seal_eps",
        "sealed_bytes_per_event",
        "line_events_sealed_ratio",
        "lookup_sealed_ms",
        "event_bytes_sealed",
        "bulk_ingest_while_sealing_ratio",
    ),
    "tests.bench.sealing:ledger": ("sealed_proof_hours",),
    "tests.bench.runs:speed": ("invoice_run_ratio",),
    "tests.bench.runs:overrides": ("invoice_run_overrides_ratio",),
    "tests.bench.runs:memory": ("invoice_run_memory_ratio",),
    "tests.bench.simulating:simulations": ("simulation_ratio", "simulation_memory_ratio"),
    "tests.bench.proving:proofs": ("proof_hours", "proof_memory_ratio"),
}


def select(only: str | None) -> list[Benchmark]:
    """Return the benchmarks that measure a figure, or all benchmarks. Raises SystemExit for an unknown name."""
    paths = [path for path, figures in BENCHMARKS.items() if only is None or only in figures]
    if not paths:
        names = ", ".join(name for figures in BENCHMARKS.values() for name in figures)
        raise SystemExit(f"There is no figure {only!r}. Choose one of: {names}.")
    return [load(path) for path in paths]


def load(path: str) -> Benchmark:
    module, name = path.split(":")
    benchmark: Benchmark = getattr(import_module(module), name)
    return benchmark


def print_table(figures: list[Figure]) -> None:
    """Print all figures, one per line."""
    print(f"\n{'figure':<24}{'value':>14} {'unit':<14}{'target':>10}  reached")
    for figure in figures:
        sign = "≤" if figure.smaller_is_better else "≥"
        reached = "yes" if figure.is_reached else "NO"
        print(f"{figure.name:<24}{figure.value:>14,.3f} {figure.unit:<14}{sign}{figure.target:>9,g}  {reached}")
