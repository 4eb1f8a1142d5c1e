"""The health check for load balancers and `manage.py serve`: whether this process can store events."""

from django.apps import apps
from django.db import Error, connection
from django.db.models import Model
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Respond 200 if events can be stored: the database responds and has the inbox. Otherwise 503 with the reason."""
    if reason := find_unready_reason():
        return JsonResponse({"status": "unavailable", "reason": reason}, status=503)
    return JsonResponse({"status": "ok"})


def find_unready_reason() -> str:
    """Return why events can't be stored, as a sentence, or an empty string if they can."""
    table = _get_inbox_model()._meta.db_table
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [connection.ops.quote_name(table)])
            row = cursor.fetchone()
    except Error:
        return "The database can't be reached."
    return "" if row and row[0] else "The database isn't migrated: the events inbox is missing."


def _get_inbox_model() -> type[Model]:
    return apps.get_model("events", "InboxRequest")
