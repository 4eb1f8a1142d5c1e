"""Parts as partitions of a ClickHouse table."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error

from events.history.selection import EventSelection
from events.history.stores import StoreFailed
from events.history.transfer import COLUMNS

TABLE, WRITING = "events_sealed", "writing-"
PARTITIONS = f"FROM system.parts WHERE database = currentDatabase() AND table = '{TABLE}' AND active"
BLOCK = 1024 * 1024
TYPES = """
    part LowCardinality(String){default}, id Int64, customer_id Int64, api_key_id Nullable(Int64),
    occurred_at DateTime64(6, 'UTC'), received_at DateTime64(6, 'UTC'), processed_at DateTime64(6, 'UTC'),
    has_timestamp Bool, event_id String CODEC(ZSTD), event_name LowCardinality(String),
    external_customer_id String CODEC(ZSTD), source LowCardinality(String), properties String CODEC(ZSTD)
"""
ENGINE = "MergeTree PARTITION BY part ORDER BY (part, customer_id, event_name, occurred_at, id)"
# A statement's answer begins when it is complete: an error later on would be in the middle of the rows.
SETTINGS = {
    "wait_end_of_query": 1,
    "max_query_size": 64 * 1024 * 1024,
    "format_csv_null_representation": "",
    "input_format_csv_empty_as_default": 1,
}


class ClickHouseStore:
    """The partitions of a table, one for each part. The table is created unless it exists, with any engine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = None

    @property
    def client(self) -> Any:
        """Connect, and create the table, when a part is first needed."""
        if self._client is None:
            client = clickhouse_connect.get_client(dsn=self.url, autogenerate_session_id=False, settings=SETTINGS)
            client.command(f"CREATE TABLE IF NOT EXISTS {TABLE} ({TYPES.format(default='')}) ENGINE = {ENGINE}")
            self._client = client
        return self._client

    def write(self, name: str, rows: Path) -> int:
        """Fill a table beside the partition, and then put it in the partition's place, which is atomic."""
        table = f"`{WRITING}{name}`"
        columns = TYPES.format(default=f" DEFAULT {_literal(name)}")
        with _failing(f"{name} can't be written"):
            self.client.command(f"DROP TABLE IF EXISTS {table}")
            self.client.command(f"CREATE TABLE {table} ({columns}) ENGINE = {ENGINE}")
            try:
                with rows.open("rb") as file:
                    self.client.raw_insert(table, COLUMNS, insert_block=file, fmt="CSV")
                self.client.command(f"ALTER TABLE {TABLE} REPLACE PARTITION {_literal(name)} FROM {table}")
            finally:
                self.client.command(f"DROP TABLE IF EXISTS {table}")
            return int(self.client.command(f"SELECT sum(bytes_on_disk) {PARTITIONS} AND partition = {_literal(name)}"))

    def read(
        self, names: Sequence[str], selection: EventSelection, *, most: int | None = None, newest: bool | None = None
    ) -> Iterator[bytes]:
        """Yield the selected rows of parts. Raises StoreFailed."""
        if not names:
            return
        with _failing(f"{', '.join(names)} can't be read"):
            if missing := set(names) - {name for name, _ in self.names()}:
                raise StoreFailed(f"{', '.join(sorted(missing))} can't be read: there is no such partition")
            with self.client.raw_stream(_select(names, selection, most, newest), fmt="CSV") as stream:
                while block := stream.read(BLOCK):
                    yield block

    def digest(self, name: str) -> str:
        """Return an empty text: ClickHouse merges its files and has its own checksums of them."""
        return ""

    def delete(self, name: str) -> None:
        with _failing(f"{name} can't be deleted"):
            if name.startswith(WRITING):
                self.client.command(f"DROP TABLE IF EXISTS `{name}`")
            else:
                self.client.command(f"ALTER TABLE {TABLE} DROP PARTITION {_literal(name)}")

    def names(self) -> Iterator[tuple[str, datetime]]:
        """Yield each partition and when it was written, also the tables of those that were never completed."""
        with _failing("The parts can't be listed"):
            rows: list[tuple[str, int]] = self.client.query(
                f"SELECT partition AS name, toUnixTimestamp(max(modification_time)) {PARTITIONS} GROUP BY partition"  # noqa: S608  constants
                " UNION ALL SELECT name, toUnixTimestamp(metadata_modification_time) FROM system.tables"
                f" WHERE database = currentDatabase() AND name LIKE '{WRITING}%'"
            ).result_rows
        for name, written in sorted(rows):
            yield name, datetime.fromtimestamp(written, UTC)

    def check(self) -> None:
        """Raise StoreFailed if ClickHouse doesn't respond, or the table can't be read."""
        with _failing("ClickHouse can't be reached"):
            self.client.command(f"SELECT count() FROM {TABLE} WHERE part = ''")  # noqa: S608  a constant


@contextmanager
def _failing(what: str) -> Iterator[None]:
    """Raise StoreFailed for what ClickHouse or the connection to it refuses."""
    try:
        yield
    except (OSError, Error) as error:
        raise StoreFailed(f"{what}: {error}") from error


def _select(names: Sequence[str], selection: EventSelection, most: int | None, newest: bool | None) -> str:
    order = "customer_id, event_name, occurred_at, id" if newest is None else f"id {'DESC' if newest else 'ASC'}"
    limit = "" if most is None else f" LIMIT {most}"
    return (
        f"SELECT {', '.join(COLUMNS)}, 1 AS state, false AS is_touched FROM {TABLE}"  # noqa: S608  values are literals
        f" WHERE part IN ({_list(names)}){_condition(selection)} ORDER BY {order}{limit}"
    )


def _condition(selection: EventSelection) -> str:
    lists: dict[str, Collection[int] | Collection[str] | None] = {
        "customer_id": selection.customers,
        "event_name": selection.names,
        "id": selection.ids,
        "event_id": selection.event_ids,
    }
    conditions = [f"{name} IN ({_list(values)})" for name, values in lists.items() if values is not None]
    if selection.start is not None:
        conditions.append(f"occurred_at >= {_moment(selection.start)}")
    if selection.end is not None:
        conditions.append(f"occurred_at < {_moment(selection.end)}")
    if selection.after is not None:
        conditions.append(f"id > {selection.after}")
    if selection.before is not None:
        conditions.append(f"id < {selection.before}")
    return "".join(f" AND {condition}" for condition in conditions)


def _list(values: Collection[int] | Collection[str]) -> str:
    return ", ".join(_literal(value) for value in values) or "NULL"


def _literal(value: int | str) -> str:
    """Write a value as SQL of ClickHouse, in which a backslash is an escape."""
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _moment(moment: datetime) -> str:
    """Write a moment with its microseconds. The type's own range begins in 1900 and ends in 2299."""
    return f"toDateTime64('{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"
