"""What an event says to the features that take its name: the value, as it was sent, and whether it counts there."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from django.utils import timezone

from catalog.models import Aggregation, EventNameAlias, Feature
from events.diagnosis.readings import read
from events.diagnosis.subject import subject_of
from events.models import Event, EventState, InboxEvent, Problem, ProblemState
from events.reasons import Reason

MISSING = object()
COUNTS = "counts"
LEFT_OUT = "left out by its filter"


@dataclass(frozen=True)
class Reading:
    """One feature's view of an event: the field's value, or that it is missing. A count has no field."""

    feature: Feature
    value: Any

    @property
    def is_missing(self) -> bool:
        return self.value is MISSING

    @property
    def text(self) -> str:
        """Write it as `tokens = 150`; a count as `1`."""
        if self.feature.aggregation == Aggregation.COUNT:
            return "1"
        shown = "missing" if self.is_missing else f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f"{self.feature.field} = {str(shown)[:60]}"


@dataclass(frozen=True)
class Verdict:
    """What became of an event at one feature: the value it read, and `said`: that it counts, or why it doesn't."""

    feature: Feature
    text: str
    said: str

    @property
    def variant(self) -> str:
        return {COUNTS: "success", LEFT_OUT: "default"}.get(self.said, "danger")


class Meters:
    """The metered features by the event names that reach them, read once for a page of events."""

    def __init__(self, features: dict[str, list[Feature]]) -> None:
        self._features = features

    @classmethod
    def load(cls) -> Self:
        """Read the features and the names mapped to theirs. Two queries."""
        by_name: dict[str, list[Feature]] = defaultdict(list)
        for feature in Feature.objects.metered().only("pk", "name", "event_name", "aggregation", "field", "state"):
            by_name[feature.event_name].append(feature)
        aliases = {alias.alias: by_name[alias.event_name] for alias in EventNameAlias.objects.all()}
        return cls({**aliases, **by_name})

    def readings(self, event: Event | InboxEvent) -> list[Reading]:
        """List what each feature of the event's name reads in it, whether it counts there or not."""
        return [
            Reading(feature, _look_up(event.properties, feature.field))
            for feature in self._features.get(event.event_name, [])
        ]

    def values_of_interest(self, event: Event | InboxEvent) -> list[str]:
        """Name each different value once; features that share a field share the value."""
        return list(dict.fromkeys(self._texts(event)))

    def _texts(self, event: Event | InboxEvent) -> Iterator[str]:
        return (reading.text for reading in self.readings(event))


def verdicts(event: Event, problems: Iterable[Problem]) -> list[Verdict]:
    """Judge a ledger event for each feature of its name, by processing's own SQL and the event's problems.

    What is open or dismissed in `problems` keeps it from counting, even where today's configuration would count it:
    that takes a replay.
    """
    texts = {reading.feature.pk: reading.text for reading in Meters.load().readings(event)}
    blocking = {
        problem.feature_id: _said_of(problem)
        for problem in problems
        if problem.state in (ProblemState.OPEN, ProblemState.DISMISSED)
    }
    counts = event.state in (EventState.COUNTED, EventState.PARTLY)
    rest = blocking.get(None) or (COUNTS if counts else event.get_state_display().lower())
    return [
        Verdict(
            reading.feature,
            texts.get(reading.feature.pk, ""),
            blocking.get(reading.feature.pk) or (_said(reading.reason) if reading.reason else rest),
        )
        for reading in read(subject_of(event, now=timezone.now()), event.event_name)
    ]


def _said_of(problem: Problem) -> str:
    said = _said(Reason(problem.reason))
    return f"{said} (dismissed)" if problem.state == ProblemState.DISMISSED else said


def _said(reason: Reason) -> str:
    return LEFT_OUT if reason == Reason.FILTER_MISMATCH else str(reason.label)


def _look_up(properties: Any, field: str) -> Any:
    """Find a field by its whole name, else along the path that its dots spell."""
    if not isinstance(properties, dict):
        return MISSING
    if field in properties:
        return properties[field]
    value: Any = properties
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value
