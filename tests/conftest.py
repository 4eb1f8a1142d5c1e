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
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker

from config.db.privileges import restrict_application
from tests.api import api
from tests.authors import entries_of_requests, every_change_names_its_author
from tests.browser import admin_browser, chromium
from tests.migrated_rows import restored_after_transactions
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
    """Create the test database as the owner, and allow truncating protected tables, as some fixtures do."""
    connection.settings_dict["USER"] = settings.DATABASE_OWNER["USER"]
    connection.settings_dict["OPTIONS"]["options"] = "-c countinghouse.allow_truncate=on"


type Server = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="session")
def migration_lock(django_db_modify_db_settings: None) -> Iterator[Server | None]:
    """Yield a connection whose lock lets one worker migrate, while the others wait to copy its database.

    Migrating takes most of a short run, so later runs copy the database, too. None if DATABASE_URL is set.
    """
    name = os.environ.get("MIGRATED_DATABASE")
    if not name:
        yield None
        return
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(1)")
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.settings_dict["TEST"]["TEMPLATE"] = name
        yield server


@pytest.fixture(scope="session")
def django_db_setup(
    migration_lock: Server | None, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Create the test database, and keep a copy of it for later runs. The tests run as the application's role."""
    if migration_lock:
        with django_db_blocker.unblock():
            keep_migrated_copy(migration_lock)
        migration_lock.close()
    with acting_as_application(), restored_after_transactions():
        yield


def keep_migrated_copy(server: Server) -> None:
    """Copy the test database, unless it is a copy itself."""
    name = os.environ["MIGRATED_DATABASE"]
    if connection.settings_dict["TEST"].get("TEMPLATE") == name:
        return
    connection.close()
    for (old,) in server.execute("SELECT datname FROM pg_database WHERE datname ~ '^migrated_'").fetchall():
        server.execute(f"DROP DATABASE IF EXISTS {old}".encode())
    server.execute(f"CREATE DATABASE {name} TEMPLATE {connection.settings_dict['NAME']}".encode())


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords quickly. Tests about hashing set their own hashers."""
    with override_settings(PASSWORD_HASHERS=["tests.sign_in.QuickHasher"]):
        yield


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
