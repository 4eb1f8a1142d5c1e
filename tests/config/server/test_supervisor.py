"""`manage.py serve` runs web, worker and beat as processes, with and without Redis."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
import redis
from django.conf import settings

from config.server.postgres import APP_ROLE, EmbeddedPostgres
from tests.services import free_port

pytestmark = pytest.mark.slow


def enable_ctrl_c() -> None:
    """Restore the handling of Ctrl-C, which background jobs of a shell and their children ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Serve:
    """A running `manage.py serve`, its output and its processes."""

    def __init__(self, port: int, env: dict[str, str]) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=settings.BASE_DIR,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=enable_ctrl_c,  # noqa: PLW1509 it takes no lock that another thread could hold
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text: str, timeout_s: float = 120) -> str:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in list(self.lines):
                if text in line:
                    return line
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        raise AssertionError(f"{text!r} wasn't printed:\n{''.join(self.lines)}")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def find_services(self, word: str) -> list[psutil.Process]:
        """Return the service processes that have this word in their command."""
        services = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if word in child.cmdline():
                    services.append(child)
        return services

    def list_processes(self) -> list[psutil.Process]:
        return [self.process_info(), *self.process_info().children(recursive=True)]

    def process_info(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture
def env(tmp_path: Path, migrated_database_url: str) -> dict[str, str]:
    static = {"STATIC_ROOT": str(settings.DATA_DIR / "served-static")}  # collected once for all tests of this module
    return {"DATA_DIR": str(tmp_path), "DATABASE_URL": migrated_database_url, **static}


@pytest.fixture
def serve(env: dict[str, str]) -> Iterator[Serve]:
    server = Serve(free_port(), env)
    try:
        server.wait_for("Countinghouse is at")
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def is_healthy(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    return False


def find_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that are still running. A zombie has ended and waits for the init process."""
    running = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running


def wait_until(condition: object, timeout_s: float = 30) -> None:
    assert callable(condition)
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "the condition wasn't met in time"
        time.sleep(0.1)


def test_killed_services_are_restarted_and_all_stop_at_the_end(serve: Serve, env: dict[str, str]):
    assert is_healthy(serve.port)
    page = httpx.get(f"http://127.0.0.1:{serve.port}/admin/login/", timeout=20)
    assert page.status_code == 200
    assert "script-src 'self' 'unsafe-eval'" in page.headers["Content-Security-Policy"]
    assert all(len(serve.find_services(word)) == 1 for word in ("granian", "worker", "beat"))
    alive = Path(env["DATA_DIR"]) / "alive"  # what health checks of containers look at
    wait_until(lambda: {path.name for path in alive.glob("*")} == {"worker", "beat"})

    for word in ("granian", "worker", "beat"):
        killed = serve.find_services(word)[0]
        killed.kill()
        wait_until(lambda word=word, killed=killed: serve.find_services(word) and serve.find_services(word) != [killed])
    wait_until(lambda: is_healthy(serve.port))

    processes = serve.list_processes()
    assert serve.stop() == 0
    assert "Stopped." in serve.lines[-1]
    wait_until(lambda: not find_running(processes))


def test_ctrl_c_stops_all_processes(serve: Serve):
    processes = serve.list_processes()
    assert serve.stop(signal.SIGINT) == 0
    wait_until(lambda: not find_running(processes))


def test_killing_the_supervisor_ends_all_processes(serve: Serve):
    processes = serve.list_processes()
    serve.process.kill()
    wait_until(lambda: not find_running(processes), 40)


def test_the_next_free_port_is_used_if_the_port_is_taken(env: dict[str, str]):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(port), "--run", "echo at $BASE_URL; exit 3"],
            cwd=settings.BASE_DIR,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert f"Port {port} on 127.0.0.1 is taken; using" in process.stdout
    assert "at http://127.0.0.1:" in process.stdout
    assert process.returncode == 3


@pytest.mark.redis
def test_the_worker_receives_tasks_from_redis(env: dict[str, str], redis_url: str, tmp_path: Path):
    server = Serve(free_port(), {**env, "REDIS_URL": redis_url})
    try:
        server.wait_for("Countinghouse is at")
        client: Any = redis.Redis.from_url(redis_url)  # its types include those of the asynchronous client
        wait_until(lambda: client.exists("_kombu.binding.celery"))
        wait_until(lambda: client.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0) > 0)
        wait_until(lambda: client.llen("celery") == 0)
        assert not (tmp_path / "broker").exists()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def own_server(own_folder: Path) -> Iterator[Serve]:
    """Run `serve` with an embedded PostgreSQL of its own."""
    static = {"STATIC_ROOT": str(settings.DATA_DIR / "served-static")}
    embedded = {"DATA_DIR": str(own_folder), "DATABASE_URL": "", "DATABASE_OWNER_URL": ""}
    mail = {"ALARM_EMAILS": "ops@larkspur.example", "EMAIL_URL": f"filemail:///{own_folder / 'mail'}"}
    server = Serve(free_port(), {**embedded, **mail, **static})
    try:
        server.wait_for("Countinghouse is at")
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def test_a_killed_postgresql_is_restarted_and_no_accepted_event_is_lost(own_server: Serve, own_folder: Path):
    postgres = EmbeddedPostgres(own_folder / "postgres")
    key = make_key(postgres)
    statuses: list[int] = []
    accepted: list[str] = []

    def send() -> int:
        event = {"event_id": f"event-{len(statuses)}", "event_name": "calls", "external_customer_id": "acme"}
        answer = httpx.post(f"{own_server.base_url}/v1/events", json=event, headers={"x-api-key": key}, timeout=30)
        statuses.append(answer.status_code)
        if answer.status_code == 202:
            accepted.append(event["event_id"])
        return answer.status_code

    wait_until(lambda: send() == 202)
    postmaster = postgres.find_process()
    postmaster.kill()
    wait_until(lambda: send() == 503)
    wait_until(lambda: send() == 202, 60)
    own_server.wait_for("The embedded PostgreSQL ended and is restarted.")
    assert set(statuses) == {202, 503}
    assert postgres.find_process() != postmaster
    wait_until(lambda: set(accepted) == find_in_ledger(postgres, accepted), 60)
    wait_until(lambda: "PostgreSQL stopped, and was started again at" in read_emails(own_folder / "mail"))


def test_a_malformed_message_is_set_aside_and_the_worker_goes_on(own_server: Serve, own_folder: Path):
    postgres = EmbeddedPostgres(own_folder / "postgres")
    key = make_key(postgres)
    messages = own_folder / "broker" / "messages"
    (messages / "000000000000001_x.celery.msg").write_bytes(b"half a mess")
    wait_until((messages / "broken" / "000000000000001_x.celery.msg").exists)
    worker = own_server.find_services("worker")
    event = {"event_id": "after", "event_name": "calls", "external_customer_id": "acme"}
    httpx.post(f"{own_server.base_url}/v1/events", json=event, headers={"x-api-key": key}).raise_for_status()
    wait_until(lambda: find_in_ledger(postgres, ["after"]) == {"after"})
    assert own_server.find_services("worker") == worker


def read_emails(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("*.log")).replace("=\n", "")


def make_key(postgres: EmbeddedPostgres) -> str:
    """Create an API key in the server's database."""
    env = os.environ | {"DATABASE_URL": postgres.url(role=APP_ROLE), "DATABASE_OWNER_URL": postgres.url()}
    command = [sys.executable, "manage.py", "create_api_key", "Test"]
    return subprocess.run(
        command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def find_in_ledger(postgres: EmbeddedPostgres, event_ids: list[str]) -> set[str]:
    """Return which of the events are in the ledger."""
    with psycopg.connect(postgres.url()) as server:
        rows = server.execute("SELECT event_id FROM events_event WHERE event_id = ANY(%s)", [event_ids]).fetchall()
    return {row[0] for row in rows}
