"""Refuse names that an operation doesn't use, so that no field or parameter of a request is ever ignored.

The operation's description (`config.api.openapi.operation`) lists what it reads; `ApiView` checks the query parameters
and the bodies of searches and actions against it, and `read_body` checks the fields of all other bodies, nested ones
too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rest_framework import serializers

from config.near_miss import nearest

NO_VALUES: tuple[Any, ...] = (None, "", [], {})
MOST_NAMED = 20  # of a body with thousands of unknown names
type Reasons = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Unused:
    """A name that clients send and the operation doesn't use.

    Its `values` are accepted, because they ask for what happens anyway; so are null and empty values. Any other value
    is refused for the reason. Serializers and filter sets list theirs in a class attribute,
    `unused = {"name": Unused(...)}`.
    """

    reason: str = "This field isn't supported."
    values: tuple[Any, ...] = ()

    def refuses(self, value: Any) -> bool:
        return value not in NO_VALUES and value not in self.values


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a query or a search's body can contain. `unused` are those that change nothing."""

    known: frozenset[str] = frozenset()
    unused: Mapping[str, Unused] = field(default_factory=dict)

    def reason_against(self, name: str, value: Any) -> str | None:
        """Return why the name can't be sent with this value; None if it can.

        >>> Names(frozenset({"external_id"})).reason_against("externalId", "acme")
        'Unknown name. Did you mean external_id?'
        """
        if name in self.known:
            return None
        if name in self.unused:
            return self.unused[name].reason if self.unused[name].refuses(value) else None
        near = nearest(name, self.known)
        return f"Unknown name. Did you mean {near.name}?" if near else "Unknown name. Remove it, or see /v1/docs."


def refused_names(names: Names, sent: Iterable[tuple[str, Any]]) -> Reasons:
    """Return the reasons against what was sent, by name."""
    refused = ((name, reason) for name, value in sent if (reason := names.reason_against(name, value)))
    return {name: [reason] for name, reason in islice(refused, MOST_NAMED)}


def refused_fields(reader: Any, data: Any) -> Reasons:
    """Return the reasons against the fields that a serializer doesn't read, by path, such as `tiers[0].upTo`.

    Maps that the client defines, such as metadata, can have any names.
    """
    return dict(islice(_walk(reader, data, ""), MOST_NAMED))


def _walk(reader: Any, data: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(data, list) and isinstance(reader, (serializers.ListSerializer, serializers.ListField)):
        for index, item in enumerate(data):
            yield from _walk(reader.child, item, f"{path}[{index}]")
    elif isinstance(data, Mapping) and isinstance(reader, serializers.Serializer):
        names = names_of(reader)
        for name, value in data.items():
            place = f"{path}.{name}" if path else name
            if reason := names.reason_against(name, value):
                yield place, [reason]
            elif name in names.known:
                yield from _walk(reader.fields[name], value, place)


def names_of(reader: serializers.Serializer[Any]) -> Names:
    """Return the fields that a serializer reads."""
    known = frozenset(name for name, item in reader.fields.items() if not item.read_only)
    return Names(known, getattr(reader, "unused", {}))
