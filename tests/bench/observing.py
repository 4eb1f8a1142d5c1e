"""Measure what metrics cost: the processor time of noting a request, compared with that of storing its event."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from django.conf import settings

from config.server.supervisor import Services, running_services
from tests.bench import world
from tests.bench.figures import Figure
from tests.bench.ingest import wait_until_counted
from tests.bench.load import Plan, run

SECONDS = 12
NOTES = 200_000
# In a process of its own, because the library reads the environment when it is imported.
MEASURE = f"""
import django; django.setup()
import json, time
from config.monitoring.exposition import expose
from config.server.observing import Observer
from config.server.requests import ROUTE
environ = {{"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/events", ROUTE: "/v1/events"}}
observer = Observer()
observer.note(environ, 202, 0.002)
began = time.process_time()
for _ in range({NOTES}):
    observer.note(environ, 202, 0.002)
noted = time.process_time() - began
began = time.process_time()
expose()
print(json.dumps({{"note_s": noted / {NOTES}, "scrape_s": time.process_time() - began}}))
"""


def cost() -> Iterator[Figure]:
    """Compare the time of a note with the processor time that web takes for a request with one event."""
    key = world.make_company()
    with running_services(8700, log_dir=Path(settings.DATA_DIR) / "logs") as services:
        run(Plan(f"{services.base_url}/v1/events", key, 8, 3, 0, seed=1))  # warm up
        before = _measure_web(services)
        load = run(Plan(f"{services.base_url}/v1/events", key, 8, SECONDS, 0, seed=2))
        request_s = (_measure_web(services) - before) / load.requests
        wait_until_counted()
    measured = _measure_notes()
    data = {
        "note_us": round(measured["note_s"] * 1e6, 2),
        "request_us": round(request_s * 1e6, 1),
        "scrape_ms": round(measured["scrape_s"] * 1e3, 1),
    }
    ratio = measured["note_s"] / request_s
    yield Figure("metrics_cost_ratio", ratio, "of a request", 0.01, smaller_is_better=True, data=data)


def _measure_web(services: Services) -> float:
    """Return the processor time of the web processes so far, in seconds."""
    web = psutil.Process(services.pid("web"))
    times = [process.cpu_times() for process in (web, *web.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def _measure_notes() -> dict[str, float]:
    environment = {"METRICS_TOKEN": "bench", "DJANGO_SETTINGS_MODULE": "config.settings"}
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    measured: dict[str, float] = json.loads(answer.stdout)
    return measured
