"""An object's history as staff read it: who, when, what it was before and after, and why."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model

from catalog.history import changes_of

LONGEST_VALUE = 120


@dataclass(frozen=True, slots=True)
class Edit:
    """One field's old and new value, in words."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history. `about` names a part of the object, empty for the object itself."""

    at: datetime
    who: str
    what: str
    about: str
    reason: str
    edits: list[Edit]


def history_of(main: Model, *parts: Model, limit: int | None = None) -> list[Change]:
    """Return the changes of an object and its parts, the newest first. One query, beside the content types'."""
    entries = changes_of([main, *parts])
    labels = {(type(found), found.pk): str(found) for found in parts}
    return [_change(entry, labels) for entry in (entries[:limit] if limit else entries)]


def _change(entry: LogEntry, labels: dict[tuple[type, int], str]) -> Change:
    model: type[Model] | None = entry.content_type.model_class()
    is_update = entry.action == LogEntry.Action.UPDATE
    label = labels.get((model, entry.object_id), "") if model else ""
    kind = str(model._meta.verbose_name) if model and label else ""
    return Change(
        at=entry.timestamp,
        who=_who(entry),
        what=str(entry.get_action_display()).capitalize() + "d",
        about=f"{kind} {label}".strip(),
        reason=(entry.additional_data or {}).get("reason", ""),
        edits=list(_edits(model, entry.changes_dict)) if is_update else [],
    )


def _who(entry: LogEntry) -> str:
    if entry.actor is None:
        return entry.actor_email or "The system"
    return str(entry.actor.get_full_name() or entry.actor.get_username())


def _edits(model: type[Model] | None, changes: dict[str, Any]) -> Iterable[Edit]:
    for name, values in changes.items():
        if not isinstance(values, list | tuple) or len(values) != 2:
            continue
        field = _field(model, name)
        if getattr(field, "related_model", None) is User:
            continue  # who did it is said beside
        title = str(getattr(field, "verbose_name", name))
        yield Edit(title, _in_words(field, values[0]), _in_words(field, values[1]))


def _field(model: type[Model] | None, name: str) -> Any:
    try:
        return model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None


def _in_words(field: Any, value: Any) -> str:
    if value in (None, "", "None"):
        return "empty"
    if isinstance(field, Field) and (choices := dict(field.flatchoices)):
        value = choices.get(value, value)
    text = re.sub(r"(\d\d:\d\d:\d\d)\.\d+", r"\1", str(value))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
