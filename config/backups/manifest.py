"""What a backup contains, in a file beside the dump: rows and a sum of each table, migrations, the change log's head.

The figures are read in the dump's own snapshot, so a restored copy must have exactly the same.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from django.conf import settings
from psycopg import sql

from config.backups.programs import BackupFailed
from config.db.privileges import SCHEMAS
from config.server.derived import derive

FILE, DUMP = "manifest.json", "database.dump"
FORMAT = 1
READ_AS = "SET TIME ZONE 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex'; SET extra_float_digits = 1"
LIST_TABLES = """
    SELECT namespace.nspname, relation.relname
    FROM pg_class AS relation JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    WHERE namespace.nspname = ANY(%s) AND relation.relkind = 'r' ORDER BY 1, 2
"""
# A sum doesn't depend on the order of the rows, and a changed value, a missing or a doubled row changes it.
ADD_UP = "SELECT count(*), COALESCE(sum(hashtextextended(kept::text, 0)::numeric), 0) FROM ONLY {} AS kept"
HEAD = "SELECT number, encode(hash, 'hex') FROM config_changeseal WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `manifest.json`. `tables` has rows and sum by name; `secret_key` only names the key."""

    name: str
    created_at: str
    server: str
    dump_bytes: int
    dump_sha256: str
    migrations: list[str]
    tables: dict[str, list[str]]
    change_log: list[str]
    secret_key: str
    format: int = FORMAT

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a backup's manifest. Raises `BackupFailed` if the folder isn't a complete backup."""
        try:
            return cls(**json.loads((folder / FILE).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise BackupFailed(f"{folder} isn't a complete backup: {FILE} is missing or unreadable.") from error

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @property
    def rows(self) -> int:
        return sum(int(rows) for rows, _ in self.tables.values())

    @property
    def can_read_secrets(self) -> bool:
        """Whether one of this process's secret keys is the key of the backup's time."""
        return self.secret_key in map(name_key, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def read_content(server: "psycopg.Connection[Any]") -> dict[str, Any]:
    """Read the fields of a manifest that describe a database, on the connection's snapshot."""
    server.execute(READ_AS.encode())
    tables = dict(_add_up_tables(server))
    return {
        "migrations": _list_migrations(server) if "public.django_migrations" in tables else [],
        "tables": tables,
        "change_log": _read_head(server) if "public.config_changeseal" in tables else [],
    }


def find_differences(expected: Mapping[str, list[str]], present: Mapping[str, list[str]]) -> list[str]:
    """List the tables whose rows or sum differ, each as a sentence."""
    differences = []
    for name in sorted({*expected, *present}):
        before, after = expected.get(name), present.get(name)
        if before is None or after is None:
            differences.append(f"{name} is {'missing' if after is None else 'not in the backup'}")
        elif before[0] != after[0]:
            differences.append(f"{name} has {int(after[0]):,} of {int(before[0]):,} rows")
        elif before != after:
            differences.append(f"{name} has other values in its {int(after[0]):,} rows")
    return differences


def name_key(secret_key: str) -> str:
    """Return a name of a secret key from which the key can't be found."""
    return derive("name of a secret key", length=8, secret_key=secret_key).hex()


def _add_up_tables(server: "psycopg.Connection[Any]") -> Iterator[tuple[str, list[str]]]:
    for schema, name in server.execute(LIST_TABLES.encode(), [SCHEMAS]).fetchall():
        row = server.execute(sql.SQL(ADD_UP).format(sql.Identifier(schema, name))).fetchone()
        yield f"{schema}.{name}", [str(value) for value in row or ()]


def _list_migrations(server: "psycopg.Connection[Any]") -> list[str]:
    rows = server.execute(b"SELECT app || '.' || name FROM django_migrations ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def _read_head(server: "psycopg.Connection[Any]") -> list[str]:
    row = server.execute(HEAD.encode()).fetchone()
    return [str(value) for value in row] if row else []
