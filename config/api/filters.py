"""Filters that the GET lists and the searches share: one set of them for both."""

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


class ManyWidget(forms.Widget):
    """Read `?ids=a,b&ids=c` as three values."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return [part for value in data.getlist(name) for part in value.split(",") if part]


class ManyField(forms.Field):
    widget = ManyWidget

    def clean(self, value: Any) -> list[str]:
        if len(value) > MOST_VALUES:
            raise forms.ValidationError(f"Give at most {MOST_VALUES} values.")
        if not all(map(is_text, value)):
            raise forms.ValidationError("These characters are not allowed.")
        return [str(one) for one in value]


class ManyFilter(Filter):
    """Keep rows whose value is one of those given: `names` maps what clients call them to what we do."""

    field_class = ManyField

    def __init__(self, *args: Any, names: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        self.names = names
        super().__init__(*args, **kwargs)

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        if not value:
            return qs
        wanted = [self.names[one] for one in value if one in self.names] if self.names is not None else value
        if self.method:
            found: QuerySet[Any] = super().filter(qs, value)
            return found
        return (
            qs.filter(**{f"{self.field_name}__in": wanted}).distinct()
            if self.distinct
            else qs.filter(**{f"{self.field_name}__in": wanted})
        )


class MomentField(IsoDateTimeField):
    """A moment with a zone, brought to UTC: the database doesn't know every zone that a client can write."""

    def to_python(self, value: Any) -> Any:
        moment = super().to_python(value)
        if not isinstance(moment, datetime):
            return moment
        try:
            return moment.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError("That moment is out of range.") from error


class MomentFilter(IsoDateTimeFilter):
    field_class = MomentField


class Pages(LimitOffsetPages):
    """Take `limit`, `offset` and `cursor` from the query, or for a search from the body."""

    def get_limit(self, request: Request) -> int:
        return self._of(request, "limit", self.default_limit, self.max_limit, 1)

    def get_offset(self, request: Request) -> int:
        return self._of(request, "offset", 0, FARTHEST, 0)

    def get_cursor(self, request: Request) -> str:
        return str(list_parameters(request).get("cursor") or "")

    def _of(self, request: Request, name: str, default: int, most: int, least: int) -> int:
        given = list_parameters(request).get(name)
        if given in (None, ""):
            return default
        if not str(given).isascii() or not str(given).isdecimal() or len(str(given)) > 12 or int(given) < least:
            raise ValidationError({name: [f"Give a whole number from {least} to {most}."]})
        return min(int(given), most)


def list_parameters(request: Request) -> QueryDict:
    """Return what a list is asked by: the query parameters, or a search's body in the same form."""
    if request.method == "GET":
        return request.query_params
    given = request.data or {}
    if not isinstance(given, dict):
        raise ValidationError({"body": ["Send an object."]})
    if given.get("filters"):
        raise ValidationError({"filters": ["Conditions aren't known here: use the fields of their own names."]})
    asked = QueryDict(mutable=True)
    for name, value in given.items():
        if isinstance(value, list):
            asked.setlist(name, [_text(one) for one in value if not isinstance(one, (dict, list))])
        elif value is not None and not isinstance(value, dict):
            asked[name] = _text(value)
    return asked


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def apply_filters(request: Request, rows: QuerySet[Any], filterset: type[FilterSet]) -> QuerySet[Any]:
    """Keep the rows that a list is asked for, in the order that it is asked for. 400 names a filter that is wrong."""
    given = list_parameters(request)
    if wrong := [name for name, values in given.lists() if not all(map(is_text, values))]:
        raise ValidationError({name: ["These characters are not allowed."] for name in wrong if is_text(name)})
    asked = filterset(data=given, queryset=rows)
    if not asked.is_valid():
        raise ValidationError({name: [str(one) for one in errors] for name, errors in asked.errors.items()})
    return _sorted(request, asked.qs, getattr(filterset, "sortable", {}))


def _sorted(request: Request, rows: QuerySet[Any], sortable: Mapping[str, str]) -> QuerySet[Any]:
    given = request.data.get("sort") if request.method == "POST" and isinstance(request.data, dict) else None
    if not isinstance(given, list):
        return rows
    columns = []
    for one in given:
        name = str(one.get("field")) if isinstance(one, dict) else ""
        if name not in sortable:
            raise ValidationError({"sort": [f"Sort by one of {', '.join(sorted(sortable)) or 'nothing'}."]})
        columns.append(("" if one.get("direction") == "asc" else "-") + sortable[name])
    return rows.order_by(*columns, "-pk") if columns else rows


def page(
    request: Request,
    rows: QuerySet[Any],
    filterset: type[FilterSet],
    serializer: type[BaseSerializer[Any]],
    *,
    context: Mapping[str, Any] | None = None,
) -> Response:
    """Answer a list: filtered, cut to a page, and written."""
    pages = Pages()
    cut = pages.paginate_queryset(apply_filters(request, rows, filterset), request)
    return pages.get_paginated_response(serializer(cut, many=True, context=dict(context or {})).data)
