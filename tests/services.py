"""A pytest plugin, loaded before Django, that starts the services that the tests use.

The run has one PostgreSQL under DATA_DIR/test, with a database for each xdist worker, and one redis-server for the
tests marked `redis`. Both are stopped when the run ends. The server's files are kept, and with them an empty migrated
database, which later runs copy until a migration changes.
"""

import gc
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from config.server.postgres import APP_ROLE, TEST_SETTINGS, EmbeddedPostgres
from config.server.problems import StartupProblem
from config.server.startup import get_data_dir

TEST_DIR = get_data_dir() / "test"
# A run with SEALED=1 seals events as soon as they are processed, and leaves out tests that look at rows of the ledger.
SEALED = os.environ.get("SEALED", "") not in ("", "0")
servers: list[EmbeddedPostgres] = []


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Set the environment before pytest-django, which uses the same hook, reads the settings."""
    start_services()
    return (yield)


def start_services() -> None:
    """Start PostgreSQL for this run and set both of its URLs, unless the environment sets DATABASE_URL."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # everything is inherited from the run that started this worker
    os.environ["DATA_DIR"] = str(TEST_DIR)
    (TEST_DIR / "static").mkdir(parents=True, exist_ok=True)  # WhiteNoise warns if it doesn't exist
    for name in ("REDIS_URL", "BROKER_URL", "SECRET_KEY", "DEBUG", "HTTPS", "ALLOWED_HOSTS", "STATIC_ROOT"):
        os.environ.pop(name, None)
    for name in ("EVENT_HISTORY", "SEAL_AFTER_DAYS"):
        os.environ.pop(name, None)
    if SEALED:
        os.environ["EVENT_HISTORY"], os.environ["SEAL_AFTER_DAYS"] = (TEST_DIR / "history").as_uri(), "0"
    if os.environ.get("DATABASE_URL"):
        os.environ.setdefault("DATABASE_OWNER_URL", os.environ["DATABASE_URL"])
        return
    server = EmbeddedPostgres(TEST_DIR / "postgres", settings=TEST_SETTINGS)
    try:
        os.environ["DATABASE_OWNER_URL"] = server.start()
        os.environ["DATABASE_URL"] = server.url(role=APP_ROLE)
    except StartupProblem as problem:
        raise pytest.UsageError(str(problem)) from problem
    servers.append(server)
    os.environ["MIGRATED_DATABASE"] = f"migrated_{_hash_migrations()}"


def _hash_migrations() -> str:
    """Return a hash of all migrations: ours, and those of the locked packages."""
    root = Path(__file__).parent.parent
    files = [*sorted(root.glob("*/migrations/*.py")), *sorted(root.glob("requirements*.txt"))]
    contents = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(contents + (b"sealed" if SEALED else b"")).hexdigest()[:16]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run slow tests first, so that none is left alone at the end. With SEALED=1, leave out the hot ones."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if SEALED:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("hot")])
        items[:] = [item for item in items if not item.get_closest_marker("hot")]


def pytest_collection_finish() -> None:
    """Look for the tests' garbage less often, and not in all that was imported until now, which stays until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def pytest_unconfigure(config: pytest.Config) -> None:
    while servers:
        servers.pop().release()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Return the URL of this run's redis-server. If it isn't installed, the tests fail instead of being skipped."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("redis-server isn't installed: run `apt-get install redis-server`.", pytrace=False)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="countinghouse-redis-") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen([program, *options], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for_port(port, server)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(10)


def free_port() -> int:
    """Return a port that is currently free."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server responds on a port of this machine."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None:
                pytest.fail(f"{server.args!r} didn't start.", pytrace=False)
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"{server.args!r} didn't respond within 30 seconds.", pytrace=False)
