"""Edits of agreed terms as JSON, for requests that wait for approval."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from catalog.agreed.edits import (
    FeatureExclusion,
    FreeTierEdit,
    PriceAddition,
    PriceEdit,
    PriceRemoval,
    QuantityEdit,
    TermsEdit,
)
from catalog.drafting import Tier
from catalog.models import Entitlement, Feature, Price

type Json = dict[str, Any]


def write_edits(edits: Sequence[TermsEdit]) -> list[Json]:
    """Write edits as JSON: rows as their primary keys, numbers as text."""
    return [_write(edit) for edit in edits]


def read_edits(rows: Sequence[Json]) -> list[TermsEdit]:
    """Read what `write_edits` wrote."""
    return [_read(row) for row in rows]


def _write(edit: Any) -> Json:
    row: Json = {"type": type(edit).__name__}
    for name in ("price", "feature"):
        if hasattr(edit, name):
            row[name] = getattr(edit, name).pk
    if hasattr(edit, "quantity"):
        row["quantity"] = f"{edit.quantity:f}"
    if hasattr(edit, "columns"):
        row["columns"] = {name: _plain(value) for name, value in sorted(edit.columns.items())}
    if getattr(edit, "tiers", None) is not None:
        row["tiers"] = [[_plain(getattr(tier, name)) for name in TIER] for tier in edit.tiers]
    return row


TIER = ("up_to", "unit_amount", "flat_amount", "rate_percent")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.pk if isinstance(value, Feature) else value


def _read(row: Json) -> TermsEdit:
    kind = row["type"]
    if kind == FeatureExclusion.__name__:
        return FeatureExclusion(Feature.objects.get(pk=row["feature"]))
    if kind == FreeTierEdit.__name__:
        return FreeTierEdit(Feature.objects.get(pk=row["feature"]), _read_columns(Entitlement, row["columns"]))
    tiers = [Tier(*(None if part is None else Decimal(part) for part in tier)) for tier in row.get("tiers") or ()]  # type: ignore[arg-type]
    if kind == PriceAddition.__name__:
        return PriceAddition(_read_columns(Price, row["columns"]), tiers)
    price = Price.objects.get(pk=row["price"])
    if kind == QuantityEdit.__name__:
        return QuantityEdit(price, Decimal(row["quantity"]))
    if kind == PriceRemoval.__name__:
        return PriceRemoval(price)
    return PriceEdit(price, _read_columns(Price, row["columns"]), tiers if "tiers" in row else None)


def _read_columns(model: type[Price | Entitlement], columns: Mapping[str, Any]) -> Json:
    read: Json = {}
    for name, value in columns.items():
        if name == "feature":
            read[name] = None if value is None else Feature.objects.get(pk=value)
        else:
            read[name] = model._meta.get_field(name).to_python(value)  # type: ignore[union-attr]
    return read
