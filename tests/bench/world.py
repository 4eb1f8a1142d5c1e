"""The data that the benchmarks use: a company with a thousand customers and four features."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from django.core.management import call_command
from django.db import connection
from django.db.models import QuerySet

from catalog.models import Feature
from customers.models import Customer
from events.access.keys import make_key
from events.fixing.fixed import replay_fixed_causes
from events.models import Event, Scope
from tests.bench.world_bodies import CUSTOMERS

FEATURES = (
    {"name": "API calls", "event_name": "api.calls", "aggregation": "count"},
    {"name": "Tokens", "event_name": "model.usage", "aggregation": "sum", "field": "tokens"},
    {"name": "Largest prompt", "event_name": "model.usage", "aggregation": "max", "field": "tokens"},
    {"name": "Active users", "event_name": "active.users", "aggregation": "unique_count", "field": "user_id"},
)
EVENTS_TABLES = (
    *("events_inboxrequest", "events_event", "events_usagebucket", "events_uniquevalue", "events_problem"),
    *("events_eventvoid", "events_duplicateevent", "events_processedbatch", "events_prunedeventid", "events_knownid"),
    *("events_usageday", "events_usagerollup", "events_usagemark", "events_touchedusage", "events_sealedpart"),
)


def make_company() -> str:
    """Migrate, create customers and features unless they exist, and return a new key without rate limits."""
    call_command("migrate", interactive=False, verbosity=0)
    if not Feature.objects.exists():
        for feature in FEATURES:
            Feature.objects.create(**feature)
        Customer.objects.bulk_create(
            [Customer(external_id=f"cust_{no:04}", name=f"Customer {no}") for no in range(CUSTOMERS)]
        )
    replay_fixed_causes(now=datetime.now(UTC))  # a new feature checks earlier events once, which shouldn't be measured
    _, secret = make_key("bench", scopes=[Scope.ALL], single_per_minute=0, bulk_per_minute=0)
    return secret


def forget_events() -> None:
    """Delete all events and everything derived from them."""
    with connection.cursor() as cursor:
        cursor.execute("SET countinghouse.allow_truncate = 'on'")
        cursor.execute(f"TRUNCATE {', '.join(EVENTS_TABLES)} RESTART IDENTITY")


@dataclass(frozen=True)
class Memory:
    """MiB of memory of a process and its children.

    `used` counts pages shared by several processes once. It also grows when forks write to shared pages. `mapped` is
    the sum over the processes, and doesn't grow in that case.
    """

    used: float
    mapped: float


def measure_memory(pid: int) -> Memory:
    """Return the memory that a process and its children currently use."""
    process = psutil.Process(pid)
    infos = [member.memory_full_info() for member in [process, *process.children(recursive=True)]]
    return Memory(sum(info.pss for info in infos) / 2**20, sum(info.rss for info in infos) / 2**20)


def copy_rate(folder: Path) -> tuple[float, int]:
    """Return the rows per second, and the number of rows, of a raw COPY of the ledger into a table like it."""
    rows = Event.objects.count()
    return rows / copy_seconds(folder, Event.objects.all()), rows


def copy_seconds(folder: Path, rows: QuerySet[Any]) -> float:
    """Return the seconds of a raw COPY of rows into a table with the same columns, constraints and indexes."""
    path, table = folder / "rows.copy", connection.ops.quote_name(rows.model._meta.db_table)
    query, parameters = rows.order_by().query.sql_with_params()
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:  # psycopg's cursor, since Django's takes no parameters for COPY
        cursor.execute("DROP TABLE IF EXISTS bench_copy")
        cursor.execute(f"CREATE TABLE bench_copy (LIKE {table} INCLUDING ALL)")
        cursor.execute("CHECKPOINT")
        with path.open("wb") as file, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", parameters) as out:
            for part in out:
                file.write(bytes(part))
        names = ", ".join(connection.ops.quote_name(field.column) for field in rows.model._meta.concrete_fields)
        started = time.perf_counter()
        with path.open("rb") as file, cursor.copy(f"COPY bench_copy ({names}) FROM STDIN (FORMAT binary)") as into:
            while part := file.read(1 << 17):
                into.write(part)
        seconds = time.perf_counter() - started
        cursor.execute("DROP TABLE bench_copy")
    path.unlink()
    return seconds
