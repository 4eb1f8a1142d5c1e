"""The history of a row for staff: who changed what, when and why, with the values before and after."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DecimalField, Field, Model, Q

from config.audit import changes_of
from config.numbers import number
from config.personal_data.entries import read_entry

LONGEST_VALUE = 120


@dataclass(frozen=True, slots=True)
class Edit:
    """The old and new value of one field, as text."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history. `about` names a part of the object and is blank for the object itself."""

    at: datetime
    who: str
    what: str
    about: str
    reason: str
    edits: list[Edit]


class ChildHistory(Protocol):
    """Adds the changes of child rows that have no page of their own to the history of their parents."""

    def entries(self, parents: Sequence[Model]) -> Q | None:
        """Select the log entries of the children, or return `None` if none of the objects can have any."""

    def changes(self, parents: Sequence[Model], entries: Sequence[LogEntry]) -> dict[int, Change]:
        """Return the changes of children among the entries, by the entry's primary key."""


_child_histories: list[ChildHistory] = []


def register_child_history(history: ChildHistory) -> None:
    """Include child rows in `history_of`. Call once, from `AppConfig.ready`."""
    _child_histories.append(history)


def history_of(main: Model, *parts: Model, limit: int | None = None) -> list[Change]:
    """Return the changes of an object and its parts, newest first, with those of registered child rows.

    Runs one query, plus one for each content type that isn't cached yet.
    """
    objects = [main, *parts]
    children = Q(pk__in=[])
    for history in _child_histories:
        if (selected := history.entries(objects)) is not None:
            children |= selected
    entries = list(changes_of(objects, also=children)[:limit])
    child_changes: dict[int, Change] = {}
    for history in _child_histories:
        child_changes |= history.changes(objects, entries)
    labels = {(type(part), part.pk): str(part) for part in parts}
    return [child_changes.get(entry.pk) or _change(entry, labels) for entry in entries]


def change_of(entry: LogEntry) -> Change:
    """Return one entry of the change log, with all values of a new or deleted row. Runs no query."""
    return _change(entry, {}, always=True)


def _change(entry: LogEntry, labels: dict[tuple[type, int], str], *, always: bool = False) -> Change:
    read_entry(entry)
    model: type[Model] | None = entry.content_type.model_class()
    is_update = entry.action == LogEntry.Action.UPDATE
    label = labels.get((model, entry.object_id), "") if model else ""
    kind = str(model._meta.verbose_name) if model and label else ""
    return Change(
        at=entry.timestamp,
        who=author_of(entry),
        what=str(entry.get_action_display()).capitalize() + "d",
        about=f"{kind} {label}".strip(),
        reason=(entry.additional_data or {}).get("reason", ""),
        edits=list(edits_of(model, entry.changes_dict)) if is_update or always else [],
    )


def author_of(entry: LogEntry) -> str:
    """Return the name of the person or API key that made a change, or "The system", and who approved it."""
    approver = (entry.additional_data or {}).get("approved_by", "")
    return f"{_author(entry)}, approved by {approver}" if approver else _author(entry)


def _author(entry: LogEntry) -> str:
    if entry.actor is None:
        key = get_key(entry)
        return f"API key {key}" if key else entry.actor_email or "The system"
    return str(entry.actor.get_full_name() or entry.actor.get_username())


def get_key(entry: LogEntry) -> str:
    """Return the name and prefix of the API key that made a change, or an empty string."""
    return str((entry.additional_data or {}).get("api_key", ""))


def edits_of(model: type[Model] | None, changes: dict[str, Any]) -> Iterable[Edit]:
    """Return the edited fields and their values as text, without the author, who has a column of their own."""
    for name, values in changes.items():
        if not isinstance(values, list | tuple) or len(values) != 2:
            continue
        field = _field(model, name)
        if getattr(field, "related_model", None) is User:
            continue
        before, after = (_as_text(field, value) for value in values)
        if before != after and not getattr(field, "one_to_many", False):
            yield Edit(str(getattr(field, "verbose_name", name)), before, after)


def _field(model: type[Model] | None, name: str) -> Any:
    try:
        return model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None


def _as_text(field: Any, value: Any) -> str:
    if value in (None, "", "None", "{}", "[]"):
        return "empty"
    if isinstance(field, Field) and (choices := dict(field.flatchoices)):
        value = choices.get(value, value)
    if isinstance(field, DecimalField):
        with suppress(InvalidOperation):
            return number(Decimal(str(value)))
    text = re.sub(r"(\d\d:\d\d:\d\d)\.\d+", r"\1", str(value))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
