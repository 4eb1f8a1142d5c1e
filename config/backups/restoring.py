"""Restore a backup: into a new database that is compared and migrated, and only then takes the product's place.

The previous database is kept under another name, so a restore can be undone, and a failed one changes nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import CommandError, call_command
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from config.backups.manifest import DUMP, Manifest
from config.backups.programs import (
    MAINTENANCE,
    BackupFailed,
    connect,
    create_database,
    database_name,
    drop_database,
    load_dump,
)
from config.backups.verifying import check_file, compare, using_database

CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
# Whether a database exists, and the server's time for a name: the product's own database may be gone.
LOOK = """
    SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s),
        to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MISS')
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """The restored backup, and under which name the previous database is kept: blank if there was none."""

    manifest: Manifest
    kept_as: str


def restore_backup(folder: Path) -> Restored:
    """Migrate a copy of a backup to this release, and put it in the place of the product's database, if there is one.

    Web, workers and beat must be stopped. Raises `BackupFailed` if one is connected, if the backup is damaged, differs
    from its manifest, was made by a later release or can't be migrated; the database is then as it was.
    """
    manifest, name = Manifest.read(folder), database_name()
    _check_release(manifest)
    connection.close()
    _check_alone(name)
    if problem := check_file(folder):
        raise BackupFailed(problem)
    restored = f"{name}_being_restored"
    drop_database(restored)  # of a restore that was killed
    with _restored_into(folder, restored):
        _migrate(restored)
        kept_as = _swap(name, restored)
    return Restored(manifest, kept_as)


def restore_beside(folder: Path, database: str) -> Manifest:
    """Restore a backup into a new database of the server, for example to look something up. Nothing else changes."""
    if problem := check_file(folder):
        raise BackupFailed(problem)
    with connect(MAINTENANCE) as server:
        is_taken, _ = _look(server, database)
    if is_taken:
        raise BackupFailed(f"There is a database {database} already.")
    with _restored_into(folder, database):
        return Manifest.read(folder)


def _check_release(manifest: Manifest) -> None:
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if unknown := [name for name in manifest.migrations if name not in known and not _is_replaced(name)]:
        raise BackupFailed(f"The backup was made by a later release, which has the migration {unknown[0]}: install it.")


def _is_replaced(name: str) -> bool:
    """Tell whether a migration of an earlier release of a library was squashed since."""
    return name.partition(".")[0] not in ("billing", "catalog", "config", "customers", "events")


def _check_alone(name: str) -> None:
    with connect(MAINTENANCE) as server:
        if count := _count_connected(server, name):
            raise BackupFailed(f"Stop web, worker and beat first: {count} connections to {name} are open.")


def _count_connected(server: "psycopg.Connection[Any]", name: str) -> int:
    row = server.execute(CONNECTED.encode(), [name]).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _restored_into(folder: Path, database: str) -> Iterator[None]:
    """Restore into a new database. It is dropped if it isn't exactly what the manifest says, or if the block fails."""
    create_database(database)
    with ExitStack() as undo:
        undo.callback(drop_database, database)
        load_dump(folder / DUMP, database)
        if problem := compare(folder, database):
            raise BackupFailed(f"The restored database isn't what was backed up: {problem}.")
        yield
        undo.pop_all()


def _migrate(database: str) -> None:
    """Migrate a restored database to this release, and give the application's role its privileges."""
    with using_database(database):
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except (CommandError, Error) as error:
            raise BackupFailed(f"The restored database can't be migrated to this release: {error}") from error


def _swap(name: str, restored: str) -> str:
    """Exchange the names, both or neither; return the name of the previous database, or an empty string."""
    with connect(MAINTENANCE) as server:
        is_present, moment = _look(server, name)
        kept_as = f"{name}_before_{moment}" if is_present else ""
        try:
            with server.transaction():
                if is_present:
                    _rename(server, name, kept_as)
                _rename(server, restored, name)
        except psycopg.errors.ObjectInUse as error:
            raise BackupFailed(f"A process connected to {name} meanwhile. Stop web, worker and beat first.") from error
    return kept_as


def _rename(server: "psycopg.Connection[Any]", name: str, new_name: str) -> None:
    server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new_name)))


def _look(server: "psycopg.Connection[Any]", database: str) -> tuple[bool, str]:
    row = server.execute(LOOK.encode(), [database]).fetchone()
    return (bool(row[0]), str(row[1])) if row else (False, "")
