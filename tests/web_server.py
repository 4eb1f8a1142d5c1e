"""The web process as in a deployment, on the test database, for tests that need a real server."""

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

from config.monitoring.models import Heartbeat
from config.server.supervisor import WEB
from config.signin.models import CacheEntry, SignInEvent
from events.models import ApiKey, InboxRequest, RefusedRequest
from tests.owner import as_owner
from tests.services import free_port


@pytest.fixture(scope="session")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Collect the static files, without which pages of a deployment can't be rendered."""
    folder = str(tmp_path_factory.mktemp("static"))
    env = os.environ | {"SECRET_KEY": settings.SECRET_KEY, "DEBUG": "0", "STATIC_ROOT": folder}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=settings.BASE_DIR, env=env, check=True)
    return folder


@contextmanager
def granian(database_url: str, **environment: str) -> Iterator[str]:
    """Start Granian like `serve` does, yield its address once it is ready, and stop it at the end."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", *WEB, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "critical"]
    env = {"SECRET_KEY": settings.SECRET_KEY, "DEBUG": "0", "HTTPS": "0", "LOG_LEVEL": "ERROR"}
    server = subprocess.Popen(
        command, env=os.environ | env | {"DATABASE_URL": database_url} | environment, cwd=settings.BASE_DIR
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(15)


def delete_stored_requests() -> None:
    """Delete keys, requests, counts of sign-ins and the change log, which the server saved outside tests' transactions.

    Call it after the server has ended: it writes refused requests with a delay.
    """
    with as_owner(), connection.cursor() as cursor:
        for model in (InboxRequest, RefusedRequest, ApiKey, CacheEntry, SignInEvent, Heartbeat):
            model.objects.all().delete()
        cursor.execute("TRUNCATE auditlog_logentry, config_changeseal")
    connection.close()


def _wait_until_ready(base_url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and server.poll() is None:
        try:
            httpx.get(f"{base_url}/healthz", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("The web process didn't start.", pytrace=False)


def database_url() -> str:
    """Return the URL of the test database, for other processes."""
    server = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(server._replace(path=f"/{connection.settings_dict['NAME']}"))


@pytest.fixture(scope="module")
def web_server(django_db_setup: None, static_root: str, django_db_blocker: Any) -> Iterator[str]:
    """Yield the address of a web process on the test database, which runs during the module's tests."""
    with django_db_blocker.unblock():
        url = database_url()
    with granian(url, STATIC_ROOT=static_root) as base_url:
        yield base_url
    with django_db_blocker.unblock():
        delete_stored_requests()
