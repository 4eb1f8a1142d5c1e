"""The demo's printed summary: URLs, logins, a request to try, and the problems to look at."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from billing.demo.access import OWNER_LOGIN, VIEWER_LOGIN, Access
from billing.demo.customers import PRINTED
from billing.demo.mistakes import Mistake
from events.models import DuplicateEvent, Problem, ProblemState, RefusedRequest

EXAMPLE_EVENT = {
    "event_name": "api.calls",
    "external_customer_id": PRINTED.external_id,
    "properties": {"path": "/v1/example"},
}


def describe_access(base_url: str, access: Access, logs: Path) -> str:
    """Describe the URLs, the logins, and how to send an event."""
    return "\n".join(
        [
            f"Admin    {base_url}/admin/",
            f"Logins   {OWNER_LOGIN} / {access.owner_password} (can do everything)",
            f"         {VIEWER_LOGIN} / {access.viewer_password} (can only view)",
            f"API key  {access.api_key}",
            f"API      {base_url}/v1/docs",
            f"Logs     {logs}",
            "",
            "Send an event, and find it under Usage Tracking → Events dashboard:",
            "",
            f"  curl {base_url}/v1/events \\",
            f"    -H 'x-api-key: {access.api_key}' -H 'content-type: application/json' \\",
            f"    -d '{json.dumps(EXAMPLE_EVENT)}'",
        ]
    )


def describe_problems(mistakes: Sequence[Mistake], late_count: int) -> str:
    """Describe the demo's unresolved problems, each with its page in the admin."""
    return "\n".join(["Problems to look at in the admin:", "", *_list_rows(mistakes, late_count)])


def _list_rows(mistakes: Sequence[Mistake], late_count: int) -> Iterator[str]:
    for mistake in mistakes:
        count = len(mistake.events) if mistake.is_counted else _count_open(mistake)
        if count:
            yield _format_row("Event Debugger" if mistake.is_counted else "Problems", count, mistake.description)
    yield _format_row("Event Debugger", late_count, "a call received after its month was invoiced: Quayside Legal")
    if duplicates := DuplicateEvent.objects.count():
        yield _format_row("Duplicates", duplicates, "a repeated event_id, some with different content")
    if refused := RefusedRequest.objects.count():
        yield _format_row("Refused requests", refused, "a wrong API key (401), or no event_name (400)")


def _count_open(mistake: Mistake) -> int:
    """Count the mistake's events that staff have neither fixed nor dismissed."""
    ids = [event["event_id"] for event in mistake.events]
    return Problem.objects.filter(state=ProblemState.OPEN, event__event_id__in=ids).values("event").distinct().count()


def _format_row(page: str, count: int, description: str) -> str:
    return f"  {page:17}{count:4} × {description}"
