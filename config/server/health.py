"""The health check for load balancers and `manage.py serve`: whether this process can store events."""

import shutil

from django.apps import apps
from django.conf import settings
from django.db import Error, OperationalError, connection, transaction
from django.db.models import Model
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from config.limits import MIB
from config.timeouts import is_timeout

LOCK_S = 1
LEAST_FREE = 64 * MIB
UNREACHABLE = "The database can't be reached."


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Respond 200 if events can be stored: the database responds and has a writable inbox. Otherwise 503 and why."""
    if reason := find_unready_reason():
        return JsonResponse({"status": "unavailable", "reason": reason}, status=503)
    return JsonResponse({"status": "ok"})


def find_unready_reason() -> str:
    """Return why events can't be stored, as a sentence, or an empty string if they can."""
    if _is_disk_full():
        return "The database's disk is full."
    table = connection.ops.quote_name(_get_inbox_model()._meta.db_table)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
            if not cursor.fetchone()[0]:
                return "The database isn't migrated: the events inbox is missing."
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            cursor.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")  # as storing an event does
    except OperationalError as error:
        return "The events inbox is locked by another session." if is_timeout(error) else UNREACHABLE
    except Error:
        return UNREACHABLE
    return ""


def _is_disk_full() -> bool:
    """Tell whether the embedded PostgreSQL, which is on this machine, has next to no space left."""
    pgdata = settings.DATA_DIR / "postgres" / "data"
    return (pgdata / "postmaster.pid").exists() and shutil.disk_usage(pgdata).free < LEAST_FREE


def _get_inbox_model() -> type[Model]:
    return apps.get_model("events", "InboxRequest")
