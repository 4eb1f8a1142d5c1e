"""`manage.py serve` for real: web, worker and beat as processes, with and without Redis."""

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
import pytest
from django.conf import settings

from tests.services import free_port

pytestmark = pytest.mark.slow


def hear_ctrl_c() -> None:
    """Undo what a shell does to the jobs it puts in the background: they, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Serve:
    """A running `manage.py serve`, its output, and its processes by what they run."""

    def __init__(self, port: int, env: dict[str, str]) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=settings.BASE_DIR,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=hear_ctrl_c,  # noqa: PLW1509 it takes no lock that another thread could hold
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

    def running(self, word: str) -> list[psutil.Process]:
        """Return the services' own processes that have this word in their command."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if word in child.cmdline():
                    found.append(child)
        return found

    def everything(self) -> list[psutil.Process]:
        return [self.process_info(), *self.process_info().children(recursive=True)]

    def process_info(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(90)


@pytest.fixture
def env(tmp_path: Path, fresh_database_url: str) -> dict[str, str]:
    static = {"STATIC_ROOT": str(settings.DATA_DIR / "served-static")}  # collected once for all these tests
    return {"DATA_DIR": str(tmp_path), "DATABASE_URL": fresh_database_url, **static}


@pytest.fixture
def serve(env: dict[str, str]) -> Iterator[Serve]:
    server = Serve(free_port(), env)
    try:
        server.wait_for("Countinghouse is at")
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def healthy(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    return False


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Keep the processes that still run. A grandchild that ended waits for the machine's first process to reap it."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(condition: object, timeout_s: float = 30) -> None:
    assert callable(condition)
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it didn't happen in time"
        time.sleep(0.1)


def test_one_life_of_the_services(serve: Serve):
    assert healthy(serve.port)
    page = httpx.get(f"http://127.0.0.1:{serve.port}/admin/login/", timeout=20)
    assert page.status_code == 200
    assert "script-src 'self' 'unsafe-eval'" in page.headers["Content-Security-Policy"]
    assert all(len(serve.running(word)) == 1 for word in ("granian", "worker", "beat"))

    for word in ("granian", "worker", "beat"):
        killed = serve.running(word)[0]
        killed.kill()
        wait_until(lambda word=word, killed=killed: serve.running(word) and serve.running(word) != [killed])
    wait_until(lambda: healthy(serve.port))

    everything = serve.everything()
    assert serve.stop() == 0
    assert "Stopped." in serve.lines[-1]
    wait_until(lambda: not still_alive(everything))


def test_ctrl_c_ends_it_cleanly_too(serve: Serve):
    everything = serve.everything()
    assert serve.stop(signal.SIGINT) == 0
    wait_until(lambda: not still_alive(everything))


def test_killing_it_leaves_nothing_behind(serve: Serve):
    everything = serve.everything()
    serve.process.kill()
    wait_until(lambda: not still_alive(everything), 40)


def test_a_taken_port_gives_the_next_one(env: dict[str, str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(port), "--run", "echo at $BASE_URL; exit 3"],
            cwd=settings.BASE_DIR,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert f"Port {port} on 127.0.0.1 is taken; using" in ended.stdout
    assert "at http://127.0.0.1:" in ended.stdout
    assert ended.returncode == 3


@pytest.mark.redis
def test_the_worker_takes_its_work_from_redis(env: dict[str, str], redis_url: str, tmp_path: Path):
    import redis

    server = Serve(free_port(), {**env, "REDIS_URL": redis_url})
    try:
        server.wait_for("Countinghouse is at")
        client: Any = redis.Redis.from_url(redis_url)  # its types are those of its asynchronous twin too
        wait_until(lambda: client.exists("_kombu.binding.celery"))
        wait_until(lambda: client.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0) > 0)
        wait_until(lambda: client.llen("celery") == 0)
        assert not (tmp_path / "broker").exists()
    finally:
        server.stop()
