"""Stores for sealed events, and the right of the application's role to remove them from the ledger."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import httpx
import pytest

from config.db.privileges import restrict_application
from tests.owner import as_owner
from tests.services import free_port, wait_for_port


@pytest.fixture
def history(db, settings, tmp_path):
    """Seal events into a folder, which is empty at first."""
    settings.EVENT_HISTORY = (tmp_path / "history").as_uri()
    settings.DATA_DIR = tmp_path
    settings.SEAL_AFTER_DAYS = 0
    with as_owner():
        restrict_application()
    return tmp_path / "history"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run a stand-in for Amazon S3, and return its address."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3_server, monkeypatch) -> str:
    """Return the address of an empty bucket's prefix."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    name = f"history-{secrets.token_hex(8)}"
    httpx.put(f"{s3_server}/{name}").raise_for_status()
    return f"s3://{name}/past/events?endpoint_url={s3_server}&region=us-east-1"


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory) -> Iterator[str]:
    """Run ClickHouse's engine behind HTTP, and return its address."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("clickhouse")
    command = [sys.executable, "-m", "tests.clickhouse", str(port), str(folder)]
    server = subprocess.Popen(command, env=os.environ | {"TZ": "UTC"})
    try:
        wait_for_port(port, server)
        yield f"clickhouse://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def clickhouse(clickhouse_server) -> str:
    """Return the address of an empty database."""
    name = f"history_{secrets.token_hex(8)}"
    clickhouse_connect.get_client(dsn=clickhouse_server).command(f"CREATE DATABASE {name}")
    return f"{clickhouse_server}/{name}"
