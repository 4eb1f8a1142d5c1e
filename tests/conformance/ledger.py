"""Events of a vector on the product's own way: payload, inbox, batch, ledger, buckets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import batched, groupby
from typing import Any

from catalog.features import save_feature
from catalog.models import Aggregation, Feature, UsageReset
from customers.models import Customer
from events.ingest.accept import accept
from events.ingest.payload import LARGEST_BATCH, PayloadRefused, parse_batch
from events.ledger.processing import BatchResult, process_batch
from events.models import Event
from events.usage.meter import Quantity, usage
from events.usage.search import Condition, Operator, Search, usage_of
from tests.conformance.registry import Inputs, NotOffered, Policy, Refused
from tests.conformance.values import Moments, number
from tests.events.senders import as_json
from tests.factories import make_customer

EVENT_NAME = "usage"
ARRIVAL = datetime(2026, 1, 1, tzinfo=UTC)  # where a vector has no times at all
NOT_SOLD: Mapping[str, str] = {
    "level_average": "absolute readings held until the next one; levels are sent as changes, to a weighted sum",
    "prorated_sum": "units weighted by calendar days; a weighted sum goes by time",
    "prorated_unique_count": "members weighted by calendar days; a unique count doesn't go by time",
}


def send(customer: Customer, events: Iterable[Mapping[str, Any]], received_at: datetime) -> list[BatchResult]:
    """Send events as a client would, in their order, and process them. Gives what became of each request's batch.

    Those with `stored_at` arrive then, the others at `received_at`. Raises `Refused` with the product's sentence.
    """
    results = []
    for stored_at, group in groupby(events, lambda event: event.get("stored_at")):
        at = datetime.fromisoformat(stored_at) if stored_at else received_at
        for part in batched(group, LARGEST_BATCH):
            body = as_json({"events": [wire(customer, event) for event in part]}).encode()
            try:
                incoming = parse_batch(body, received_at=at)
            except PayloadRefused as error:
                raise Refused(str(error)) from error
            accept(incoming, api_key_id=None, received_at=at)
            results.append(process_batch())
    return results


def wire(customer: Customer, event: Mapping[str, Any]) -> dict[str, Any]:
    """Write an event as the API takes it."""
    given = {"event_id": event.get("id"), "timestamp": event.get("timestamp"), "source": event.get("source")}
    return {
        "event_name": EVENT_NAME,
        "external_customer_id": customer.external_id,
        "properties": event.get("properties") or {},
        **{name: value for name, value in given.items() if value is not None},
    }


def arrival(events: Iterable[Mapping[str, Any]]) -> datetime:
    """Give a moment when all of them have happened."""
    times = [datetime.fromisoformat(event["timestamp"]) for event in events if event.get("timestamp")]
    return max(times, default=ARRIVAL)


def make_meter(aggregation: Mapping[str, Any], policy: Policy, **definition: Any) -> Feature:
    """Create the feature of a vector's aggregation. Raises `NotOffered` for other types."""
    kind = aggregation["type"]
    if kind not in Aggregation.values:
        raise NotOffered(f"aggregation {kind}: {NOT_SOLD.get(kind, 'no feature adds up like this')}")
    feature = Feature(
        name=kind,
        event_name=EVENT_NAME,
        aggregation=kind,
        field="" if kind == "count" else aggregation.get("property") or "value",
        accept_numeric_strings=policy.get("numeric_strings", "accept") == "accept",
        **definition,
    )
    return save_feature(feature, by=None)


@dataclass
class Metered:
    """A vector of usage: its events in the ledger, and queries for their usage."""

    inputs: Inputs
    policy: Policy

    def __post_init__(self) -> None:
        self.moments = Moments(self.inputs)
        self.start = truncated(self.moments.read(self.inputs["period"]["start"]), self.policy)
        self.end = self.moments.read(self.inputs["period"]["end"])
        self.customer = make_customer()
        self.feature = make_meter(self.inputs["aggregation"], self.policy, **self._definition())
        self._refuse_removals()
        send(self.customer, self._events(), arrival(self.inputs["events"]))

    def _definition(self) -> dict[str, Any]:
        carries_over = self.inputs.get("recurring") or self.inputs.get("initial_value") is not None
        reset = UsageReset.CUMULATIVE if carries_over else UsageReset.PERIODIC
        return {"reset": reset, "filters": texts(self.inputs.get("include") or {})}

    def _events(self) -> list[Mapping[str, Any]]:
        """List the events; a level carried over is one change before the period, for all earlier ones."""
        events: list[Mapping[str, Any]] = list(self.inputs["events"])
        if self.inputs.get("initial_value") is None:
            return events
        name = self.inputs["aggregation"].get("property") or "value"
        level = {
            "id": "carried over",
            "timestamp": (self.start - timedelta(seconds=1)).isoformat(),
            "properties": {**self._chosen(), name: number(self.inputs["initial_value"])},
        }
        return [level, *(event for event in events if datetime.fromisoformat(event["timestamp"]) >= self.start)]

    def _chosen(self) -> dict[str, Any]:
        """Return properties that pass the feature's filters."""
        return {name: values[0] for name, values in (self.inputs.get("include") or {}).items()}

    def _refuse_removals(self) -> None:
        name = self.inputs["aggregation"].get("operation_property")
        if any((event.get("properties") or {}).get(name) == "remove" for event in self.inputs["events"] if name):
            kind = self.inputs["aggregation"]["type"]
            raise NotOffered(f"aggregation {kind} with removals: a value that was seen in a window stays counted in it")

    @cached_property
    def search(self) -> Search | None:
        """What the vector asks beyond a feature's own filters."""
        if not any(self.inputs.get(name) for name in ("exclude", "clauses", "stored_at")):
            return None
        stored = self.inputs.get("stored_at") or {}
        return Search(
            conditions=conditions(self.inputs.get("clauses") or ()),
            exclude=tuple(texts(unwanted) for unwanted in self.inputs.get("exclude") or ()),
            received_from=self.moments.optional(stored.get("gte")),
            received_before=self.moments.optional(stored.get("lt")),
        )

    def used(self, start: datetime | None = None, end: datetime | None = None) -> Quantity:
        """Ask for the usage of the period, or of a part of it."""
        window = (start or self.start, end or self.end)
        if self.search is not None:
            return usage_of(self.customer.pk, self.feature, *window, self.search)
        return usage(self.customer.pk, self.feature, *window)

    def events_count(self) -> int:
        """Count the events behind the value; what stands for earlier ones is none of the vector's."""
        if self.inputs.get("initial_value") is None:
            return self.used().events
        self.feature.reset = UsageReset.PERIODIC
        return self.used().events


def texts(wanted: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Write filter values as the catalog keeps them."""
    return {name: [one if isinstance(one, str) else as_json(one) for one in values] for name, values in wanted.items()}


def conditions(clauses: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Read a vector's clauses."""
    return tuple(Condition(each["property"], Operator(each["operator"]), each["value"]) for each in clauses)


def truncated(at: datetime, policy: Policy) -> datetime:
    """Cut a period's start to the precision that the vector's clock has."""
    if policy.get("timestamp_precision") != "ms":
        return at
    return datetime.fromisoformat(at.isoformat(timespec="milliseconds"))


def ids_of(pks: Sequence[int]) -> list[str]:
    """Name ledger rows by their event_id, in the order given."""
    events = Event.objects.in_bulk(pks)
    return [events[pk].event_id for pk in pks]
