"""The web process as it is deployed, on the test database: for tests of what only a real server shows."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from django.conf import settings
from django.db import connection

from events.models import ApiKey, InboxRequest, RefusedRequest
from tests.services import free_port


@contextmanager
def granian(database_url: str, **environment: str) -> Iterator[str]:
    """Start Granian on the project, as `serve` does, and give its address once it is ready; stop it at the end."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "granian", "config.wsgi:application", "--interface", "wsgi"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--blocking-threads", "4", "--log-level", "critical"]
    secret = "for-this-test-run-only-0123456789-abcdefghij-klmnopqrst"
    env = {"SECRET_KEY": secret, "DEBUG": "0", "HTTPS": "0", "LOG_LEVEL": "ERROR", "DATABASE_POOL_SIZE": "4"}
    server = subprocess.Popen(
        command, env=os.environ | env | {"DATABASE_URL": database_url} | environment, cwd=settings.BASE_DIR
    )
    try:
        _wait_until_it_answers(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(15)


def forget_what_was_sent() -> None:
    """Delete keys, waiting and refused requests, and the change log: a module's server writes outside of its tests."""
    for model in (InboxRequest, RefusedRequest, ApiKey):
        model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE auditlog_logentry")
    connection.close()


def _wait_until_it_answers(base_url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        try:
            httpx.get(f"{base_url}/healthz", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("The web process didn't come up.", pytrace=False)


def database_url() -> str:
    """Return the URL of the test database, for other processes."""
    server = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(server._replace(path=f"/{connection.settings_dict['NAME']}"))


@pytest.fixture(scope="module")
def web_server(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """Return the address of a web process on the test database; it lives as long as the module's tests."""
    with django_db_blocker.unblock():
        url = database_url()
    with granian(url) as base_url:
        yield base_url
