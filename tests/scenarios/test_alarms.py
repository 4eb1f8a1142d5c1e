"""The right alarm within two minutes, with real processes: a lock, waiting events, a broken webhook, silence."""

import signal
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
WITHIN_S = 120
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
STARTED_AN_HOUR_AGO = "UPDATE config_heartbeat SET started_at = now() - interval '1 hour'"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.statuses = [500]
        yield receiver


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def server(fresh_database_url: str, tmp_path: Path, mailbox: Path) -> Iterator[Serve]:
    env = {
        "DATA_DIR": str(tmp_path / "data"),
        "STATIC_ROOT": str(settings.DATA_DIR / "served-static"),
        "DATABASE_URL": fresh_database_url,
        "WEBHOOK_PRIVATE_TARGETS": "1",
        "ALARM_EMAILS": "ops@larkspur.example",
        "EMAIL_URL": f"filemail:///{mailbox}",
    }
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
        assert time.monotonic() < until, f"{missing} didn't open within two minutes; open: {read_open(database)}"
        time.sleep(1)


def read_open(database: "psycopg.Connection[Any]") -> list[str]:
    return [kind for (kind,) in database.execute("SELECT kind FROM config_alarm WHERE cleared_at IS NULL")]


def test_each_fault_is_the_right_alarm_within_two_minutes(
    server: Serve, receiver: Receiver, mailbox: Path, fresh_database_url: str
):
    url = owner_url(fresh_database_url)
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(STARTED_AN_HOUR_AGO)
        database.execute(ADD_ENDPOINT, [receiver.url])
        with psycopg.connect(url) as holder:
            holder.execute("LOCK TABLE events_event IN ACCESS EXCLUSIVE MODE")
            database.execute(SEND)
            wait_for_alarms(database, "lock_held", "events_waiting")
        wait_for_alarms(database, "webhook_failing")
        with stopped(server, "worker", "beat"):
            wait_for_alarms(database, "worker_silent", "beat_silent")
        messages = [text for (text,) in database.execute("SELECT message FROM config_alarm")]
    emails = "".join(path.read_text() for path in mailbox.iterdir())
    assert all(word in emails for word in ("holds a lock", "Worker is silent", "Beat is silent", "What to do: "))
    assert any("1 event waits to be counted" in message for message in messages)
    assert {"lock_held", "worker_silent"} <= {
        request.said["alarm"]["kind"] for request in receiver.received if "alarm" in request.said
    }
