"""Measure invoices per second of a billing run, compared with a COPY of the same rows, and the workers' memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import psutil
from django.conf import settings

from billing.models import BillingRun, Invoice, InvoiceLine, RunState
from billing.tasks import run_billing
from config.server.supervisor import CELERY_PROCESSES, make_environment
from config.settings import BASE_DIR
from tests.bench import subscribers
from tests.bench.figures import Figure
from tests.bench.world import copy_seconds

SMALL, LARGE = 10_000, int(os.environ.get("BENCH_SUBSCRIPTIONS", "100000"))
WARM_UP = 1_000
FEW_HOURS = 4
OVERRIDES = 10
COPIES = 3  # a single copy takes less than a second, which varies a lot


@dataclass(frozen=True)
class RunFigures:
    """One run with its duration, the processor time of the workers, and their peak memory."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    run: BillingRun


def speed() -> Iterator[Figure]:
    """Bill 10,000 subscriptions with three lines each, and then copy these invoices and lines."""
    yield _measure("invoice_run_ratio", 0.1, lines_each=3, has_overrides=False)


def overrides() -> Iterator[Figure]:
    """Bill 10,000 subscriptions that have agreed 10 prices each, one line for each price."""
    yield _measure("invoice_run_overrides_ratio", 0.05, lines_each=OVERRIDES, has_overrides=True)


def _measure(name: str, target: float, *, lines_each: int, has_overrides: bool) -> Figure:
    plan = subscribers.make_plan(fees=lines_each - 2)
    with run_worker() as process:
        for count, hours in ((WARM_UP, FEW_HOURS), (SMALL, subscribers.HOURS)):
            subscribers.subscribe(plan, count, hours=hours, now=datetime.now(UTC), has_overrides=has_overrides)
            figures = bill(process)
    invoices = Invoice.objects.filter(run=figures.run)
    lines = InvoiceLine.objects.filter(invoice__run=figures.run)
    check_run(figures.run, invoices.count(), lines.count(), lines_each)
    folder = Path(settings.DATA_DIR)
    copying = fmean(copy_seconds(folder, invoices) + copy_seconds(folder, lines) for _ in range(COPIES))
    data = {
        "invoices": SMALL,
        "lines": SMALL * lines_each,
        "usage_buckets": SMALL * 2 * subscribers.HOURS,
        "invoices_per_s": round(SMALL / figures.seconds),
        "invoices_per_worker_cpu_s": round(SMALL / figures.cpu_seconds),
        "copied_per_s": round(SMALL / copying),
        "workers": CELERY_PROCESSES,
        "fsync": "on",
    }
    return Figure(name, copying / figures.seconds, "of COPY", target, data=data)


def memory() -> Iterator[Figure]:
    """Bill 10,000 subscriptions, then 100,000 (BENCH_SUBSCRIPTIONS), with the same workers."""
    plan = subscribers.make_plan()
    figures = []
    with run_worker() as process:
        for count in (SMALL, LARGE):
            subscribers.subscribe(plan, count, hours=FEW_HOURS, now=datetime.now(UTC))
            figures.append(bill(process))
    small, large = figures
    data = {
        "subscriptions": LARGE,
        "peak_mib_at_10k": round(small.peak_mib, 1),
        "peak_mib": round(large.peak_mib, 1),
        "invoices_per_s": round(LARGE / large.seconds),
    }
    yield Figure("invoice_run_memory_ratio", large.peak_mib / small.peak_mib, "100k ÷ 10k", 1.1, True, data)


@contextmanager
def run_worker() -> Iterator[psutil.Process]:
    """Run a worker without beat, which would finalize the drafts."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "config", "worker"]
    command += ["--concurrency", str(CELERY_PROCESSES), "--loglevel", "WARNING"]
    with subprocess.Popen(command, cwd=BASE_DIR, env=make_environment()) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def bill(process: psutil.Process) -> RunFigures:
    """Bill everything that is due, and wait until the run has finished."""
    cpu, started = cpu_seconds(process), time.perf_counter()
    count = BillingRun.objects.count()
    run_billing.delay()
    while BillingRun.objects.filter(state=RunState.FINISHED).count() == count:
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    run = BillingRun.objects.latest("pk")
    return RunFigures(seconds, cpu_seconds(process) - cpu, peak_mib(process), run)


def check_run(run: BillingRun, invoices: int, lines: int, lines_each: int) -> None:
    """Check that every subscription has its invoice with its lines."""
    if (run.failed, run.invoices_made, invoices, lines) != (0, SMALL, SMALL, SMALL * lines_each):
        raise SystemExit(
            f"Wrong: {run.invoices_made} invoices made, {run.failed} parked, {invoices} with {lines} lines."
        )


def list_processes(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time of a worker and its child processes."""
    return sum(member.cpu_times().user + member.cpu_times().system for member in list_processes(process))


def peak_mib(process: psutil.Process) -> float:
    """Return the sum of the peak memory of a worker and its child processes."""
    texts = [Path(f"/proc/{member.pid}/status").read_text() for member in list_processes(process)]
    return sum(int(text.split("VmHWM:")[1].split()[0]) for text in texts) / 1024
