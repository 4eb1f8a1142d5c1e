"""An upgrade without downtime: the last release goes on working while and after the new migrations run.

The last release is the state of the models at its newest migrations (`tests.migrations.LAST_RELEASE`): Django writes
with it exactly the columns that the old code reads and writes.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader

from config import timeouts
from config.backups.verifying import using_database
from config.db.privileges import restrict_application
from config.server.postgres import APP_ROLE
from tests.migrations import LAST_RELEASE

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

READERS = 3


@dataclass
class LastRelease:
    """The old release's models, at work in threads until `stop`."""

    tables: list[type[models.Model]]
    stopping: threading.Event = field(default_factory=threading.Event)
    rounds: int = 0
    errors: list[str] = field(default_factory=list)

    def work(self) -> None:
        """Read and write with the old columns, with the timeouts of web requests, until stopped."""
        timeouts.use(timeouts.WEB)
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {APP_ROLE}")
        customer = next(model for model in self.tables if model._meta.label == "customers.Customer")
        while not self.stopping.is_set():
            for model in self.tables:
                self.attempt(model, partial(read, model))
            self.attempt(customer, partial(self.save_customer, customer))
            self.rounds += 1
        connection.close()

    def save_customer(self, customer: type[models.Model]) -> None:
        name = f"{threading.get_ident()}-{self.rounds}"
        customer._base_manager.create(external_id=name, name=name, public_id=f"cus_{name}")

    def attempt(self, model: type[models.Model], action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  whatever it is, it is what a customer would have seen
            self.errors.append(f"{model._meta.label}: {error}")


def read(model: type[models.Model]) -> None:
    """Read all columns that the old release knows."""
    list(model._base_manager.order_by("pk")[:5])


@pytest.fixture
def upgraded(fresh_database_url: str) -> Iterator[str]:
    """Yield the name of an empty database, which this process uses as the owner."""
    name = urlsplit(fresh_database_url).path[1:]
    with using_database(name):
        yield name
    connection.close()


def migrate_to_last_release() -> None:
    for app, name in LAST_RELEASE.items():
        call_command("migrate", app, name, verbosity=0, interactive=False)
    for app in ("auth", "auditlog", "django_celery_beat", "sessions", "account", "mfa", "socialaccount"):
        call_command("migrate", app, verbosity=0, interactive=False)
    restrict_application()


def old_models() -> list[type[models.Model]]:
    """Return our apps' models as the last release knows them."""
    state = MigrationLoader(connection).project_state(list(LAST_RELEASE.items()))
    return [model for model in state.apps.get_models() if model._meta.app_label in LAST_RELEASE]


def test_the_last_release_reads_and_writes_while_the_new_migrations_run(upgraded: str):
    migrate_to_last_release()
    release = LastRelease(old_models())
    threads = [threading.Thread(target=release.work) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    call_command("migrate", verbosity=0, interactive=False)
    rounds_before = release.rounds
    while release.rounds < rounds_before + READERS and not release.errors:
        threads[0].join(0.01)
    release.stopping.set()
    for thread in threads:
        thread.join()
    assert release.errors == []
    assert columns_that_the_last_release_leaves_empty(release.tables) == []


def columns_that_the_last_release_leaves_empty(old: list[type[models.Model]]) -> list[str]:
    """List columns without a default that can't be empty, and that the old models don't know: their inserts fail."""
    missing = []
    for model in old:
        known = {column.column for column in model._meta.local_concrete_fields}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
                " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'",
                [model._meta.db_table],
            )
            missing += [f"{model._meta.db_table}.{name}" for (name,) in cursor.fetchall() if name not in known]
    return missing
