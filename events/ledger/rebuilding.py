"""Compare the stored usage with a recount from the ledger, and correct it on request."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import batched
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from catalog.models import Feature
from events.history.pieces import read_in_pieces
from events.history.reading import ledger
from events.history.selection import EventSelection
from events.ledger.replaying import replay_hours, wait_for_running_batches
from events.models import UsageCheck
from events.sql import compose, counted, sections, sums
from events.usage.meter import ceil_hour, floor_hour, select_events

HOURS_AT_A_TIME = 500
MAX_LISTED = 100
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Scope:
    """Which usage to recount: of a feature or all, of a customer or all, in the full UTC hours of [start, end)."""

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
        """Describe the scope as JSON, for the log of checks."""
        rows = {"feature": self.feature_id, "customer": self.customer_id}
        edges = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        return {name: value for name, value in (rows | edges).items() if value}


@dataclass(frozen=True)
class Difference:
    """An hour whose stored usage differs from the ledger."""

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
    """Recount the scope from the ledger and yield the hours that differ. Writes nothing.

    A single statement sees a single snapshot: a batch is either in both the ledger and the usage, or in neither. Where
    there are many sealed events, each statement compares some days. Hours whose events retention has removed are
    skipped. An hour may appear twice, for its sums and for its unique values. A rolled-up day that differs from the sum
    of its hours appears as its first hour.
    """

    def compare_piece(start: datetime, end: datetime) -> list[Difference]:
        return _compare(replace(scope, start=start, end=end))

    for differences in read_in_pieces(scope.start, scope.end, compare_piece):
        yield from differences


def _compare(scope: Scope) -> list[Difference]:
    with transaction.atomic(), ledger(_select(scope)) as with_sealed, connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off")
        cursor.execute(_comparison(with_sealed=with_sealed), scope.parameters)
        return [Difference(*row) for row in cursor.fetchall()]


def _select(scope: Scope) -> Iterator[EventSelection]:
    """Yield which sealed events a comparison needs. Asks nothing until it is iterated."""
    customers = None if scope.customer_id is None else [scope.customer_id]
    start, end = scope.parameters["start"], scope.parameters["end"]
    feature = None if scope.feature_id is None else Feature.objects.filter(pk=scope.feature_id).first()
    if feature is None:
        yield EventSelection(customers=customers, start=start, end=end)
    else:
        yield from select_events(customers, feature, (start, end))


def _comparison(*, with_sealed: bool) -> str:
    parts = sections("compare")
    rows = f"({counted(scope=parts['scope'], with_sealed=with_sealed)})"
    tables = {"kept_buckets": "events_usagebucket", "kept_values": "events_uniquevalue"}
    kept = {name: parts["kept"].replace("{table}", table) for name, table in tables.items()}
    return compose(
        "\nUNION ALL\n".join(parts[name] for name in ("buckets", "values", "days")), sums=sums(rows), rows=rows, **kept
    )


def count_buckets(scope: Scope) -> int:
    """Count the hours that a comparison of the scope covers: hours with usage, not yet final."""
    kept = sections("compare")["kept"].replace("{table}", "events_usagebucket")
    with connection.cursor() as cursor:
        cursor.execute(compose("SELECT count(*) FROM ({kept}) AS kept", kept=kept), scope.parameters)
        hours: int = cursor.fetchone()[0]
    return hours


def rebuild_usage(scope: Scope, *, apply: bool, now: datetime, reason: str = "", by: User | None = None) -> UsageCheck:
    """Compare the stored usage with the ledger and log the result. With `apply`, recount the hours that differ.

    Safe to repeat and to run while batches are processed. If it is killed while applying, a second call recounts the
    remaining hours.
    """
    wait_for_running_batches()
    check = UsageCheck.objects.create(started_at=now, scope=scope.description, started_by=by, reason=reason[:255])
    hours: set[tuple[int, int, datetime]] = set()
    listed: list[dict[str, Any]] = []
    for difference in compare(scope):
        hours.add((difference.customer_id, difference.feature_id, difference.hour))
        if len(listed) < MAX_LISTED:
            listed.append(difference.as_json)
    if apply:
        for part in batched(sorted(hours), HOURS_AT_A_TIME):
            replay_hours(part, closing=reason or "Usage rebuilt", by=by)
        check.applied_at = now
    check.buckets = count_buckets(scope)
    check.differing, check.differences, check.finished_at = len(hours), listed, now
    check.save()
    return check


def describe_difference(now: datetime) -> str:
    """Recount all usage and say how many hours differ, or return an empty string. Checks restored backups."""
    differing = rebuild_usage(Scope(), apply=False, now=now, reason="Backup").differing
    return f"{differing:,} hours of usage differ from the events" if differing else ""
