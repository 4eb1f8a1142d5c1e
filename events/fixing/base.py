"""The base of every fix: its parameters and form fields, the change it makes, and the events that wait for it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.db.models import Q

from config.refusals import Refused


class FixRefused(Refused):
    """The fix can't be applied in the current state."""


class FieldKind(StrEnum):
    """The input of a fix's form field."""

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Field:
    """A form field that staff fill in before a fix is applied. A choice has `choices`; a moment is in `zone`."""

    name: str
    label: str
    initial: str = ""
    kind: FieldKind = FieldKind.TEXT
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    is_required: bool = True
    zone: str = "UTC"

    def written(self, value: str) -> str:
        """Write a value as the input shows it: browsers drop a moment that has seconds or an offset."""
        if self.kind != FieldKind.MOMENT or not value:
            return value
        try:
            moment = parse_moment(value, self.zone)
        except FixRefused:
            return value
        return f"{moment.astimezone(ZoneInfo(self.zone)):%Y-%m-%dT%H:%M}"


class Action(ABC):
    """A fix with its parameters. All `permissions` are needed; `closing` is saved on the problems that it closes.

    `name` identifies the fix in URLs and background runs.
    """

    name: ClassVar[str] = ""
    permissions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters = parameters

    def text(self, name: str) -> str:
        return self.parameters.get(name, "").strip()

    def row[Row: Any](self, model: type[Row], name: str) -> Row:
        """Load the row that a parameter names. Raises FixRefused if it doesn't exist."""
        value = self.text(name)
        row = model.objects.filter(pk=int(value)).first() if value.isdecimal() else None
        if row is None:
            raise FixRefused(f"This {model._meta.verbose_name} no longer exists.")
        return row  # type: ignore[no-any-return]

    @abstractmethod
    def title(self) -> str:
        """Describe what the fix does, as a heading."""

    @abstractmethod
    def apply(self, *, now: datetime, by: User | None, reason: str) -> None:
        """Make the change. Raises Refused and ValidationError, each with a sentence for staff."""

    def fields(self) -> tuple[Field, ...]:
        return ()

    def waiting(self) -> Q | None:
        """Return the condition for problems whose events wait for the fix; `None` for a fix that replays nothing."""
        return None

    def listed(self) -> dict[str, str]:
        """Return the filters of the problem list that show what waits for the fix."""
        return {}

    def concerns(self) -> list[tuple[int, int, datetime]]:
        """List the (customer, feature, moment) whose usage is priced differently, for a fix that replays nothing."""
        return []

    def notes(self, *, now: datetime) -> tuple[str, ...]:
        """Say in sentences what else the fix starts, such as a recurring fee. For the preview."""
        return ()

    def closing(self) -> str:
        return self.title()


def parse_moment(text: str, zone: str = "UTC") -> datetime:
    """Parse an ISO 8601 moment, in `zone` unless it has a time zone of its own. Returns UTC. Raises FixRefused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FixRefused(f"Enter the time as 2026-01-31T12:00, in {zone}.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
