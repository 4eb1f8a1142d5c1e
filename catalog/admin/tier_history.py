"""The history of price tiers, shown on the page of their price or plan version."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q

from catalog.models import Price, PriceTier
from catalog.wording import describe_tier
from config.numbers import number
from config.office.history import Change, author_of, edits_of


class TierHistory:
    """Adds the changes of a price's tiers to the history of the price, a deleted tier by its last values."""

    def entries(self, parents: Sequence[Model]) -> Q | None:
        """Select the log entries of the prices' tiers, which name their price when created and when deleted."""
        price_ids = list(_prices(parents))
        if not price_ids:
            return None
        content_type = ContentType.objects.get_for_model(PriceTier)
        created = LogEntry.objects.filter(content_type=content_type, changes__price__1__in=price_ids)
        named = Q(changes__price__0__in=price_ids) | Q(changes__price__1__in=price_ids)
        return Q(content_type=content_type) & (named | Q(object_id__in=created.values("object_id")))

    def changes(self, parents: Sequence[Model], entries: Sequence[LogEntry]) -> dict[int, Change]:
        """Return the changes of tiers among the entries, by the entry's primary key."""
        prices, bounds = _prices(parents), _bounds(entries)
        changes = ((entry.pk, _tier_change(entry, prices, bounds)) for entry in entries)
        return {key: change for key, change in changes if change is not None}


def _prices(parents: Sequence[Model]) -> dict[int, Price]:
    return {parent.pk: parent for parent in parents if isinstance(parent, Price)}


def _bounds(entries: Iterable[LogEntry]) -> dict[int | None, tuple[int, str]]:
    """Return the price of each tier and its first upper limit, from the entries of its creation or deletion."""
    bounds = {}
    for entry in entries:
        price, up_to = entry.changes_dict.get("price"), entry.changes_dict.get("up_to")
        if entry.content_type.model_class() is PriceTier and price:
            side = 0 if entry.action == LogEntry.Action.DELETE else 1
            bounds[entry.object_id] = (int(price[side]), str(up_to[side]) if up_to else "None")
    return bounds


def _tier_change(entry: LogEntry, prices: dict[int, Price], bounds: dict[int | None, tuple[int, str]]) -> Change | None:
    """Describe a new or deleted tier in full, and the edited fields of a changed tier."""
    if entry.content_type.model_class() is not PriceTier:
        return None
    key, up_to = bounds.get(entry.object_id, (0, ""))
    price = prices.get(key)
    of = f" of {price.label}" if price else ""
    base = {"at": entry.timestamp, "who": author_of(entry), "reason": (entry.additional_data or {}).get("reason", "")}
    if entry.action == LogEntry.Action.UPDATE:
        name = _tier_name(up_to) if key else entry.object_repr
        edits = list(edits_of(PriceTier, entry.changes_dict))
        return Change(what="Changed", about=f"tier “{name}”{of}", edits=edits, **base)
    side = 0 if entry.action == LogEntry.Action.DELETE else 1
    words = _describe_logged_tier(price, {name: values[side] for name, values in entry.changes_dict.items()})
    what = "Removed" if side == 0 else "Added"
    return Change(what=what, about=f"tier{of}: {words}", edits=[], **base)


def _tier_name(up_to: str) -> str:
    return "unlimited" if up_to == "None" else f"up to {number(Decimal(up_to))}"


def _describe_logged_tier(price: Price | None, values: dict[str, Any]) -> str:
    """Describe a tier by its logged values."""
    amounts = {name: _decimal(values.get(name)) for name in ("up_to", "unit_amount", "flat_amount", "rate_percent")}
    tier = PriceTier(up_to=amounts.pop("up_to"), **{name: value or Decimal(0) for name, value in amounts.items()})
    return describe_tier(price, tier) if price else _tier_name(str(tier.up_to))


def _decimal(value: Any) -> Decimal | None:
    return None if value in (None, "", "None") else Decimal(str(value))
