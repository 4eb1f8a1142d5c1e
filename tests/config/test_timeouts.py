"""Statements and locks take only so long, and a request that takes longer gets an answer."""

import threading
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, transaction
from django.test import Client, override_settings
from django.urls import path

from config import timeouts
from config.timeouts import Timeouts
from config.urls import handler500, urlpatterns
from events.models import SealedPart
from tests.owner import owner_url
from tests.web_server import database_url

__all__ = ["handler500", "urlpatterns"]


def sleep(request: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '50ms'")
        cursor.execute("SELECT pg_sleep(5)")


urlpatterns = [path("v1/sleep", sleep), path("admin/sleep/", sleep), *urlpatterns]


def show(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_thread_has_the_timeouts_of_its_work():
    shown: list[str] = []

    def work() -> None:
        timeouts.use(Timeouts(statement=7, lock=2, idle_in_transaction=90))
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        shown.extend(map(show, names))
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert shown == ["7s", "2s", "90s"]
    assert show("statement_timeout") == "0"


@pytest.mark.django_db
@override_settings(ROOT_URLCONF="tests.config.test_timeouts")
def test_a_request_that_takes_too_long_is_told_so_and_isnt_an_error_of_ours():
    client = Client(raise_request_exception=False)
    with transaction.atomic():
        answer = client.get("/v1/sleep")
        transaction.set_rollback(True)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["message"].startswith("The request takes too long. Nothing was changed.")
    with transaction.atomic():
        page = client.get("/admin/sleep/")
        transaction.set_rollback(True)
    assert page.status_code == 503
    assert "The request takes too long." in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_migration_doesnt_wait_for_a_lock_for_long(monkeypatch):
    monkeypatch.setattr(timeouts, "MIGRATIONS", Timeouts(statement=0, lock=1, idle_in_transaction=0))
    with psycopg.connect(owner_url(database_url())) as other:
        other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        timeouts.limit_migrations(using="default")
        with pytest.raises(OperationalError, match="lock timeout"), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM django_migrations")
    call_command("migrate", "config", verbosity=0)
    assert show("lock_timeout") == "0"


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_gets_no_lock_says_what_to_do_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(timeouts, "MIGRATIONS", Timeouts(statement=0, lock=1, idle_in_transaction=0))
    with psycopg.connect(owner_url(database_url())) as other:
        other.execute("SELECT count(*) FROM events_sealedpart")
        with pytest.raises(CommandError, match="another session uses it"):
            call_command("migrate", "events", "0028_free_events_of_foreign_keys", verbosity=0)
    assert SealedPart.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_an_index_whose_build_was_interrupted_is_built_again():
    with psycopg.connect(owner_url(database_url()), autocommit=True) as owner:
        owner.execute("CREATE TABLE built AS SELECT 1 AS n FROM generate_series(1, 2)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute("CREATE UNIQUE INDEX CONCURRENTLY half_built ON built (n)")
        call_command("migrate", "config", verbosity=0)
        assert owner.execute("SELECT to_regclass('half_built')").fetchone() == (None,)
        owner.execute("DROP TABLE built")
