"""An object's history as staff read it: who, when, what it was before and after, and why."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DecimalField, Field, Model, Q

from catalog.history import changes_of
from catalog.models import Price, PriceTier
from catalog.wording import describe_tier, number

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
    """Return the changes of an object and its parts, the newest first; of a price also those of its tiers.

    One query, beside the content types'. A tier that is gone is told by what it was.
    """
    prices = {found.pk: found for found in (main, *parts) if isinstance(found, Price)}
    entries = changes_of([main, *parts], also=_tiers_of(prices) if prices else None)
    labels = {(type(found), found.pk): str(found) for found in parts}
    chosen = list(entries[:limit] if limit else entries)
    bounds = _bounds(chosen)
    return [_tier_change(entry, prices, bounds) or _change(entry, labels) for entry in chosen]


def change_of(entry: LogEntry) -> Change:
    """Return one entry of the log in words; of a new or removed row also what it held. No query of its own."""
    return _change(entry, {}, always=True)


def _tiers_of(prices: Iterable[int]) -> Q:
    """Choose what happened to the tiers of prices: each says its price when it is made and when it goes."""
    keys = list(prices)
    content_type = ContentType.objects.get_for_model(PriceTier)
    made = LogEntry.objects.filter(content_type=content_type, changes__price__1__in=keys).values("object_id")
    gone = Q(changes__price__0__in=keys) | Q(changes__price__1__in=keys)
    return Q(content_type=content_type) & (gone | Q(object_id__in=made))


def _bounds(entries: Iterable[LogEntry]) -> dict[int | None, tuple[int, str]]:
    """Tell for each tier which price it belongs to and where it ended at first, by the entry of its making."""
    found = {}
    for entry in entries:
        price, up_to = entry.changes_dict.get("price"), entry.changes_dict.get("up_to")
        if entry.content_type.model_class() is PriceTier and price:
            side = 0 if entry.action == LogEntry.Action.DELETE else 1
            found[entry.object_id] = (int(price[side]), str(up_to[side]) if up_to else "None")
    return found


def _tier_change(entry: LogEntry, prices: dict[int, Price], bounds: dict[int | None, tuple[int, str]]) -> Change | None:
    """Write what happened to a tier: all of it when it was made or went, else what was edited."""
    if entry.content_type.model_class() is not PriceTier:
        return None
    key, up_to = bounds.get(entry.object_id, (0, ""))
    price = prices.get(key)
    of = f" of {price.label}" if price else ""
    base = {"at": entry.timestamp, "who": _who(entry), "reason": (entry.additional_data or {}).get("reason", "")}
    if entry.action == LogEntry.Action.UPDATE:
        named = _tier_name(up_to) if key else entry.object_repr
        edits = list(_edits(PriceTier, entry.changes_dict))
        return Change(what="Changed", about=f"tier “{named}”{of}", edits=edits, **base)
    side = 0 if entry.action == LogEntry.Action.DELETE else 1
    words = _whole_tier(price, {name: values[side] for name, values in entry.changes_dict.items()})
    what = "Removed" if side == 0 else "Added"
    return Change(what=what, about=f"tier{of}: {words}", edits=[], **base)


def _tier_name(up_to: str) -> str:
    return "without end" if up_to == "None" else f"up to {number(Decimal(up_to))}"


def _whole_tier(price: Price | None, values: dict[str, Any]) -> str:
    """Describe a tier by its logged values."""
    given = {name: _decimal(values.get(name)) for name in ("up_to", "unit_amount", "flat_amount", "rate_percent")}
    tier = PriceTier(up_to=given.pop("up_to"), **{name: value or Decimal(0) for name, value in given.items()})
    return describe_tier(price, tier) if price else _tier_name(str(tier.up_to))


def _decimal(value: Any) -> Decimal | None:
    return None if value in (None, "", "None") else Decimal(str(value))


def _change(entry: LogEntry, labels: dict[tuple[type, int], str], *, always: bool = False) -> Change:
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
        edits=list(_edits(model, entry.changes_dict)) if is_update or always else [],
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
        before, after = (_in_words(field, value) for value in values)
        if before != after and not getattr(field, "one_to_many", False):
            yield Edit(str(getattr(field, "verbose_name", name)), before, after)


def _field(model: type[Model] | None, name: str) -> Any:
    try:
        return model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None


def _in_words(field: Any, value: Any) -> str:
    if value in (None, "", "None", "{}", "[]"):
        return "empty"
    if isinstance(field, Field) and (choices := dict(field.flatchoices)):
        value = choices.get(value, value)
    if isinstance(field, DecimalField):
        with suppress(InvalidOperation):
            return number(Decimal(str(value)))
    text = re.sub(r"(\d\d:\d\d:\d\d)\.\d+", r"\1", str(value))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
