"""Restore a backup: into a new database that is compared with the manifest, and only then takes the product's place.

The database of before is kept under another name, so a restore can be undone, and a failed one changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connection
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
from config.backups.verifying import check_file, compare

CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Restored:
    """The restored backup, under which name the database of before is kept, and whether secrets are readable."""

    manifest: Manifest
    kept_as: str
    can_read_secrets: bool


def restore_backup(folder: Path, *, now: datetime) -> Restored:
    """Put a backup in the place of the product's database, and migrate it to this release.

    Web, workers and beat must be stopped. Raises `BackupFailed` if one is connected, if the backup is damaged, differs
    from its manifest or was made by a later release; the database is then as it was.
    """
    manifest, name = Manifest.read(folder), database_name()
    _check_release(manifest)
    connection.close()
    _check_alone(name)
    if problem := check_file(folder):
        raise BackupFailed(problem)
    kept_as = f"{name}_before_{now:%Y%m%d_%H%M%S}"
    restored = f"{name}_restored"
    drop_database(restored)  # of a restore that was killed
    _load(folder, restored)
    _swap(name, restored, kept_as)
    call_command("migrate", interactive=False, verbosity=0)
    return Restored(manifest, kept_as, manifest.can_read_secrets)


def restore_beside(folder: Path, database: str) -> Manifest:
    """Restore a backup into a new database of the server, for example to look something up. Nothing else changes."""
    if problem := check_file(folder):
        raise BackupFailed(problem)
    with connect(MAINTENANCE) as server:
        if server.execute(b"SELECT FROM pg_database WHERE datname = %s", [database]).fetchone() is not None:
            raise BackupFailed(f"There is a database {database} already.")
    _load(folder, database)
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


def _load(folder: Path, database: str) -> None:
    """Restore into a new database. It is dropped if it isn't exactly what the manifest says."""
    create_database(database)
    try:
        load_dump(folder / DUMP, database)
        if problem := compare(folder, database):
            raise BackupFailed(f"The restored database isn't what was backed up: {problem}.")
    except BackupFailed:
        drop_database(database)
        raise


def _swap(name: str, restored: str, kept_as: str) -> None:
    """Exchange the names. A process that connects in between is refused, or makes the first step fail."""
    rename = "ALTER DATABASE {} RENAME TO {}"
    with connect(MAINTENANCE) as server:
        try:
            server.execute(sql.SQL(rename).format(sql.Identifier(name), sql.Identifier(kept_as)))
        except psycopg.errors.ObjectInUse as error:
            drop_database(restored)
            raise BackupFailed(f"A process connected to {name} meanwhile. Stop web, worker and beat first.") from error
        server.execute(sql.SQL(rename).format(sql.Identifier(restored), sql.Identifier(name)))
