"""Open problems, grouped by their cause: the reason, and the event name or customer that staff would correct."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection

from catalog.models import Feature
from events.models import Problem, ProblemState
from events.reasons import EXPLANATIONS, Explanation, Reason
from events.sql import statement

PROBLEMS_READ = 10_000  # per reason and event name; fewer when there are many names
MAX_NAMES = 500
MAX_CAUSES = 200
LOOKED_AT = 10  # causes
NUMBER_AS_TEXT = "Number sent as text"
NUMBER_IN_QUOTES = re.compile(r'"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*"')


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
    is_number_as_text: bool = False

    @property
    def label(self) -> str:
        """Name the cause: as its reason, or more precisely if clients send numbers as text."""
        return NUMBER_AS_TEXT if self.is_number_as_text else str(self.reason.label)

    @property
    def explanation(self) -> Explanation:
        return EXPLANATIONS[self.reason]


def open_causes() -> list[Cause]:
    """Group the open problems by cause, the largest group first. Two queries, and a few if values aren't numbers."""
    with connection.cursor() as cursor:
        cursor.execute(statement("causes"), {"names": MAX_NAMES, "cap": PROBLEMS_READ, "causes": MAX_CAUSES})
        rows = cursor.fetchall()
    features = Feature.objects.in_bulk({feature_id for _, _, _, feature_id, *_ in rows if feature_id is not None})
    causes = [
        Cause(Reason(reason), name, external_id, features.get(feature_id), *figures)
        for reason, name, external_id, feature_id, *figures in rows
    ]
    return _mark_numbers_as_text(causes)


def _mark_numbers_as_text(causes: list[Cause]) -> list[Cause]:
    """Mark the causes of which a problem is a text that contains only a number. One query for each of the largest."""
    unclear = [cause for cause in causes if cause.reason == Reason.NOT_A_NUMBER][:LOOKED_AT]
    marked = [cause for cause in unclear if _is_number_as_text(cause)]
    return [replace(cause, is_number_as_text=cause in marked) if cause in unclear else cause for cause in causes]


def _is_number_as_text(cause: Cause) -> bool:
    problems = Problem.objects.filter(reason=cause.reason, event_name=cause.event_name, state=ProblemState.OPEN)
    detail = problems.filter(feature=cause.feature).order_by().values_list("detail", flat=True).first() or {}
    return detail.get("type") == "string" and NUMBER_IN_QUOTES.fullmatch(detail.get("value", "")) is not None
