"""The values of an event for the features of its name, and whether it counts for each."""

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
LEFT_OUT = "excluded by the feature's filter"


@dataclass(frozen=True)
class Reading:
    """The value that a feature reads from an event. A count has no field."""

    feature: Feature
    value: Any

    @property
    def is_missing(self) -> bool:
        return self.value is MISSING

    @property
    def text(self) -> str:
        """Return the value as text, such as `tokens = 150`, or `1` for a count."""
        if self.feature.aggregation == Aggregation.COUNT:
            return "1"
        value = "missing" if self.is_missing else f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f"{self.feature.field} = {str(value)[:60]}"


@dataclass(frozen=True)
class Verdict:
    """The result of an event for one feature. `said` is "counts", or the reason why it doesn't count."""

    feature: Feature
    text: str
    said: str

    @property
    def variant(self) -> str:
        return {COUNTS: "success", LEFT_OUT: ""}.get(self.said, "danger")


class Meters:
    """The metered features by event name, loaded once for a page of events."""

    def __init__(self, features: dict[str, list[Feature]]) -> None:
        self._features = features

    @classmethod
    def load(cls) -> Self:
        """Load the features and the mapped event names in two queries."""
        by_name: dict[str, list[Feature]] = defaultdict(list)
        for feature in Feature.objects.metered().only(
            "pk", "name", "event_name", "aggregation", "field", "field_aliases", "state"
        ):
            by_name[feature.event_name].append(feature)
        aliases = {alias.alias: by_name[alias.event_name] for alias in EventNameAlias.objects.all()}
        return cls({**aliases, **by_name})

    def readings(self, event: Event | InboxEvent) -> list[Reading]:
        """Return the value for each feature of the event's name, whether the event counts or not."""
        return [
            Reading(feature, _read(event.properties, feature)) for feature in self._features.get(event.event_name, [])
        ]

    def values_of_interest(self, event: Event | InboxEvent) -> list[str]:
        """Return the distinct values as text. Features with the same field share a value."""
        return list(dict.fromkeys(self._texts(event)))

    def _texts(self, event: Event | InboxEvent) -> Iterator[str]:
        return (reading.text for reading in self.readings(event))


def verdicts(event: Event, problems: Iterable[Problem]) -> list[Verdict]:
    """Return the result of a ledger event for each feature of its name, from the SQL of processing and its problems.

    An open or dismissed problem keeps the event from counting, even if the current configuration would count it: that
    takes a replay.
    """
    texts = {reading.feature.pk: reading.text for reading in Meters.load().readings(event)}
    blocking = {
        problem.feature_id: _problem_text(problem)
        for problem in problems
        if problem.state in (ProblemState.OPEN, ProblemState.DISMISSED)
    }
    counts = event.state in (EventState.COUNTED, EventState.PARTLY)
    default = blocking.get(None) or (COUNTS if counts else event.get_state_display().lower())
    return [
        Verdict(
            reading.feature,
            texts.get(reading.feature.pk, ""),
            blocking.get(reading.feature.pk) or (_reason_text(reading.reason) if reading.reason else default),
        )
        for reading in read(subject_of(event, now=timezone.now()), event.event_name)
    ]


def _problem_text(problem: Problem) -> str:
    text = _reason_text(Reason(problem.reason))
    return f"{text} (dismissed)" if problem.state == ProblemState.DISMISSED else text


def _reason_text(reason: Reason) -> str:
    return LEFT_OUT if reason == Reason.FILTER_MISMATCH else str(reason.label)


def _read(properties: Any, feature: Feature) -> Any:
    """Return the value of the feature's field, or of the first of its other names that was sent."""
    values = (_look_up(properties, name) for name in (feature.field, *feature.field_aliases))
    return next((value for value in values if value is not MISSING), MISSING)


def _look_up(properties: Any, field: str) -> Any:
    """Return the value of a field by its full name, or by its path of names separated by dots."""
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
