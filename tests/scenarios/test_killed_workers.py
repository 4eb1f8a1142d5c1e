"""Workers killed during a billing run or while finalizing: the next workers finish without duplicates or gaps."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from billing.lifecycle.finalize import finalize_due
from billing.models import BillingRun, BillingState, Invoice, RunChunk
from billing.runs import billing_run
from billing.runs.billing_run import start_run
from tests.billing.world import D, use
from tests.factories import make_customer, make_feature, make_subscription, make_version
from tests.web_server import database_url

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
# The last whole month: its fees are due today and those of the next month aren't, whatever the workers' clock says.
END = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
START = (END - timedelta(days=1)).replace(day=1)
SUBSCRIPTIONS, IN_A_CHUNK = 60, 3
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a separate process on this test's database, with a separate broker."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


@contextmanager
def worker(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Celery worker of two processes, and kill it with its children at the end."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "config", "worker"]
    command += ["--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment(folder), start_new_session=True)
    try:
        yield process
    finally:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tick(folder: Path) -> None:
    """Send the hourly task, as beat does."""
    send = "from billing.tasks import run_billing; run_billing.delay()"
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", send],
        cwd=settings.BASE_DIR,
        env=environment(folder),
        check=True,
        capture_output=True,
    )


def finished_chunks() -> int:
    return RunChunk.objects.exclude(finished_at=None).count()


def wait_for(count: int, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while finished_chunks() < count:
        assert time.monotonic() < until, "the workers make no progress"
        time.sleep(0.001)


def wait_until_finished(run: BillingRun, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while BillingRun.objects.get(pk=run.pk).state != "finished":
        assert time.monotonic() < until, "the run isn't added up"
        time.sleep(0.05)


@pytest.fixture
def company(monkeypatch):
    """Subscribe sixty customers, each with 100 calls in the month: an opening of $30, and a cycle of $31."""
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", IN_A_CHUNK)
    calls = make_feature(name="API calls")
    plan = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})
    for _ in range(SUBSCRIPTIONS):
        customer = make_customer()
        make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
        use(customer, calls, START + timedelta(days=4), 100)


@pytest.mark.parametrize("after", [1, 9])
def test_a_run_whose_workers_are_killed_is_finished_by_the_next_workers(company, tmp_path, after):
    run = start_run(as_of=END, now=END)
    chunks = run.chunks.count()
    assert chunks == SUBSCRIPTIONS // IN_A_CHUNK
    tick(tmp_path)
    with worker(tmp_path) as first:
        wait_for(after)
        kill(first)
    # Only whole chunks are stored, nothing of the interrupted chunk.
    made = RunChunk.objects.aggregate(made=Sum("invoices_made"))["made"]
    assert after <= finished_chunks() < chunks
    assert Invoice.objects.count() == made
    assert BillingState.objects.exclude(billed_until=None).count() == finished_chunks() * IN_A_CHUNK
    with worker(tmp_path):
        tick(tmp_path)
        wait_for(chunks)
        wait_until_finished(run)
    run.refresh_from_db()
    assert (run.done, run.invoices_made, run.failed) == (SUBSCRIPTIONS, 2 * SUBSCRIPTIONS, 0)
    assert run.amounts == {"USD": "3660"}  # 60 × (30 + 31)
    assert Invoice.objects.values("subscription", "kind", "period_start").distinct().count() == 2 * SUBSCRIPTIONS
    assert Invoice.objects.filter(kind="cycle").aggregate(total=Sum("total"))["total"] == D(1860)
    assert finalize_due(now=END) == 2 * SUBSCRIPTIONS
    numbers = list(Invoice.objects.order_by("number").values_list("number", flat=True))
    assert numbers == [f"INV-{number:06}" for number in range(1, 2 * SUBSCRIPTIONS + 1)]


FINALIZE = """
from datetime import datetime
from billing.lifecycle import finalize
finalize.BATCH = 3
finalize.finalize_due(now=datetime.fromisoformat("{now}"))
"""


def start_finalizing(folder: Path) -> "subprocess.Popen[bytes]":
    """Finalize due drafts in a separate process, three drafts per transaction."""
    command = [sys.executable, "manage.py", "shell", "-c", FINALIZE.format(now=END.isoformat())]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment(folder), start_new_session=True, stdout=quiet, stderr=quiet
    )


def count_finalized() -> int:
    return Invoice.objects.exclude(number=None).count()


def test_processes_killed_while_finalizing_leave_no_gaps_and_no_duplicates(company, tmp_path):
    billing_run.run_to_end(as_of=END)
    drafts = Invoice.objects.count()
    processes = [start_finalizing(tmp_path), start_finalizing(tmp_path)]
    try:
        for process, after in zip(processes, (1, 30), strict=True):
            until = time.monotonic() + 90
            while count_finalized() < after:
                assert time.monotonic() < until, "nothing is finalized"
                time.sleep(0.001)
            kill(process)
    finally:
        for process in processes:
            kill(process)
    done = count_finalized()
    numbers = list(Invoice.objects.exclude(number=None).order_by("number").values_list("number", flat=True))
    assert numbers == [f"INV-{number:06}" for number in range(1, done + 1)]
    assert 30 <= done < drafts
    # PostgreSQL can take a moment to notice that the processes are gone and to release their locks.
    while count_finalized() < drafts:
        finalize_due(now=END)
    numbers = list(Invoice.objects.order_by("number").values_list("number", flat=True))
    assert numbers == [f"INV-{number:06}" for number in range(1, drafts + 1)]
    assert Invoice.objects.filter(kind="cycle").aggregate(total=Sum("total"))["total"] == D(1860)
