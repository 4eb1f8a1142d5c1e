"""What an event says to the features that take its name: the value that counts, as it was sent."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from catalog.models import Aggregation, EventNameAlias, Feature
from events.models import Event, InboxEvent

MISSING = object()


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
