"""What the demo says when it is ready: the address, the logins, a request to try, and where something waits."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from billing.demo.access import OWNER_LOGIN, VIEWER_LOGIN, Access
from billing.demo.clients import PRINTED
from billing.demo.mistakes import Mistake
from events.models import DuplicateEvent, Problem, ProblemState, RefusedRequest

OWN_EVENT = {"event_name": "api.calls", "external_customer_id": PRINTED.external_id, "properties": {"path": "/v1/mine"}}


def ways_in(base_url: str, access: Access, logs: Path) -> str:
    """Say where the admin is, who may log in, and how to send an event."""
    return "\n".join(
        [
            f"Admin    {base_url}/admin/",
            f"Logins   {OWNER_LOGIN} / {access.owner_password} (may do everything)",
            f"         {VIEWER_LOGIN} / {access.viewer_password} (may only look)",
            f"API key  {access.api_key}",
            f"API      {base_url}/v1/docs",
            f"Logs     {logs}",
            "",
            "Send an event of your own, and find it at Usage Tracking → Events dashboard:",
            "",
            f"  curl {base_url}/v1/events \\",
            f"    -H 'x-api-key: {access.api_key}' -H 'content-type: application/json' \\",
            f"    -d '{json.dumps(OWN_EVENT)}'",
        ]
    )


def what_waits(mistakes: Sequence[Mistake], late: int) -> str:
    """Say what went wrong in the demo and is still so, and on which page of the admin it is."""
    return "\n".join(["What went wrong, and waits for somebody to look:", "", *_rows(mistakes, late)])


def _rows(mistakes: Sequence[Mistake], late: int) -> Iterator[str]:
    for mistake in mistakes:
        count = len(mistake.events) if mistake.counts else still_open(mistake)
        if count:
            yield _row("Event Debugger" if mistake.counts else "Problems", count, mistake.says)
    yield _row("Event Debugger", late, "a call that came after its month was invoiced: Quayside Legal")
    if repeats := DuplicateEvent.objects.count():
        yield _row("Duplicates", repeats, "an event_id that came again, some with another body")
    if refused := RefusedRequest.objects.count():
        yield _row("Refused requests", refused, "a wrong API key (401), or no event_name (400)")


def still_open(mistake: Mistake) -> int:
    """Count the mistake's events that staff have neither mended nor dismissed."""
    ids = [event["event_id"] for event in mistake.events]
    return Problem.objects.filter(state=ProblemState.OPEN, event__event_id__in=ids).values("event").distinct().count()


def _row(page: str, count: int, says: str) -> str:
    return f"  {page:17}{count:4} × {says}"
