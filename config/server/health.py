"""Whether this process can take events: what a load balancer and `manage.py serve` ask."""

from django.apps import apps
from django.db import Error, connection
from django.db.models import Model
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 once an event could be stored: the database answers and has the inbox. 503 says what is missing."""
    reason = why_not_ready()
    if reason:
        return JsonResponse({"status": "unavailable", "reason": reason}, status=503)
    return JsonResponse({"status": "ok"})


def why_not_ready() -> str:
    """Say in a sentence what keeps events from being stored; empty when nothing does."""
    table = _inbox_model()._meta.db_table
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [connection.ops.quote_name(table)])
            row = cursor.fetchone()
    except Error:
        return "The database can't be reached."
    return "" if row and row[0] else "The database isn't migrated: the events inbox is missing."


def _inbox_model() -> type[Model]:
    return apps.get_model("events", "InboxRequest")
