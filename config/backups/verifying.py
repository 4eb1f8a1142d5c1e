"""Verify a backup: restore it into a scratch database, compare every table with the manifest, and run the checks."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from django.db import connection

from config.backups.checks import run_checks
from config.backups.manifest import DUMP, Manifest, find_differences, read_content
from config.backups.programs import connect, create_database, database_name, drop_database, load_dump
from config.backups.writing import hash_file
from config.db.owner import as_owner

MOST_NAMED = 5


def verify_backup(folder: Path, *, now: datetime) -> str:
    """Restore a backup into a scratch database and prove it; return what is wrong, or an empty string.

    The scratch database needs as much space as the product's, and is dropped at the end. Needs the lock of backups,
    because all verifications use the same one. Raises `BackupFailed` if the dump can't be restored at all.
    """
    if problem := check_file(folder):
        return problem
    with scratch_copy(folder) as name:
        return compare(folder, name) or "; ".join(_check(name, now))


def check_file(folder: Path) -> str:
    """Compare the dump with the hash in the manifest; return what is wrong, or an empty string."""
    manifest, dump = Manifest.read(folder), folder / DUMP
    if not dump.is_file():
        return f"{DUMP} is missing."
    return "" if hash_file(dump) == manifest.dump_sha256 else f"{DUMP} isn't the file that was written."


def compare(folder: Path, database: str) -> str:
    """Compare a restored database with the manifest; return what differs, or an empty string."""
    manifest = Manifest.read(folder)
    with connect(database) as server:
        present = read_content(server)
    differences = find_differences(manifest.tables, present["tables"])
    more = len(differences) - MOST_NAMED
    return "; ".join([*differences[:MOST_NAMED], *([f"and {more} more tables"] if more > 0 else [])])


@contextmanager
def scratch_copy(folder: Path) -> Iterator[str]:
    """Restore a backup into a new database, yield its name, and drop it. What a killed verification left is dropped."""
    name = f"{database_name()}_being_verified"
    drop_database(name)
    create_database(name)
    try:
        load_dump(folder / DUMP, name)
        yield name
    finally:
        drop_database(name)


@contextmanager
def using_database(name: str) -> Iterator[None]:
    """Let this process use another database as the owner inside the block. Not within a transaction."""
    present = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        with as_owner():
            yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = present


def _check(database: str, now: datetime) -> list[str]:
    with using_database(database):
        return run_checks(now)
