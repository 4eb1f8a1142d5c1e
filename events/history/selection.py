"""Which sealed events are to be read."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Sealed events that meet all conditions; None is no condition.

    They occurred in [start, end), and arrived after the position `after` and before the position `before`.
    """

    customers: Collection[int] | None = None
    names: Collection[str] | None = None
    start: datetime | None = None
    end: datetime | None = None
    ids: Collection[int] | None = None
    event_ids: Collection[str] | None = None
    part: int | None = None
    after: int | None = None
    before: int | None = None
