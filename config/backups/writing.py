"""Write a backup: a dump by `pg_dump` and a manifest, both of one snapshot, in a folder of BACKUP_DIR.

Clients and workers go on meanwhile. The folder appears under its name when it is complete.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psycopg
from django.conf import settings

from config.backups.manifest import DUMP, Manifest, name_key, read_content
from config.backups.programs import BackupFailed, connect, finish_program, start_program

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
CHUNK = 1 << 20


def write_backup(folder: Path, *, now: datetime) -> Path:
    """Write a backup to a new folder named for the time, and return it. Raises `BackupFailed`, and leaves nothing."""
    name = name_backup(now)
    with connect() as server, _draft(folder, name) as draft:
        content = _dump(server, draft / DUMP)
        Manifest(
            name=name,
            created_at=now.isoformat(),
            server=f"PostgreSQL {server.info.server_version // 10_000}",
            dump_bytes=(draft / DUMP).stat().st_size,
            dump_sha256=hash_file(draft / DUMP),
            secret_key=name_key(settings.SECRET_KEY),
            **content,
        ).write(draft)
    return folder / name


def name_backup(now: datetime) -> str:
    """Return the name of the backup of a time, UTC."""
    return f"{now:%Y-%m-%dT%H-%M-%SZ}"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dump(server: "psycopg.Connection[Any]", path: Path) -> dict[str, Any]:
    """Dump and add up the tables at the same time, on one snapshot. Return what the manifest says about them."""
    server.execute(SNAPSHOT.encode())
    row = server.execute(b"SELECT pg_export_snapshot()").fetchone()
    snapshot = str(row[0]) if row else ""
    options = ("--format", "custom", "--no-owner", "--snapshot", snapshot, "--file", str(path))
    with TemporaryFile() as output:
        process = start_program("pg_dump", *options, "--dbname", server.info.dbname, output=output)
        try:
            content = read_content(server)
            finish_program(process, "pg_dump", output)
        finally:
            process.kill()
            process.wait()
    server.execute(b"COMMIT")
    return content


@contextmanager
def _draft(folder: Path, name: str) -> Iterator[Path]:
    """Yield a folder that gets its name at the end, and is removed after an error. Only its owner can read it.

    Its files can't be read by others, either: they may be copied to a folder that others can read.
    """
    draft = folder / f".{name}.draft"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        yield draft
        for file in draft.iterdir():
            file.chmod(0o600)
        _sync(draft)
        draft.rename(folder / name)
        _sync(folder)
    except OSError as error:
        raise BackupFailed(f"{folder} can't be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Wait until the folder and its files are on the disk."""
    for path in (*folder.glob("[!.]*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
