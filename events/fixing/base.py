"""What a fix is: its parameters, what it asks to be filled in, the change it makes, and which events wait for it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db.models import Q

from config.refusals import Refused


class FixRefused(Refused):
    """The fix can't be applied as things stand."""


@dataclass(frozen=True, slots=True)
class Field:
    """Something staff fill in before a fix: its kind is "text", "number", "moment" or "choice" (with choices)."""

    name: str
    label: str
    initial: str = ""
    kind: str = "text"
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    is_required: bool = True


class Action(ABC):
    """One fix with its parameters. `permissions` are all needed; `closing` is noted on the problems it closes.

    `name` is what addresses and background work call it.
    """

    name: ClassVar[str] = ""
    permissions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given

    def text(self, name: str) -> str:
        return self.given.get(name, "").strip()

    def row[Row: Any](self, model: type[Row], name: str) -> Row:
        """Find the row that a parameter names. Raises FixRefused when it is gone."""
        value = self.text(name)
        found = model.objects.filter(pk=int(value)).first() if value.isdecimal() else None
        if found is None:
            raise FixRefused(f"There is no such {model._meta.verbose_name} any more.")
        return found  # type: ignore[no-any-return]

    @abstractmethod
    def title(self) -> str:
        """Say what the fix does, as a heading."""

    @abstractmethod
    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        """Make the change. Raises Refused and ValidationError, each with a sentence for staff."""

    def fields(self) -> tuple[Field, ...]:
        return ()

    def waiting(self) -> Q | None:
        """Choose the open problems whose events wait for the fix; None for a fix that replays nothing."""
        return None

    def listed(self) -> dict[str, str]:
        """Name the filters of the list of problems that show what waits for the fix."""
        return {}

    def concerns(self) -> list[tuple[int, int, datetime]]:
        """List (customer, feature, moment) whose usage gets another price, for a fix that replays nothing."""
        return []

    def closing(self) -> str:
        return self.title()


def parse_moment(text: str) -> datetime:
    """Read an ISO moment; without a zone it is UTC. Raises FixRefused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FixRefused("Write the moment as 2026-01-31T12:00, in UTC.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
