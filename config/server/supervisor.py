"""Run the web server, the Celery worker and beat as real processes, and keep them running.

    with running_services(port=8000) as services:
        ...                 # services.base_url responds
        services.wait()     # until Ctrl-C or SIGTERM

A process that ends is restarted. At the end, all processes are stopped in order.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

import httpx
from django.conf import settings
from django.core.management import call_command

from config.server.postgres import restart_killed_servers
from config.server.problems import StartupProblem
from config.server.secret_key import load_laptop_secret_key
from config.server.static import collect_if_needed

HOST = "127.0.0.1"
PORTS_TO_TRY = 100
READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 15
STEADY_S = 10  # a process that ran this long is restarted at once; others wait longer each time
MAX_PAUSE_S = 10.0
MAX_STARTS = 3  # while waiting for the first response
WEB_WORKERS = 2
# HTTP/2 is left to the proxy. A client has 30 seconds, Granian's default, to send its headers or the next request.
# A process that is asked to stop while it starts would miss that, so it is killed after a while.
WEB = (
    *("granian", "config.rsgi:application", "--interface", "rsgi", "--http", "1", "--no-ws"),
    *("--backpressure", "2000", "--workers-kill-timeout", "10"),
)
CELERY_PROCESSES = 2
# Celery warns root about pickled messages, but messages are JSON only.
IGNORE_ROOT_WARNING = ["-W", "ignore:You're running the worker with superuser privileges"]


@dataclass
class Child:
    """A process and all processes that it started. They share a process group and end together."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    log: Path | None
    starts: int = 0
    pause_s: float = 0.2
    started_at: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        self.started_at = time.monotonic()
        with contextlib.ExitStack() as stack:
            output: IO[bytes] | None = stack.enter_context(self.log.open("ab")) if self.log else None
            self.process = subprocess.Popen(
                [*_parent_death_command(), *self.command],
                env=dict(self.env),
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,  # Ctrl-C stops only this process, which then stops the children in order
            )

    def signal_group(self, number: int) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def terminate(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def finish(self, until: float) -> None:
        """Wait until the moment (of the monotonic clock), then kill the remaining processes of the group.

        SIGTERM is sent again every second, as a process that still starts may have missed it.
        """
        if self.process is None:
            return
        while self.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.terminate()
        self.signal_group(signal.SIGKILL)
        self.process.wait()


@dataclass
class Services:
    """The running processes and their address."""

    port: int
    children: list[Child]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def pid(self, name: str) -> int:
        """Return the current process id of `web`, `worker` or `beat`."""
        process = next(child.process for child in self.children if child.name == name)
        if process is None:
            raise LookupError(name)
        return process.pid

    def wait(self) -> None:
        """Wait for Ctrl-C or SIGTERM, after which the `with` block stops everything."""
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)

    def start(self) -> None:
        for child in self.children:
            child.start()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        until = time.monotonic() + STOP_TIMEOUT_S
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            child.finish(until)

    def wait_until_ready(self) -> None:
        """Wait until /readyz responds 200. Raises StartupProblem if it doesn't in time."""
        until = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.base_url}/readyz", timeout=2).status_code == httpx.codes.OK:
                    return
            for child in self.children:
                if child.starts > MAX_STARTS:
                    raise StartupProblem(f"The {child.name} process keeps ending{_read_last_log_line(child)}")
            time.sleep(0.1)
        raise StartupProblem(f"{self.base_url}/readyz didn't respond with 200 within {READY_TIMEOUT_S} seconds.")

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            self._restart_database()
            for child in self.children:
                if child.process and child.process.poll() is not None:
                    self._restart(child)

    def _restart_database(self) -> None:
        try:
            restart_killed_servers()
        except StartupProblem as problem:
            sys.stderr.write(f"{problem}\n")
            self._stopping.wait(MAX_PAUSE_S)

    def _restart(self, child: Child) -> None:
        child.signal_group(signal.SIGKILL)  # its remaining processes hold its port and its tasks
        was_steady = time.monotonic() - child.started_at > STEADY_S
        child.pause_s = 0.2 if was_steady else min(child.pause_s * 2, MAX_PAUSE_S)
        code = child.process.returncode if child.process else "?"
        sys.stderr.write(f"The {child.name} process ended ({code}) and is restarted.\n")
        if not self._stopping.wait(child.pause_s):
            child.start()


