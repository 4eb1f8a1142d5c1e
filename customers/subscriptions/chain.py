"""A subscription's phases as adjoining spans of time, and the changes to them. Pure: no database, no clock.

A chain is a list of spans in order, each ending where the next starts; only the last can be open-ended. Every function
returns a new chain.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from customers.kinds import PhaseKind


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A span of time in one kind of phase under one plan version. It excludes its end; `ends_at` None is open-ended."""

    kind: str
    version_id: int
    starts_at: datetime
    ends_at: datetime | None = None

    def contains(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)

    def overlaps(self, other: "PhaseSpan") -> bool:
        """Return whether the spans have time in common. Adjoining spans don't overlap."""
        return self._starts_before_end_of(other) and other._starts_before_end_of(self)

    def _starts_before_end_of(self, other: "PhaseSpan") -> bool:
        return other.ends_at is None or self.starts_at < other.ends_at

    def has_same_content(self, other: "PhaseSpan") -> bool:
        """Return whether both spans have the same kind and plan version."""
        return (self.kind, self.version_id) == (other.kind, other.version_id)


Chain = list[PhaseSpan]


def end_chain(chain: Chain, at: datetime) -> Chain:
    """End the chain at a moment. Later spans are removed."""
    remaining = [span for span in chain if span.starts_at < at]
    return [replace(span, ends_at=at) if span.ends_at is None or span.ends_at > at else span for span in remaining]


def change_spans(
    chain: Chain, change: Callable[[PhaseSpan], PhaseSpan], since: datetime, until: datetime | None = None
) -> Chain:
    """Change every span between two moments, splitting spans that reach further. The chain's ends stay."""
    spans = split_span(split_span(chain, since), until)
    changed = [
        change(span) if span.starts_at >= since and (until is None or span.starts_at < until) else span
        for span in spans
    ]
    return join_spans(changed)


def find_trial_end(chain: Chain, at: datetime) -> datetime | None:
    """Return the end of the trial that runs at a moment, also if the plan changes within it. None without a trial."""
    end: datetime | None = None
    for span in chain:
        is_running = span.contains(at) if end is None else span.starts_at == end
        if is_running and span.kind == PhaseKind.TRIAL:
            end = span.ends_at
        elif end is not None:
            break
    return end


def split_span(chain: Chain, at: datetime | None) -> Chain:
    """Split the span that contains the moment, unless the span starts there or no span contains it."""
    spans: Chain = []
    for span in chain:
        if at is not None and span.starts_at != at and span.contains(at):
            spans += [replace(span, ends_at=at), replace(span, starts_at=at)]
        else:
            spans.append(span)
    return spans


def join_spans(chain: Chain) -> Chain:
    """Join neighbors with the same content."""
    spans: Chain = []
    for span in chain:
        if spans and spans[-1].has_same_content(span):
            spans[-1] = replace(spans[-1], ends_at=span.ends_at)
        else:
            spans.append(span)
    return spans


def find_first_difference(old: Chain, new: Chain) -> datetime | None:
    """Return the earliest moment at which two chains differ, None if they are equal."""
    for before, after in zip(old, new, strict=False):
        if before == after:
            continue
        if before.starts_at != after.starts_at or not before.has_same_content(after):
            return min(before.starts_at, after.starts_at)
        ends = [end for end in (before.ends_at, after.ends_at) if end is not None]
        return min(ends)
    longer = max(old, new, key=len)
    shared_count = min(len(old), len(new))
    return longer[shared_count].starts_at if len(longer) > shared_count else None
