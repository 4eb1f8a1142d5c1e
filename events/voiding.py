"""Events taken back, and problems chosen, by what the API names them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from events.models import Event, Problem, ProblemState
from events.replaying import AlreadyVoided, HourIsFinal, void_event


@dataclass(frozen=True, slots=True)
class Voided:
    """What became of each event id."""

    voided: Sequence[str]
    before: Sequence[str]
    final: Sequence[str]  # older than what retention keeps
    unknown: Sequence[str]


def void_events(event_ids: Sequence[str], *, reason: str, now: datetime) -> Voided:
    """Take events back, each in a transaction of its own. Those that were taken back before stay as they are."""
    rows = Event.objects.filter(event_id__in=event_ids).defer("properties").order_by("pk")
    voided, before, final = [], [], []
    for event in rows:
        try:
            void_event(event, reason=reason, now=now)
        except AlreadyVoided:
            before.append(event.event_id)
        except HourIsFinal:
            final.append(event.event_id)
        else:
            voided.append(event.event_id)
    known = {*voided, *before, *final}
    return Voided(voided, before, final, [one for one in dict.fromkeys(event_ids) if one not in known])


def problems_of(
    *, ids: Sequence[int] = (), reason: str = "", event_name: str = "", external_id: str = "", feature: str = ""
) -> QuerySet[Problem]:
    """Return open problems: by their ids, or by their cause, of which everything that is given must hold."""
    rows = Problem.objects.filter(state=ProblemState.OPEN)
    if ids:
        return rows.filter(pk__in=ids)
    given = {
        "reason": reason,
        "event_name": event_name,
        "external_customer_id": external_id,
        "feature__public_id": feature,
    }
    return rows.filter(**{name: value for name, value in given.items() if value})