@contextlib.contextmanager
def running_services(port: int | None = None, *, log_dir: Path | None = None) -> Iterator[Services]:
    """Migrate, start web, worker and beat, and yield them once they respond. Stop them at the end.

    The first free port from `port` (by default, PORT) is used. With `log_dir`, each process writes to `<name>.log` in
    that folder; otherwise they share this process's output. SIGTERM ends the block, as Ctrl-C does. Raises
    StartupProblem if a process doesn't start.
    """
    env = make_environment()
    call_command("migrate", interactive=False, verbosity=0)
    collect_if_needed(env)
    if log_dir:
        log_dir.mkdir(parents=True, exist_ok=True)
    free_port = find_free_port(port or settings.PORT)
    env.setdefault("SELF_TEST_URL", f"http://{HOST}:{free_port}")
    services = _make_services(free_port, env, log_dir)
    previous_handler = signal.signal(signal.SIGTERM, _raise_keyboard_interrupt)
    try:
        services.start()
        services.wait_until_ready()
        yield services
    finally:
        ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        services.stop()
        signal.signal(signal.SIGINT, ignored[signal.SIGINT])
        signal.signal(signal.SIGTERM, previous_handler)


def make_environment() -> dict[str, str]:
    """Return the environment of the services. On a laptop they run like a deployment, but without HTTPS.

    DEBUG keeps every query in memory, so it is off unless the environment sets it.
    """
    env = dict(os.environ)
    if "SECRET_KEY" not in env:
        env |= {"SECRET_KEY": load_laptop_secret_key(settings.DATA_DIR)}
        env.setdefault("DEBUG", "0")
        env.setdefault("HTTPS", "0")
    env["DATA_DIR"] = str(settings.DATA_DIR)
    env["PYTHONUNBUFFERED"] = "1"
    return env


def find_free_port(first: int) -> int:
    """Return the first free port from `first` on. Raises StartupProblem if a hundred ports are taken."""
    for port in range(first, min(first + PORTS_TO_TRY, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise StartupProblem(f"No port from {first} on is free. Set PORT to another port.")


def _make_services(port: int, env: Mapping[str, str], log_dir: Path | None) -> Services:
    def make_child(name: str, *command: str) -> Child:
        log = log_dir / f"{name}.log" if log_dir else None
        return Child(name, [sys.executable, *IGNORE_ROOT_WARNING, "-m", *command], env, log)

    web = [*WEB, "--host", HOST, "--port", str(port), "--workers", str(WEB_WORKERS)]
    web += ["--respawn-failed-workers", "--log-level", "warning"]
    worker = [
        "celery",
        "--quiet",
        "-A",
        "config",
        "worker",
        "--concurrency",
        str(CELERY_PROCESSES),
        "--loglevel",
        "WARNING",
    ]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    beat = ["celery", "--quiet", "-A", "config", "beat", "--loglevel", "WARNING", "--pidfile="]
    return Services(port, [make_child("web", *web), make_child("worker", *worker), make_child("beat", *beat)])


def _parent_death_command() -> list[str]:
    """Return a command prefix that makes the kernel end the child when this process is killed, if available."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _raise_keyboard_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _read_last_log_line(child: Child) -> str:
    if child.log is None or not child.log.exists():
        return "."
    lines = [line for line in child.log.read_text(errors="replace").splitlines() if line.strip()]
    return f" (see {child.log}): {lines[-1].strip()}" if lines else "."
