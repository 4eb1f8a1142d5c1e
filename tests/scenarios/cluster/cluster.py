"""A deployment on ten hosts: two web, two workers with beat each, two PostgreSQL, pgbouncer, a broker, two senders."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from django.conf import settings

from config.server.postgres import APP_ROLE, DATABASE
from config.server.supervisor import WEB
from tests.scenarios.cluster import sender
from tests.scenarios.cluster.network import Host, Network, wait_until
from tests.scenarios.cluster.servers import POOLER_PORT, PORT, Database, Pooler, RabbitMQ, Redis

BROKERS: dict[str, type[Redis | RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
# Shorter than in production, so that a test needn't wait for 25 seconds: docs/scaling.md has the others.
TIMEOUTS = "connect_timeout=2&tcp_user_timeout=3000&keepalives_idle=2&keepalives_interval=1&keepalives_count=2"
WEB_PORT = 8000
SENDERS = ("sender1", "sender2")


class Cluster:
    """The deployment. web1 and worker1 reach the primary through pgbouncer, web2 and worker2 find it themselves."""

    def __init__(self, folder: Path, *, broker: str) -> None:
        self.network = network = Network(folder)
        self.databases = {name: Database(network.add_host(name)) for name in ("db1", "db2")}
        self.primary, self.standby = self.databases.values()
        self.pooler = Pooler(network.add_host("pooler"))
        self.broker = BROKERS[broker](network.add_host("broker"))
        for name in ("web1", "web2", "worker1", "worker2", *SENDERS):
            network.add_host(name)
        self.key = ""

    def __getitem__(self, name: str) -> Host:
        return self.network.hosts[name]

    def start(self, source: str) -> None:
        """Start everything but the senders, with a copy of the migrated database at the URL `source`."""
        self.broker.start()
        self.primary.create(source)
        self.standby.copy_from(self.primary)
        self.wait_for_the_standby()
        self.pooler.start(self.primary.host)
        for number in (1, 2):
            self.start_web(f"web{number}")
            self.start_worker(f"worker{number}")
        for name in ("web1", "web2"):
            wait_until(lambda name=name: self.is_ready(name), f"the start of {name}", 90)

    def wait_for_the_standby(self) -> None:
        """Let commits wait for the standby."""
        self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        self.primary.ask("SELECT pg_reload_conf()")
        state = "SELECT sync_state FROM pg_stat_replication"
        wait_until(lambda: self.primary.ask(state) == "quorum", "synchronous replication")

    # --- Our processes -------------------------------------------------------------------------------

    def env(self, host: Host) -> dict[str, str]:
        """Return the environment of our processes on a host."""
        if host.name.endswith("1"):
            url = f"postgresql://{APP_ROLE}@{self.pooler.host.address}:{POOLER_PORT}/{DATABASE}?{TIMEOUTS}"
        else:
            hosts = ",".join(f"{database.host.address}:{PORT}" for database in self.databases.values())
            url = f"postgresql://{APP_ROLE}@{hosts}/{DATABASE}?target_session_attrs=read-write&{TIMEOUTS}"
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_OWNER_URL"}
        return inherited | {
            "SECRET_KEY": settings.SECRET_KEY,
            "DEBUG": "0",
            "HTTPS": "0",
            "ALLOWED_HOSTS": "*",
            "LOG_LEVEL": "WARNING",
            "ALARM_PACE": "0.5",
            "DATABASE_URL": url,
            "DATA_DIR": str(host.folder / "data"),
            **self.broker.env,
        }

    def start_web(self, name: str) -> None:
        host = self[name]
        command = [*WEB, "--host", host.address, "--port", str(WEB_PORT), "--workers", "1", "--log-level", "warning"]
        self._start_ours(host, "web", *command)

    def start_worker(self, name: str) -> None:
        """Start a worker and beat."""
        celery = ["celery", "--quiet", "-A", "config"]
        quiet = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        self._start_ours(self[name], "worker", *celery, "worker", "--concurrency", "1", *quiet)
        self._start_ours(self[name], "beat", *celery, "beat", "--loglevel", "WARNING", "--pidfile=")

    def _start_ours(self, host: Host, name: str, *command: str) -> None:
        python = [sys.executable, "-W", "ignore", "-m", *command]
        host.start(name, *python, env=self.env(host), cwd=settings.BASE_DIR)

    def is_ready(self, name: str) -> bool:
        """Tell whether a web host answers a sender."""
        code = f"import httpx; print(httpx.get('http://{self[name].address}:{WEB_PORT}/readyz', timeout=5).status_code)"
        command = self["sender1"].entered(sys.executable, "-c", code)
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        return asked.stdout.strip() == str(httpx.codes.OK)

    def manage(self, *command: str) -> str:
        """Run a management command against the primary, through its socket."""
        env = self.env(self["web1"]) | {"DATABASE_URL": self.primary.url(APP_ROLE)}
        program = [sys.executable, "manage.py", *command]
        return subprocess.run(
            program, cwd=settings.BASE_DIR, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=120
        ).stdout.strip()

    def manage_on(self, name: str, *command: str) -> str:
        """Run a management command on a host."""
        host = self[name]
        return host.run(sys.executable, "manage.py", *command, cwd=settings.BASE_DIR, env=self.env(host)).strip()

    def scheduler(self) -> str:
        """Return the host whose beat starts the schedules."""
        return self.primary.ask("SELECT host FROM config_schedulinglease WHERE ends_at > clock_timestamp()")

    # --- Load ----------------------------------------------------------------------------------------

    def start_senders(self) -> None:
        urls = [f"http://{self[name].address}:{WEB_PORT}" for name in ("web1", "web2")]
        for name, order in zip(SENDERS, (urls, urls[::-1]), strict=True):
            accepted = str(self._accepted(name))
            self[name].start("sender", sys.executable, sender.__file__, name, self.key, accepted, *order)

    def stop_senders(self) -> None:
        for name in SENDERS:
            assert self[name].processes["sender"].poll() is None, (self[name].folder / "sender.log").read_text()
            self[name].stop("sender", signal.SIGTERM, 60)

    def accepted(self) -> dict[str, list[tuple[float, int, int]]]:
        """Return the batches that were answered with 202 by sender: when, from which number to which."""
        return {name: _read(self._accepted(name)) for name in SENDERS}

    def wait_for_load(self, batches: int = 5) -> None:
        """Wait until each sender had some more batches accepted."""
        before = {name: len(lines) for name, lines in self.accepted().items()}
        wait_until(
            lambda: all(len(lines) >= before[name] + batches for name, lines in self.accepted().items()),
            f"{batches} more batches of each sender",
        )

    def longest_pause(self, since: float) -> float:
        """Return the longest time without a 202, in seconds, from a moment on."""
        moments = sorted(moment for lines in self.accepted().values() for moment, _, _ in lines if moment > since)
        return max(after - before for before, after in zip([since, *moments], moments, strict=False))

    def _accepted(self, name: str) -> Path:
        return self[name].folder / "accepted"


def _read(path: Path) -> list[tuple[float, int, int]]:
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [(moment, first, end) for moment, first, end in map(json.loads, whole.splitlines())]
