"""The data that the benchmarks use: a company with a thousand customers and four features."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    *("events_eventvoid", "events_duplicateevent", "events_processedbatch", "events_prunedeventid"),
    *("events_usageday", "events_usagerollup", "events_usagemark", "events_touchedusage"),
)


def make_company() -> str:
    """Migrate, make customers and features unless they are there, and a key without limits; give the key."""
    call_command("migrate", interactive=False, verbosity=0)
    if not Feature.objects.exists():
        for feature in FEATURES:
            Feature.objects.create(**feature)
        Customer.objects.bulk_create(
            [Customer(external_id=f"cust_{no:04}", name=f"Customer {no}") for no in range(CUSTOMERS)]
        )
    replay_fixed_causes(now=datetime.now(UTC))  # a new feature looks for earlier events once: have that behind us
    _, secret = make_key("bench", scopes=[Scope.ALL], single_per_minute=0, bulk_per_minute=0)
    return secret


def forget_events() -> None:
    """Empty everything that events left."""
    with connection.cursor() as cursor:
        cursor.execute("SET countinghouse.allow_truncate = 'on'")
        cursor.execute(f"TRUNCATE {', '.join(EVENTS_TABLES)} RESTART IDENTITY")


@dataclass(frozen=True)
class Memory:
    """MiB of a process and those it forked.

    `used` counts a page that several of them share once, which is what the machine gives. It grows without anything new
    while forks write to pages they shared: `mapped`, each process for itself, doesn't.
    """

    used: float
    mapped: float


def memory_of(pid: int) -> Memory:
    """Tell how much memory a process and those it started use just now."""
    import psutil

    process = psutil.Process(pid)
    seen = [one.memory_full_info() for one in [process, *process.children(recursive=True)]]
    return Memory(sum(one.pss for one in seen) / 2**20, sum(one.rss for one in seen) / 2**20)


def copy_rate(folder: Path) -> tuple[float, int]:
    """Measure a raw COPY of the ledger's rows into a table with the same columns, constraints and indexes: rows/s."""
    rows = Event.objects.count()
    return rows / copy_seconds(folder, Event.objects.all()), rows


def copy_seconds(folder: Path, rows: QuerySet[Any]) -> float:
    """Time a raw COPY of rows into a table with the same columns, constraints and indexes."""
    path, table = folder / "rows.copy", connection.ops.quote_name(rows.model._meta.db_table)
    query, parameters = rows.order_by().query.sql_with_params()
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:  # psycopg's own: Django's takes no parameters for a COPY
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
