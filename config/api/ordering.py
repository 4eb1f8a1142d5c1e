"""The order of lists: `sort` and `order` in a query, and a search's list of `sort` conditions."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django_filters import FilterSet
from rest_framework.exceptions import ValidationError

ASCENDING, DESCENDING = ORDERS = ("asc", "desc")


def sortable(filterset: type[FilterSet]) -> dict[str, str]:
    """Return the columns that a list can be sorted by, by the API's names."""
    columns: dict[str, str] = getattr(filterset, "sortable", {})
    return columns


def apply_order(
    rows: QuerySet[Any], filterset: type[FilterSet], parameters: Mapping[str, str], body: Mapping[str, Any]
) -> QuerySet[Any]:
    """Sort the rows as the request specifies, the newest of equal rows first. 400 for an unknown field or direction.

    `sort` is a field whose direction is `order`, or in a search a list of `{"field", "direction"}`. Without `sort`,
    `order` is the direction of the list's own order.
    """
    direction = _direction(parameters.get("order"), "order")
    sort = body.get("sort") if isinstance(body.get("sort"), list) else parameters.get("sort")
    if isinstance(sort, list):
        return _by(rows, [_column(key, filterset) for key in sort])
    if sort:
        return _by(rows, [_column({"field": sort, "direction": direction}, filterset)])
    return _in_direction(rows, direction) if direction else rows


def _by(rows: QuerySet[Any], columns: Sequence[str]) -> QuerySet[Any]:
    return rows.order_by(*columns, "-pk") if columns else rows


def _column(key: Any, filterset: type[FilterSet]) -> str:
    columns = sortable(filterset)
    if not isinstance(key, dict) or set(key) - {"field", "direction"}:
        raise ValidationError({"sort": ['Use the form {"field": "created_at", "direction": "desc"}.']})
    name = str(key.get("field"))
    if name not in columns:
        fields = ", ".join(sorted(columns))
        raise ValidationError(
            {"sort": [f"Sort by one of these fields: {fields}." if fields else "This list can't be sorted."]}
        )
    return ("" if _direction(key.get("direction"), "sort") == ASCENDING else "-") + columns[name]


def _direction(value: Any, name: str) -> str | None:
    if value in (None, ""):
        return None
    if value not in ORDERS:
        raise ValidationError({name: ["The direction must be asc or desc."]})
    return str(value)


def _in_direction(rows: QuerySet[Any], direction: str) -> QuerySet[Any]:
    columns = [str(column) for column in rows.query.order_by]
    if not columns or columns[0].startswith("-") == (direction == DESCENDING):
        return rows
    return rows.order_by(*(column[1:] if column.startswith("-") else f"-{column}" for column in columns))
