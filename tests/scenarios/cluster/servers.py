"""The servers of the cluster that aren't ours: PostgreSQL with a synchronous standby, pgbouncer, Redis, RabbitMQ."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from config.server.postgres import DATABASE, ROLE, SYSTEM_USER, TEST_SETTINGS, EmbeddedPostgres, find_programs
from tests.scenarios.cluster.network import NETWORK, Host, as_user, wait_until

PORT, POOLER_PORT, ADMIN = 5432, 6432, "pgbouncer"
SETTINGS = {
    **TEST_SETTINGS,
    "full_page_writes": "on",  # pg_rewind needs it
    "synchronous_commit": "on",
    "wal_keep_size": "256MB",  # and the log since the last common checkpoint
    "wal_sender_timeout": "3s",
    "wal_receiver_timeout": "3s",
    "max_connections": "100",
}
ALLOW = f"\nhost all all {NETWORK}.0/24 trust\nhost replication all {NETWORK}.0/24 trust\n"
POOLER = """
[databases]
* = host={primary} port={port}

[pgbouncer]
listen_addr = {address}
listen_port = {pooler_port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
admin_users = {role}
pool_mode = session
max_client_conn = 200
default_pool_size = 80
server_connect_timeout = 2
server_login_retry = 1
query_wait_timeout = 10
tcp_keepidle = 2
tcp_keepintvl = 1
tcp_keepcnt = 2
tcp_user_timeout = 3000
"""


class Database:
    """A PostgreSQL server on a host. Its socket is in the host's folder, where a test reaches it without a network."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.data = host.folder / "data"

    def url(self, role: str) -> str:
        return f"postgresql://{role}@/{DATABASE}?host={quote(str(self.host.folder), safe='')}"

    def create(self, source: str) -> None:
        """Create the server with a copy of the database at the URL `source`, and start it on its host."""
        dump = self.host.folder / "dump"
        with EmbeddedPostgres(self.host.folder, settings=SETTINGS) as url:
            programs = find_programs()
            subprocess.run([programs / "pg_dump", "--format=custom", f"--file={dump}", source], check=True)
            subprocess.run([programs / "pg_restore", "--exit-on-error", f"--dbname={url}", dump], check=True)
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(ALLOW)
        self.start()

    def start(self) -> None:
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(self.host.folder, user.pw_uid, user.pw_gid)
        options = {
            "listen_addresses": self.host.address,
            "unix_socket_directories": str(self.host.folder),
            "cluster_name": self.host.name,
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        self.host.start("postgres", *self.program("postgres", "-D", str(self.data), *given), cwd="/")
        wait_until(self.responds, f"the start of {self.host.name}")

    def responds(self) -> bool:
        ready = [str(find_programs() / "pg_isready"), "--quiet", "--host", str(self.host.folder), "--username", ROLE]
        return subprocess.run(ready, check=False).returncode == 0

    def can_reach(self, other: "Database") -> bool:
        """Tell whether the other server answers this host. A route isn't there at once after a host was cut off."""
        asking = self.program("pg_isready", "--quiet", "--host", other.host.address, "--username", ROLE)
        return subprocess.run(self.host.entered(*asking), cwd="/", check=False).returncode == 0

    def program(self, name: str, *arguments: str) -> list[str]:
        """Return the command that runs one of PostgreSQL's programs as the server's user."""
        user = pwd.getpwnam(SYSTEM_USER)
        return [*as_user(user.pw_uid, user.pw_gid, str(find_programs() / name), *arguments)]

    def run(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs on this host, as the server's user."""
        return self.host.run(*self.program(name, *arguments), cwd="/")

    def ask(self, statement: str) -> str:
        """Run a statement as the owner, and return its result as text."""
        socket, role = str(self.host.folder), ROLE
        options = ["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--host", socket, "--username", role]
        return self.run("psql", *options, "--dbname", DATABASE, "--command", statement).strip()

    def copy_from(self, primary: "Database") -> None:
        """Become a standby of the primary."""
        self.host.folder.chmod(0o755)
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(self.host.folder, user.pw_uid, user.pw_gid)
        source = f"host={primary.host.address} user={ROLE} application_name={self.host.name}"
        self.run("pg_basebackup", "-D", str(self.data), "-d", source, "-R", "-c", "fast", "--no-sync")
        self.start()


class Pooler:
    """pgbouncer, which gives each client a connection of its own to the primary."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def start(self, primary: Host) -> None:
        program = shutil.which("pgbouncer")
        assert program, "pgbouncer isn't installed: run `apt-get install pgbouncer`."
        (self.host.folder / "users.txt").write_text(f'"{ROLE}" ""\n"{ROLE}_app" ""\n')
        self.point_to(primary)
        user = pwd.getpwnam(SYSTEM_USER)
        command = as_user(user.pw_uid, user.pw_gid, program, str(self.host.folder / "pgbouncer.ini"))
        self.host.start("pgbouncer", *command)

    def point_to(self, primary: Host) -> None:
        """Write the configuration, which names the primary."""
        values = {"primary": primary.address, "port": PORT, "pooler_port": POOLER_PORT, "role": ROLE}
        text = POOLER.format(**values, address=self.host.address, folder=self.host.folder)
        (self.host.folder / "pgbouncer.ini").write_text(text)

    def command(self, text: str) -> None:
        """Give a command to pgbouncer's console."""
        psql = str(find_programs() / "psql")
        address = ["--host", self.host.address, "--port", str(POOLER_PORT)]
        self.host.run(psql, *address, "--username", ROLE, "--dbname", ADMIN, "--command", text)


class Redis:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.env = {"REDIS_URL": f"redis://{host.address}:6379/0"}

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server isn't installed: run `apt-get install redis-server`."
        options = ["--bind", self.host.address, "--protected-mode", "no", "--save", "", "--dir", str(self.host.folder)]
        self.host.start("redis", program, *options)


class RabbitMQ:
    PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.env = {"BROKER_URL": f"amqp://guest:guest@{host.address}:5672//"}

    def start(self) -> None:
        assert self.PROGRAM.exists(), "RabbitMQ isn't installed: run `apt-get install rabbitmq-server`."
        folder = self.host.folder
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {self.host.address}:5672\nloopback_users = none\n")
        for name in ("plugins", "env.conf"):
            (folder / name).touch()
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",  # the two processors are shared
        }
        self.host.start("epmd", "epmd", env=env)
        self.host.start("rabbitmq", str(self.PROGRAM), env=env)
