"""Whether this process lives, whether it can store events, and whether they are counted.

`/livez` answers as long as the process does. `/readyz` answers 503 if events can't be stored here, so that a load
balancer asks another process. If events are stored but not counted, it says so and answers 200: refusing them wouldn't
help. With `?strict=1`, for monitors, anything wrong is 503.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.conf import settings
from django.db import Error, OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from config.limits import MIB
from config.monitoring.disk import EXTEND_DISK
from config.monitoring.locks import END_SESSION
from config.monitoring.outages.unreachable import CHECK_POSTGRES
from config.monitoring.outages.unstored import MAKE_ROOM
from config.monitoring.standby import COMMITS_WAIT, RETURN_STANDBY, commits_wait
from config.timeouts import is_timeout

LOCK_S = 1
LEAST_FREE = 64 * MIB
WAITED_S, SILENT_S = 60, 45
UNREACHABLE = "The database can't be reached."
LOCKED = "The events inbox is locked by another session."
READ_ONLY = "The database is read-only."
NOT_MIGRATED = "The database isn't migrated: the events inbox is missing."
MIGRATE = "Run manage.py migrate, then restart web, worker and beat."
WHAT_TO_DO = {
    UNREACHABLE: CHECK_POSTGRES,
    LOCKED: END_SESSION,
    NOT_MIGRATED: MIGRATE,
    READ_ONLY: MAKE_ROOM,
    COMMITS_WAIT: RETURN_STANDBY,
}
READ_COUNTING = """
    SELECT
        (
            SELECT extract(epoch FROM clock_timestamp() - received_at)::float FROM {inbox}
            WHERE api_key_id IS NULL OR api_key_id <> ALL (ARRAY(SELECT id FROM {keys} WHERE is_self_test))
            ORDER BY id LIMIT 1
        ),
        (SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float FROM {heartbeats} WHERE process = 'worker'),
        (SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float FROM {heartbeats} WHERE process = 'beat')
"""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check: the reason is blank if all is well. Without a `vital` check, events can't be stored."""

    name: str
    reason: str = ""
    is_vital: bool = True
    what_to_do: str = ""


@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """Respond 200: the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Respond 200 if events can be stored, otherwise 503; with `strict`, only if they are counted, too."""
    results = list(check_readiness())
    wrong = [result for result in results if result.reason]
    is_unavailable = any(result.is_vital for result in wrong)
    status = "unavailable" if is_unavailable else "degraded" if wrong else "ok"
    body = {
        "status": status,
        "reason": wrong[0].reason if wrong else None,
        "checks": {result.name: result.reason or "ok" for result in results},
    }
    is_refused = is_unavailable or (bool(wrong) and "strict" in request.GET)
    return JsonResponse(body, status=503 if is_refused else 200, headers={"Cache-Control": "no-store"})


def check_readiness() -> Iterator[Result]:
    """Yield the result of each check. If the database can't be reached, it is the last."""
    yield Result("disk", "The database's disk is full." if is_disk_full() else "", what_to_do=EXTEND_DISK)
    reason = find_unready_reason()
    yield Result("database", reason, what_to_do=WHAT_TO_DO.get(reason, ""))
    if not reason:
        yield Result("migrations", find_missing_migration(), what_to_do=MIGRATE)
        yield from check_counting()


def find_unready_reason() -> str:
    """Return why the inbox takes no events, as a sentence, or an empty string if it does."""
    table = _table_of("events.InboxRequest")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL, current_setting('transaction_read_only')", [table])
            is_migrated, is_read_only = cursor.fetchone()
            if not is_migrated:
                return NOT_MIGRATED
            if is_read_only == "on":
                return READ_ONLY
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            cursor.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")  # as storing an event does
        if commits_wait():
            return COMMITS_WAIT
    except OperationalError as error:
        return LOCKED if is_timeout(error) else UNREACHABLE
    except Error:
        return UNREACHABLE
    return ""


class _Migrations:
    """The migrations of this release, once it is known that all are applied: none is ever unapplied."""

    are_applied = False


def find_missing_migration() -> str:
    """Return which migration of this release isn't applied, as a sentence, or an empty string."""
    if _Migrations.are_applied:
        return ""
    try:
        loader = MigrationLoader(connection)
    except Error:
        return UNREACHABLE
    missing = sorted(set(loader.graph.leaf_nodes()) - set(loader.applied_migrations))
    _Migrations.are_applied = not missing
    return f"The migration {'.'.join(missing[0])} isn't applied." if missing else ""


def check_counting() -> Iterator[Result]:
    """Yield whether events are counted, and whether a worker and beat are alive."""
    models = {"inbox": "events.InboxRequest", "keys": "events.ApiKey", "heartbeats": "config.Heartbeat"}
    tables = {name: _table_of(label) for name, label in models.items()}
    try:
        with connection.cursor() as cursor:
            cursor.execute(READ_COUNTING.format(**tables))
            waited_s, worker_s, beat_s = cursor.fetchone()
    except Error:
        yield Result("counting", "Whether events are counted can't be read.", is_vital=False)
        return
    is_late = waited_s is not None and waited_s > WAITED_S
    yield Result("counting", f"Events have waited for {waited_s:.0f} seconds." if is_late else "", is_vital=False)
    for name, silent_s in (("worker", worker_s), ("beat", beat_s)):
        yield Result(name, _describe_silence(name.capitalize(), silent_s), is_vital=False)


def _describe_silence(name: str, silent_s: float | None) -> str:
    if silent_s is None:
        return f"{name} was never seen."
    return f"{name} has been silent for {silent_s:.0f} seconds." if silent_s > SILENT_S else ""


def is_disk_full() -> bool:
    """Tell whether the embedded PostgreSQL, which is on this machine, has next to no space left."""
    pgdata = settings.DATA_DIR / "postgres" / "data"
    return (pgdata / "postmaster.pid").exists() and shutil.disk_usage(pgdata).free < LEAST_FREE


def _table_of(label: str) -> str:
    model: type[Model] = apps.get_model(label)
    return connection.ops.quote_name(model._meta.db_table)
