"""Parts as Parquet, written and read by DuckDB. Imported only if EVENT_HISTORY is set.

The columns are documented in docs/history.md, so that other programs can read the files.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb

from events.history.selection import EventSelection
from events.history.transfer import TEXTS

ROW_GROUP = 30_720
LONGEST_LINE = 64 * 1024 * 1024  # a row's properties come from one request, which has at most 32 MiB
BLOCK = 1024 * 1024
OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "memory_limit": "1GB",
    "preserve_insertion_order": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
TYPES = {
    **dict.fromkeys(("id", "customer_id", "api_key_id"), "BIGINT"),
    **dict.fromkeys(("occurred_at", "received_at", "processed_at"), "TIMESTAMP"),
    "has_timestamp": "BOOLEAN",
    **dict.fromkeys(TEXTS, "VARCHAR"),
}


def write_parquet(rows: Path, target: str) -> None:
    """Write CSV of the ledger's columns as Parquet, in the same order."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items())
    source = (
        f"read_csv({literal(str(rows))}, columns={{{columns}}}, auto_detect=false, header=false, delim=',', quote='\"',"
        f" escape='\"', nullstr='', allow_quoted_nulls=false, new_line='\\n', parallel=false,"
        f" max_line_size={LONGEST_LINE}, buffer_size={LONGEST_LINE * 2})"
    )
    names = ", ".join(_stored(name, kind) for name, kind in TYPES.items())
    statement = f"COPY (SELECT {names} FROM {source}) TO {literal(target)}"  # noqa: S608  all values are literals
    connect().execute(f"{statement} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})")


def _stored(name: str, kind: str) -> str:
    """Return the column as it is stored: moments in UTC, so that no reader takes them for local times."""
    return f"{name} AT TIME ZONE 'UTC' AS {name}" if kind == "TIMESTAMP" else name


def read_parquet(
    sources: Sequence[str], selection: EventSelection, rows: Path, *, most: int | None = None
) -> Iterator[bytes]:
    """Write the selected rows of Parquet files as CSV to a file, and yield it in blocks."""
    names = ", ".join(
        f"{name} AT TIME ZONE 'UTC' AS {name}" if kind == "TIMESTAMP" else name for name, kind in TYPES.items()
    )
    quoted = ", ".join(TEXTS)
    limit = "" if most is None else f" LIMIT {most}"
    query = (
        f"SELECT {names}, 1 AS state, false AS is_touched FROM read_parquet([{_list(sources)}])"  # noqa: S608  as above
        f" WHERE {_condition(selection)}{limit}"
    )
    connect().execute(f"COPY ({query}) TO {literal(str(rows))} (FORMAT csv, HEADER false, FORCE_QUOTE ({quoted}))")
    with rows.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _condition(selection: EventSelection) -> str:
    conditions = ["true"]
    lists: dict[str, Collection[int] | Collection[str] | None] = {
        "customer_id": selection.customers,
        "event_name": selection.names,
        "id": selection.ids,
        "event_id": selection.event_ids,
    }
    conditions += [f"{name} IN ({_list(values)})" for name, values in lists.items() if values is not None]
    if selection.start is not None:
        conditions.append(f"occurred_at >= {_moment(selection.start)}")
    if selection.end is not None:
        conditions.append(f"occurred_at < {_moment(selection.end)}")
    return " AND ".join(conditions)


def _list(values: Collection[int] | Collection[str]) -> str:
    return ", ".join(literal(value) for value in values) or "NULL"


def literal(value: int | str) -> str:
    """Write a value as SQL. DuckDB has no other escapes than a doubled quote."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.astimezone(UTC).isoformat(sep=' '))}"


def connect() -> duckdb.DuckDBPyConnection:
    """Return a connection of this thread to the process's database in memory."""
    return _connect(os.getpid()).cursor()


@cache
def _connect(process: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=OPTIONS)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection
