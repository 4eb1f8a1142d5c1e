"""Fixtures for the tests of all apps."""

import os
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from events.access import keys, limits, refused_requests
from events.ingest import inbox
from tests.api import api
from tests.browser import admin_browser, chromium
from tests.services import redis_url
from tests.web_server import web_server

__all__ = ["admin_browser", "api", "chromium", "redis_url", "web_server"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Allow this run's connections to truncate protected tables, which tests with transactions do at their end."""
    connection.settings_dict["OPTIONS"]["options"] = "-c countinghouse.allow_truncate=on"


@pytest.fixture(autouse=True)
def clear_process_state() -> Iterator[None]:
    """Clear what a web process keeps between requests: the inbox's connection, keys, rate counts, refusals to log."""
    yield
    inbox.close()
    keys.clear_key_cache()
    limits.forget_counts()
    refused_requests.forget()


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
def fresh_database_url() -> Iterator[str]:
    """Yield the URL of a new, empty database for tests that run processes. It is dropped afterwards."""
    server_url = os.environ["DATABASE_URL"]
    name = f"fresh_{secrets.token_hex(6)}"
    parts = urlsplit(server_url)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield urlunsplit(parts._replace(path=f"/{name}"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
