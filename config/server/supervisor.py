"""Run the web server, the Celery worker and beat as real processes, and keep them running.

    with running_services(port=8000) as services:
        ...                 # services.base_url answers
        services.wait()     # until Ctrl-C or SIGTERM

A process that dies is started again. On the way out all are stopped in order and none is left behind.
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

from config.server.problems import StartupProblem
from config.server.secret_key import laptop_secret_key
from config.server.static import collect_if_needed

HOST = "127.0.0.1"
PORTS_TO_TRY = 100
READY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 15
STEADY_S = 10  # a process that lived this long starts again at once; a shorter life waits longer each time
LONGEST_PAUSE_S = 10.0
STARTS_BEFORE_GIVING_UP = 3  # while waiting for the first answer
WEB_WORKERS = 2
WEB_THREADS = 4  # per web worker; each may hold one database connection
CELERY_PROCESSES = 2
# Celery warns root about pickled messages; ours are JSON only.
QUIET_ABOUT_ROOT = ["-W", "ignore:You're running the worker with superuser privileges"]


@dataclass
class Child:
    """One process, with all that it started: they share a process group, and end together."""

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
                [*_tied_to_this_process(), *self.command],
                env=dict(self.env),
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,  # Ctrl-C is for us; we tell the children in order
            )

    def signal_group(self, number: int) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def terminate(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def finish(self, until: float) -> None:
        """Wait until the moment (of the monotonic clock), then kill what is left of the group.

        Ask again every second: beat ends by an exception out of its signal handler, and now and then that comes
        while a library is swallowing exceptions.
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
    """The running processes, and the address they answer at."""

    port: int
    children: list[Child]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def pid(self, name: str) -> int:
        """Return the process id of `web`, `worker` or `beat` as it runs now."""
        process = next(child.process for child in self.children if child.name == name)
        if process is None:
            raise LookupError(name)
        return process.pid

    def wait(self) -> None:
        """Return on Ctrl-C or SIGTERM; the `with` block then stops everything."""
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
        """Return once /healthz answers 200. Raises StartupProblem when it doesn't in time."""
        until = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.base_url}/healthz", timeout=2).status_code == httpx.codes.OK:
                    return
            for child in self.children:
                if child.starts > STARTS_BEFORE_GIVING_UP:
                    raise StartupProblem(f"The {child.name} process doesn't stay up{_last_words(child)}")
            time.sleep(0.1)
        raise StartupProblem(f"{self.base_url}/healthz didn't answer 200 within {READY_TIMEOUT_S} seconds.")

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in self.children:
                if child.process and child.process.poll() is not None:
                    self._start_again(child)

    def _start_again(self, child: Child) -> None:
        child.signal_group(signal.SIGKILL)  # what it left behind holds its port and its tasks
        steady = time.monotonic() - child.started_at > STEADY_S
        child.pause_s = 0.2 if steady else min(child.pause_s * 2, LONGEST_PAUSE_S)
        code = child.process.returncode if child.process else "?"
        sys.stderr.write(f"The {child.name} process ended ({code}); starting it again.\n")
        if not self._stopping.wait(child.pause_s):
            child.start()


@contextlib.contextmanager
def running_services(port: int | None = None, *, log_dir: Path | None = None) -> Iterator[Services]:
    """Migrate, start web, worker and beat, and give them back once they answer; stop them at the end.

    `port` (PORT unless given) is where looking for a free one begins. With `log_dir` each process writes
    `<name>.log` there; without, they share this process's output. SIGTERM ends the block as Ctrl-C does.
    Raises StartupProblem with one sentence when they don't come up.
    """
    env = child_environment()
    call_command("migrate", interactive=False, verbosity=0)
    collect_if_needed(env)
    if log_dir:
        log_dir.mkdir(parents=True, exist_ok=True)
    services = _services(free_port(port or settings.PORT), env, log_dir)
    before = signal.signal(signal.SIGTERM, _stop_like_ctrl_c)
    try:
        services.start()
        services.wait_until_ready()
        yield services
    finally:
        ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        services.stop()
        signal.signal(signal.SIGINT, ignored[signal.SIGINT])
        signal.signal(signal.SIGTERM, before)


def child_environment() -> dict[str, str]:
    """Return the environment of the services. On a laptop they run as a deployment does, without HTTPS.

    So DEBUG, which keeps every query in memory, is off for them unless it was asked for.
    """
    env = dict(os.environ)
    if "SECRET_KEY" not in env:
        env |= {"SECRET_KEY": laptop_secret_key(settings.DATA_DIR)}
        env.setdefault("DEBUG", "0")
        env.setdefault("HTTPS", "0")
    env["DATA_DIR"] = str(settings.DATA_DIR)
    env["PYTHONUNBUFFERED"] = "1"
    return env


def free_port(first: int) -> int:
    """Return the first port from `first` on that nothing listens on. Raises StartupProblem after a hundred."""
    for port in range(first, min(first + PORTS_TO_TRY, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise StartupProblem(f"No port from {first} on is free: name another with PORT.")


def _services(port: int, env: Mapping[str, str], log_dir: Path | None) -> Services:
    def child(name: str, *command: str, **more: str) -> Child:
        log = log_dir / f"{name}.log" if log_dir else None
        return Child(name, [sys.executable, *QUIET_ABOUT_ROOT, "-m", *command], {**env, **more}, log)

    web = ["granian", "config.wsgi:application", "--interface", "wsgi", "--host", HOST, "--port", str(port)]
    web += ["--workers", str(WEB_WORKERS), "--blocking-threads", str(WEB_THREADS), "--no-ws"]
    web += ["--respawn-failed-workers", "--workers-kill-timeout", "10", "--log-level", "warning"]
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
    pool = env.get("DATABASE_POOL_SIZE", str(WEB_THREADS))
    return Services(port, [child("web", *web, DATABASE_POOL_SIZE=pool), child("worker", *worker), child("beat", *beat)])


def _tied_to_this_process() -> list[str]:
    """Have the kernel end the child when we are killed, where util-linux offers that."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _stop_like_ctrl_c(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _last_words(child: Child) -> str:
    if child.log is None or not child.log.exists():
        return "."
    lines = [line for line in child.log.read_text(errors="replace").splitlines() if line.strip()]
    return f" (see {child.log}): {lines[-1].strip()}" if lines else "."
