"""The right alarm within two minutes, with real processes and real faults.

A session holds a lock, the database fills its quota, a webhook's receiver fails, the machine's clock jumps, the worker
and beat hang. All waits are a tenth of those in production (ALARM_PACE). `tests/config/server/test_supervisor.py` kills
the database.
"""

import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from django.conf import settings

from tests.config.server.test_supervisor import Serve
from tests.config.webhooks.receiver import Receiver, receiving
from tests.owner import owner_url
from tests.services import free_port

pytestmark = pytest.mark.slow
PACE = 0.1
WITHIN_S = 120 * PACE + 18  # what a busy machine takes, whatever the pace
QUOTA_GB = 0.2
SEND = """
    INSERT INTO events_inboxrequest
        (event_ids, event_names, external_customer_ids, occurred_at, received_at, sources, properties)
    VALUES (ARRAY['event-1'], ARRAY['api.calls'], ARRAY['acme'], ARRAY[now()], now(), ARRAY[''], ARRAY['{}'::jsonb])
"""
ADD_ENDPOINT = """
    INSERT INTO config_webhookendpoint (public_id, url, description, event_types, is_enabled, secret, old_secret,
        disabled_reason, updated_at)
    VALUES ('we_1', %s, '', '{}', true, 'whsec_dGVzdA==', '', '', now())
"""
CHECK_OFTENER = """
    WITH interval AS (
        INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (3, 'seconds') RETURNING id
    ), checks AS (
        UPDATE django_celery_beat_periodictask SET interval_id = interval.id FROM interval
        WHERE task = 'config.tasks.check_for_alarms'
    )
    UPDATE django_celery_beat_periodictasks SET last_update = clock_timestamp()
"""
FILL = "CREATE UNLOGGED TABLE filler AS SELECT number, number AS other FROM generate_series(1, 6000000) AS number"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.statuses = [500]
        yield receiver


class Clock:
    """The clock of the processes that a test starts, which it can set. PostgreSQL's stays right."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.fail("No C compiler is installed: run `apt-get install gcc libc6-dev`.", pytrace=False)
        self._file, library = folder / "skew", folder / "skewed_clock.so"
        self.set_ahead(0)
        source = Path(__file__).with_name("skewed_clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.env = {"LD_PRELOAD": str(library), "SKEW_FILE": str(self._file)}

    def set_ahead(self, seconds: int) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def env(tmp_path: Path, clock: Clock) -> dict[str, str]:
    return {
        "DATA_DIR": str(tmp_path / "data"),
        "STATIC_ROOT": str(settings.DATA_DIR / "served-static"),
        "WEBHOOK_PRIVATE_TARGETS": "1",
        "ALARM_EMAILS": "ops@larkspur.example",
        "ALARM_PACE": str(PACE),
        "DATABASE_QUOTA_GB": str(QUOTA_GB),
        "EMAIL_URL": f"filemail:///{tmp_path / 'mail'}",
        **clock.env,
    }


@contextmanager
def serving(env: dict[str, str]) -> Iterator[Serve]:
    server = Serve(free_port(), env)
    try:
        server.wait_for("Countinghouse is at")
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@contextmanager
def stopped(server: Serve, *words: str) -> Iterator[None]:
    """Stop these processes inside the block, as if they hung. The supervisor doesn't notice."""
    parents = [process for word in words for process in server.find_services(word)]
    processes = [process for parent in parents for process in (parent, *parent.children(recursive=True))]
    _signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        process.send_signal(number)


def wait_for_alarms(database: "psycopg.Connection[Any]", *kinds: str) -> None:
    """Wait until these alarms are open."""
    until = time.monotonic() + WITHIN_S
    while missing := set(kinds) - set(read_open(database)):
        assert time.monotonic() < until, f"{missing} didn't open in time; open: {read_open(database)}"
        time.sleep(0.2)


def read_open(database: "psycopg.Connection[Any]") -> list[str]:
    return [kind for (kind,) in database.execute("SELECT kind FROM config_alarm WHERE cleared_at IS NULL")]


def wait_for_webhooks(receiver: Receiver, *kinds: str) -> None:
    """Wait until webhooks about these alarms were sent."""
    until = time.monotonic() + WITHIN_S
    while missing := set(kinds) - {request.said.get("alarm", {}).get("kind") for request in receiver.received}:
        assert time.monotonic() < until, f"No webhook about {missing}"
        time.sleep(0.2)


def read_emails(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.iterdir()).replace("=\n", "")


def test_each_fault_is_the_right_alarm_within_two_minutes(
    env: dict[str, str], clock: Clock, receiver: Receiver, tmp_path: Path, migrated_database_url: str
):
    url = owner_url(migrated_database_url)
    with (
        serving(env | {"DATABASE_URL": migrated_database_url}) as server,
        psycopg.connect(url, autocommit=True) as database,
    ):
        database.execute(CHECK_OFTENER)
        database.execute(ADD_ENDPOINT, [receiver.url])
        assert not {"disk_low", "clock_differs", "database_stopped"} & set(read_open(database))
        database.execute(FILL)
        with psycopg.connect(url) as holder:
            holder.execute("LOCK TABLE events_event IN ACCESS EXCLUSIVE MODE")
            database.execute(SEND)
            wait_for_alarms(database, "lock_held", "events_waiting", "disk_low")
        wait_for_alarms(database, "webhook_failing")
        clock.set_ahead(5 * 60)
        wait_for_alarms(database, "clock_differs")
        clock.set_ahead(0)
        with stopped(server, "worker", "beat"):
            wait_for_alarms(database, "worker_silent", "beat_silent")
            wait_for_webhooks(receiver, "worker_silent", "beat_silent")  # which web sends
        messages = [text for (text,) in database.execute("SELECT message FROM config_alarm")]
    emails = read_emails(tmp_path / "mail")
    for word in (
        "of the session",
        "Worker has been silent",
        "Beat has been silent",
        "its quota",
        "The clock of",
    ):
        assert word in emails
    assert "What to do: " in emails
    assert receiver.url not in emails
    assert any("1 event waits to be counted" in message for message in messages)
    assert any("is 5 minutes ahead of the database's" in message for message in messages)
