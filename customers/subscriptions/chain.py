"""A subscription's life as adjoining stretches, and the changes to it. Pure: no database, no clock.

A chain is a list of stretches in order, each ending where the next begins; only the last may be open. Every function
returns a new chain.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A span under one plan version. It holds its start and not its end; `ends_at` None is open."""

    kind: str
    version_id: int
    starts_at: datetime
    ends_at: datetime | None = None

    def contains(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)

    def overlaps(self, other: "PhaseSpan") -> bool:
        """Tell whether some moment lies in both. Stretches that only touch don't overlap."""
        return self._begins_before_end_of(other) and other._begins_before_end_of(self)

    def _begins_before_end_of(self, other: "PhaseSpan") -> bool:
        return other.ends_at is None or self.starts_at < other.ends_at

    def is_like(self, other: "PhaseSpan") -> bool:
        """Tell whether both say the same about their time."""
        return (self.kind, self.version_id) == (other.kind, other.version_id)


Chain = list[PhaseSpan]


def cut(chain: Chain, at: datetime) -> Chain:
    """End the chain at a moment. What begins then or later goes."""
    kept = [stretch for stretch in chain if stretch.starts_at < at]
    return [
        replace(stretch, ends_at=at) if stretch.ends_at is None or stretch.ends_at > at else stretch for stretch in kept
    ]


def overlay(
    chain: Chain, change: Callable[[PhaseSpan], PhaseSpan], since: datetime, until: datetime | None = None
) -> Chain:
    """Change every stretch between two moments, splitting those that reach beyond. The chain's ends stay."""
    parts = split(split(chain, since), until)
    changed = [
        change(part) if part.starts_at >= since and (until is None or part.starts_at < until) else part
        for part in parts
    ]
    return joined(changed)


def split(chain: Chain, at: datetime | None) -> Chain:
    """Divide the stretch that holds the moment, if one does and doesn't begin there."""
    parts: Chain = []
    for stretch in chain:
        if at is not None and stretch.starts_at != at and stretch.contains(at):
            parts += [replace(stretch, ends_at=at), replace(stretch, starts_at=at)]
        else:
            parts.append(stretch)
    return parts


def joined(chain: Chain) -> Chain:
    """Make one of neighbours that say the same."""
    result: Chain = []
    for stretch in chain:
        if result and result[-1].is_like(stretch):
            result[-1] = replace(result[-1], ends_at=stretch.ends_at)
        else:
            result.append(stretch)
    return result


def first_difference(old: Chain, new: Chain) -> datetime | None:
    """Return the first moment about which two chains disagree, None when they never do."""
    for before, after in zip(old, new, strict=False):
        if before == after:
            continue
        if before.starts_at != after.starts_at or not before.is_like(after):
            return min(before.starts_at, after.starts_at)
        ends = [end for end in (before.ends_at, after.ends_at) if end is not None]
        return min(ends)
    longer = max(old, new, key=len)
    shared = min(len(old), len(new))
    return longer[shared].starts_at if len(longer) > shared else None
