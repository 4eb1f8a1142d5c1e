"""What Home shows of one queue of work."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Tone(StrEnum):
    """How a queue is colored, from no color to the most urgent."""

    PLAIN = ""
    GOOD = "good"
    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True)
class Queue:
    """Work waiting for staff: its size, a note, and a link to the list to work through.

    Without a warning or danger, and unless it is running, the note says that all is in order.
    """

    name: str
    count: str
    note: str
    url: str
    tone: Tone = Tone.PLAIN
    money: list[tuple[Decimal, str]] = field(default_factory=list)
    is_running: bool = False

    @property
    def needs_attention(self) -> bool:
        return self.is_running or self.tone in (Tone.WARNING, Tone.DANGER)
