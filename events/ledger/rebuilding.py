"""Usage recounted in shadow from the ledger: shows what differs, and puts it right when told."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import batched
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from events.ledger.replaying import replay_hours, wait_for_running_batches
from events.models import UsageCheck
from events.sql import compose, counted, sections, sums
from events.usage.meter import ceil_hour, floor_hour

HOURS_AT_A_TIME = 500
LISTED = 100
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Scope:
    """Which usage to recount: one feature's or all, one customer's or all, whole UTC hours of [start, end)."""

    feature_id: int | None = None
    customer_id: int | None = None
    start: datetime = FIRST
    end: datetime = LAST

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "feature": self.feature_id,
            "customer": self.customer_id,
            "start": floor_hour(self.start) if self.start > FIRST else self.start,
            "end": ceil_hour(self.end),
        }

    @property
    def description(self) -> dict[str, Any]:
        """Say the scope in JSON, for the log of checks."""
        given = {"feature": self.feature_id, "customer": self.customer_id}
        edges = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        return {name: value for name, value in (given | edges).items() if value}


@dataclass(frozen=True)
class Difference:
    """An hour whose bucket is not what the ledger says."""

    customer_id: int
    feature_id: int
    hour: datetime
    kept_events: int
    counted_events: int
    kept_total: Decimal
    counted_total: Decimal

    @property
    def as_json(self) -> dict[str, Any]:
        return {name: str(value) for name, value in vars(self).items()}


def compare(scope: Scope) -> Iterator[Difference]:
    """Recount the scope from the ledger and give the hours that differ. Writes nothing.

    One statement, so one snapshot: a batch is seen whole, in the ledger and in the buckets, or not at all. Hours that
    retention has removed events from are left out. An hour may come twice: for its sums and for its unique values. A
    rolled-up day that isn't the sum of its hours comes as its first hour.
    """
    parts = sections("compare")
    rows = f"({counted(scope=parts['scope'])})"
    tables = {"kept_buckets": "events_usagebucket", "kept_values": "events_uniquevalue"}
    kept = {name: parts["kept"].replace("{table}", table) for name, table in tables.items()}
    query = compose(
        "\nUNION ALL\n".join(parts[name] for name in ("buckets", "values", "days")), sums=sums(rows), rows=rows, **kept
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off")
        cursor.execute(query, scope.parameters)
        while chunk := cursor.fetchmany(2_000):
            yield from (Difference(*row) for row in chunk)


def count_buckets(scope: Scope) -> int:
    """Count the hours that a comparison of the scope looks at: those with usage, past retention's horizon."""
    kept = sections("compare")["kept"].replace("{table}", "events_usagebucket")
    with connection.cursor() as cursor:
        cursor.execute(compose("SELECT count(*) FROM ({kept}) AS kept", kept=kept), scope.parameters)
        found: int = cursor.fetchone()[0]
    return found


def rebuild_usage(scope: Scope, *, apply: bool, now: datetime, reason: str = "", by: User | None = None) -> UsageCheck:
    """Compare kept usage with the ledger, note the outcome, and recount what differs when `apply` says so.

    Buckets are left alone otherwise. Safe beside running batches and to repeat; killed while applying, the hours done
    are right and a second call does the rest.
    """
    wait_for_running_batches()
    check = UsageCheck.objects.create(started_at=now, scope=scope.description, started_by=by, reason=reason[:255])
    hours: set[tuple[int, int, datetime]] = set()
    listed: list[dict[str, Any]] = []
    for difference in compare(scope):
        hours.add((difference.customer_id, difference.feature_id, difference.hour))
        if len(listed) < LISTED:
            listed.append(difference.as_json)
    if apply:
        for part in batched(sorted(hours), HOURS_AT_A_TIME):
            replay_hours(part, closing=reason or "Usage rebuilt", by=by)
        check.applied_at = now
    check.buckets = count_buckets(scope)
    check.differing, check.differences, check.finished_at = len(hours), listed, now
    check.save()
    return check
