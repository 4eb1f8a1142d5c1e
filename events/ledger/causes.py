"""Open problems, grouped by their cause: the reason, and the event name or customer that staff would correct."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from catalog.models import Feature
from events.reasons import EXPLANATIONS, Explanation, Reason
from events.sql import statement

PROBLEMS_READ = 10_000  # per reason and event name; fewer when there are many names
MAX_NAMES = 500
MAX_CAUSES = 200


@dataclass(frozen=True)
class Cause:
    """Open problems with the same cause. `feature` is None if they concern no feature; times are the events' own."""

    reason: Reason
    event_name: str
    external_id: str
    feature: Feature | None
    problems: int
    is_capped: bool
    customers: int
    first_at: datetime
    last_at: datetime
    read_at_most: int = PROBLEMS_READ

    @property
    def explanation(self) -> Explanation:
        return EXPLANATIONS[self.reason]


def open_causes() -> list[Cause]:
    """Group the open problems by cause, the largest group first. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(statement("causes"), {"names": MAX_NAMES, "cap": PROBLEMS_READ, "causes": MAX_CAUSES})
        rows = cursor.fetchall()
    features = Feature.objects.in_bulk({feature_id for _, _, _, feature_id, *_ in rows if feature_id is not None})
    return [
        Cause(Reason(reason), name, external_id, features.get(feature_id), *figures)
        for reason, name, external_id, feature_id, *figures in rows
    ]
