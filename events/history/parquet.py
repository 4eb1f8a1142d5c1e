"""Parts as Parquet, written and read by DuckDB. Imported only if EVENT_HISTORY is set.

The columns are documented in docs/history.md, so that other programs can read the files.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb

from events.history.selection import EventSelection
from events.history.stores import StoreFailed
from events.history.transfer import TEXTS

SUFFIX = ".parquet"
# A customer has few events in a part. A reader looks at every group, which takes 25 µs each, and reads only those pages
# of a group that the index of pages tells it to.
ROW_GROUP, PAGE = 30_720, 32_768
LONGEST_LINE = 64 * 1024 * 1024  # a row's properties come from one request, which has at most 32 MiB
LINES_AT_A_TIME = 2_000
OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "memory_limit": "1GB",
    "preserve_insertion_order": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_file_cache": "false",  # the system's cache of files is quicker
}
TYPES = {
    **dict.fromkeys(("id", "customer_id", "api_key_id"), "BIGINT"),
    **dict.fromkeys(("occurred_at", "received_at", "processed_at"), "TIMESTAMP"),
    "has_timestamp": "BOOLEAN",
    **dict.fromkeys(TEXTS, "VARCHAR"),
}


class ParquetStore(ABC):
    """A store of Parquet files, one for each part. How files get there and back is its own."""

    def write(self, name: str, rows: Path) -> int:
        """Write a part from a file of CSV, entirely or not at all, and return its size in bytes. Raises StoreFailed."""
        file = rows.with_suffix(SUFFIX)
        try:
            write_parquet(rows, str(file))
            return self.put(name, file)
        except (OSError, duckdb.Error) as error:
            raise StoreFailed(f"{name} can't be written: {error}") from error
        finally:
            file.unlink(missing_ok=True)

    def read(
        self, names: Sequence[str], selection: EventSelection, *, most: int | None = None, newest: bool | None = None
    ) -> Iterator[bytes]:
        """Yield the selected rows of parts. Raises StoreFailed."""
        if not names:
            return
        query = select_lines([self.source(name) for name in names], selection, most=most, newest=newest)
        try:
            rows = self.connect().execute(query)
            while lines := rows.fetchmany(LINES_AT_A_TIME):
                yield "".join(line for (line,) in lines).encode()
        except (OSError, duckdb.Error) as error:
            raise StoreFailed(f"{', '.join(names)} can't be read: {error}") from error

    @abstractmethod
    def put(self, name: str, file: Path) -> int:
        """Store a Parquet file as a part, entirely or not at all, and return its size in bytes. Raises StoreFailed."""

    @abstractmethod
    def fetch(self, name: str, file: Path) -> None:
        """Write the Parquet file of a part to a file. Raises StoreFailed."""

    @abstractmethod
    def source(self, name: str) -> str:
        """Return where DuckDB reads a part."""

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of this thread, which can read the parts."""
        return connect()


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
    pages = f"WRITE_PAGE_INDEX true, DATA_PAGE_SIZE_LIMIT {PAGE}"
    connect().execute(f"{statement} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}, {pages})")


def _stored(name: str, kind: str) -> str:
    """Return the column as it is stored: moments in UTC, so that no reader takes them for local times."""
    return f"{name} AT TIME ZONE 'UTC' AS {name}" if kind == "TIMESTAMP" else name


def select_lines(
    sources: Sequence[str], selection: EventSelection, *, most: int | None = None, newest: bool | None = None
) -> str:
    """Return the query of the selected rows of Parquet files, each a line of CSV."""
    order = "" if newest is None else f" ORDER BY id {'DESC' if newest else 'ASC'}"
    limit = "" if most is None else f" LIMIT {most}"
    return (
        f"SELECT {_line()} FROM read_parquet([{_list(sources)}])"  # noqa: S608  all values are literals
        f" WHERE {_condition(selection)}{order}{limit}"
    )


def _line() -> str:
    """Return a row as a line of CSV, with the columns that every sealed event has alike.

    One call of a function: DuckDB plans a chain of || more slowly than it reads a customer's events.
    """
    fields = [_field(name, kind) for name, kind in TYPES.items()]
    return f"concat({", ',', ".join(fields)}, ',1,false', chr(10))"


def _field(name: str, kind: str) -> str:
    """Return what to write of a column. Of NULL, `concat` writes nothing."""
    if kind == "VARCHAR":
        return f"""'"', replace({name}, '"', '""'), '"'"""
    return f"{name} AT TIME ZONE 'UTC'" if kind == "TIMESTAMP" else name


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
    if selection.after is not None:
        conditions.append(f"id > {selection.after}")
    if selection.before is not None:
        conditions.append(f"id < {selection.before}")
    return " AND ".join(conditions)


def _list(values: Collection[int] | Collection[str]) -> str:
    return ", ".join(literal(value) for value in values) or "NULL"


def literal(value: int | str) -> str:
    """Write a value as SQL. DuckDB has no other escapes than a doubled quote."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.astimezone(UTC).isoformat(sep=' '))}"


def connect(store: str = "") -> duckdb.DuckDBPyConnection:
    """Return a connection of this thread to this process's database in memory, which is separate for each store."""
    return _connect(os.getpid(), store).cursor()


@cache
def _connect(process: int, store: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=OPTIONS)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection
