"""Filters and pages, shared by lists (GET) and searches (POST)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django_filters import Filter, FilterSet, IsoDateTimeFilter
from django_filters.fields import IsoDateTimeField
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from config.api.pagination import LimitOffsetPages
from config.db.text import is_text

FARTHEST = 2**31 - 1
MOST_VALUES = 1000


def comma_separated(query: QueryDict, name: str) -> list[str]:
    """Read `?ids=a,b&ids=c` as three values."""
    return [part for value in query.getlist(name) for part in value.split(",") if part]


class ManyWidget(forms.Widget):
    """Read several values of a parameter, repeated or separated by commas."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return comma_separated(data, name)


class ManyField(forms.Field):
    widget = ManyWidget

    def clean(self, value: Any) -> list[str]:
        if len(value) > MOST_VALUES:
            raise forms.ValidationError(f"Enter at most {MOST_VALUES} values.")
        if not all(map(is_text, value)):
            raise forms.ValidationError("Contains characters that aren't allowed.")
        return [str(item) for item in value]


class ManyFilter(Filter):
    """Keep rows with one of the values: `names` maps the API's names to our values."""

    field_class = ManyField

    def __init__(self, *args: Any, names: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        self.names = names
        super().__init__(*args, **kwargs)

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if not value:
            return qs
        if self.method:
            rows: QuerySet[Any] = super().filter(qs, value)
            return rows
        values = value if self.names is None else [self.names[name] for name in value if name in self.names]
        rows = qs.filter(**{f"{self.field_name}__in": values})
        return rows.distinct() if self.distinct else rows


class MomentField(IsoDateTimeField):
    """A date and time with an offset, converted to UTC: the database rejects some offsets that clients can write."""

    def to_python(self, value: Any) -> Any:
        moment = super().to_python(value)
        if not isinstance(moment, datetime):
            return moment
        try:
            return moment.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError("This date and time is out of range.") from error


class MomentFilter(IsoDateTimeFilter):
    field_class = MomentField


class Pages(LimitOffsetPages):
    """Read `limit`, `offset` and `cursor` from the query, or for a search from the body."""

    def get_limit(self, request: Request) -> int:
        return self._integer(request, "limit", self.default_limit, self.max_limit, 1)

    def get_offset(self, request: Request) -> int:
        return self._integer(request, "offset", 0, FARTHEST, 0)

    def get_cursor(self, request: Request) -> str:
        return str(list_parameters(request).get("cursor") or "")

    def _integer(self, request: Request, name: str, default: int, most: int, least: int) -> int:
        text = str(list_parameters(request).get(name) or "")
        if not text:
            return default
        if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) < least:
            raise ValidationError({name: [f"Enter an integer from {least} to {most}."]})
        return min(int(text), most)


def list_parameters(request: Request) -> QueryDict:
    """Return the parameters of a list: the query parameters, or a search's body in the same form."""
    if request.method == "GET":
        return request.query_params
    body = request.data or {}
    if not isinstance(body, dict):
        raise ValidationError({"body": ["Send a JSON object."]})
    if body.get("filters"):
        raise ValidationError({"filters": ["Generic filters aren't supported. Use the filter fields instead."]})
    parameters = QueryDict(mutable=True)
    for name, value in body.items():
        if isinstance(value, list):
            parameters.setlist(name, [_text(item) for item in value if not isinstance(item, (dict, list))])
        elif value is not None and not isinstance(value, dict):
            parameters[name] = _text(value)
    return parameters


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def apply_filters(request: Request, rows: QuerySet[Any], filterset: type[FilterSet]) -> QuerySet[Any]:
    """Filter and sort the rows as the request specifies. 400 names the invalid filters."""
    parameters = list_parameters(request)
    if unreadable := [name for name, values in parameters.lists() if not all(map(is_text, values))]:
        raise ValidationError(
            {name: ["Contains characters that aren't allowed."] for name in unreadable if is_text(name)}
        )
    filters = filterset(data=parameters, queryset=rows)
    if not filters.is_valid():
        raise ValidationError({name: [str(error) for error in errors] for name, errors in filters.errors.items()})
    return _sorted(request, filters.qs, getattr(filterset, "sortable", {}))


def _sorted(request: Request, rows: QuerySet[Any], sortable: Mapping[str, str]) -> QuerySet[Any]:
    sort = request.data.get("sort") if request.method == "POST" and isinstance(request.data, dict) else None
    if not isinstance(sort, list):
        return rows
    columns = []
    for key in sort:
        name = str(key.get("field")) if isinstance(key, dict) else ""
        if name not in sortable:
            fields = ", ".join(sorted(sortable))
            reason = f"Sort by one of these fields: {fields}." if fields else "This list can't be sorted."
            raise ValidationError({"sort": [reason]})
        columns.append(("" if key.get("direction") == "asc" else "-") + sortable[name])
    return rows.order_by(*columns, "-pk") if columns else rows


def page(
    request: Request,
    rows: QuerySet[Any],
    filterset: type[FilterSet],
    serializer: type[BaseSerializer[Any]],
    *,
    context: Mapping[str, Any] | None = None,
) -> Response:
    """Answer with a page of the filtered rows, serialized."""
    pages = Pages()
    items = pages.paginate_queryset(apply_filters(request, rows, filterset), request)
    return pages.get_paginated_response(serializer(items, many=True, context=dict(context or {})).data)
