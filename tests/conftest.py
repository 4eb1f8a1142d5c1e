"""Fixtures for the tests of all apps."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import DjangoDbBlocker

from config.db.privileges import restrict_application
from tests.api import api
from tests.authors import entries_of_requests, every_change_names_its_author
from tests.browser import admin_browser, chromium
from tests.owner import acting_as_application, as_owner
from tests.process_state import clear_process_state
from tests.services import redis_url
from tests.web_server import static_root, web_server

__all__ = [
    "admin_browser",
    "api",
    "chromium",
    "entries_of_requests",
    "every_change_names_its_author",
    "redis_url",
    "static_root",
    "web_server",
]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Create the test database as the owner, and allow truncating protected tables, as tests with transactions do."""
    connection.settings_dict["USER"] = settings.DATABASE_OWNER["USER"]
    connection.settings_dict["OPTIONS"]["options"] = "-c countinghouse.allow_truncate=on"


@pytest.fixture(scope="session")
def django_db_setup(
    use_migrated_copy: None, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Create the test database, and keep a copy of it for later runs. The tests run as the application's role."""
    with django_db_blocker.unblock():
        keep_migrated_copy()
    with acting_as_application():
        yield


def keep_migrated_copy() -> None:
    """Copy the test database, unless it is a copy itself."""
    name = os.environ.get("MIGRATED_DATABASE")
    if not name or connection.settings_dict["TEST"].get("TEMPLATE") == name:
        return
    source = connection.settings_dict["NAME"]
    connection.close()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(1)")  # each xdist worker comes here
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return
        for (old,) in server.execute("SELECT datname FROM pg_database WHERE datname ~ '^migrated_'").fetchall():
            server.execute(f"DROP DATABASE IF EXISTS {old}".encode())
        server.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())


@pytest.fixture(scope="session")
def use_migrated_copy() -> None:
    """Start from the migrated database of an earlier run, if there is one: migrating takes most of a short run."""
    name = os.environ.get("MIGRATED_DATABASE")
    if not name:
        return
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.settings_dict["TEST"]["TEMPLATE"] = name


@pytest.fixture(autouse=True)
def as_a_new_process() -> Iterator[None]:
    """Clear what a web process keeps between requests."""
    yield
    clear_process_state()


@pytest.fixture
def staff_user(db: None) -> User:
    """Return a superuser, who has every permission in the admin."""
    return User.objects.create_superuser("staff", "staff@example.com", "correct-horse-battery")


@pytest.fixture
def staff_client(staff_user: User) -> Client:
    """Return a test client that is logged in to the admin."""
    client = Client()
    client.force_login(staff_user)
    return client


@pytest.fixture
def retention_of_thirty_days(db: None, settings: Any) -> None:
    """Keep events for thirty days, and let the application's role delete older ones, as `migrate` does then."""
    settings.LEDGER_DAYS = 30
    with as_owner():
        restrict_application()


@pytest.fixture
def fresh_database_url() -> Iterator[str]:
    """Yield the application's URL of a new, empty database for tests that run processes. It is dropped afterwards."""
    with _new_database("template1") as url:
        yield url


@pytest.fixture
def migrated_database_url(django_db_setup: None) -> Iterator[str]:
    """Yield the application's URL of a new, migrated database, from which processes start in seconds."""
    with _new_database(os.environ.get("MIGRATED_DATABASE", "template1")) as url:
        yield url


@contextmanager
def _new_database(template: str) -> Iterator[str]:
    name = f"fresh_{secrets.token_hex(6)}"
    parts = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        yield urlunsplit(parts._replace(path=f"/{name}"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
