"""Filters and pages, shared by lists (GET) and searches (POST)."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django_filters import Filter, FilterSet, IsoDateTimeFilter
from django_filters.fields import IsoDateTimeField
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from config.api.conditions import apply_conditions
from config.api.ordering import apply_order
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
    """Several values, of the `choices` if there are any. 400 names a value that isn't one of them."""

    widget = ManyWidget

    def __init__(self, *args: Any, choices: Collection[str] | None = None, **kwargs: Any) -> None:
        self.choices = choices
        super().__init__(*args, **kwargs)

    def clean(self, value: Any) -> list[str]:
        if len(value) > MOST_VALUES:
            raise forms.ValidationError(f"Enter at most {MOST_VALUES} values.")
        if not all(map(is_text, value)):
            raise forms.ValidationError("Contains characters that aren't allowed.")
        if self.choices is not None and (unknown := [item for item in value if item not in self.choices]):
            raise forms.ValidationError(f"{unknown[0]} isn't one of these values: {', '.join(self.choices)}.")
        return [str(item) for item in value]


class ManyFilter(Filter):
    """Keep rows with one of the values: `names` maps the API's names to our values.

    `unmatched` are the names of the public contract that no row of ours can have. Other names are refused.
    """

    field_class = ManyField

    def __init__(
        self, *args: Any, names: Mapping[str, Any] | None = None, unmatched: Collection[str] = (), **kwargs: Any
    ) -> None:
        self.names = names
        if names is not None:
            kwargs["choices"] = [*names, *unmatched]
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


class ConstantFilter(ManyFilter):
    """Keep all rows if the value that every row has is among the values, else none."""

    def __init__(self, value: str, *, others: Collection[str]) -> None:
        self.value = value
        super().__init__(field_name="", names={value: value}, unmatched=others)  # there is no column

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        return qs if not value or self.value in value else qs.none()


def any_of(conditions: Mapping[str, Q], names: Collection[str]) -> Q:
    """Return the condition that one of the named conditions is true; no row matches other names."""
    return reduce(or_, (conditions[name] for name in names if name in conditions), Q(pk__in=[]))


STATUSES = {"published": "published", "archived": "archived"}


class StatusFilterSet(FilterSet):
    """The filter by status that all lists have. Without it, archived objects are left out."""

    published: ClassVar[Q] = Q()
    archived: ClassVar[Q] = Q(pk__in=[])

    status = ManyFilter(
        method="with_status",
        names=STATUSES,
        unmatched=["deleted"],
        help_text="published or archived. Defaults to published.",
    )

    def with_status(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        return rows.filter(any_of({"published": self.published, "archived": self.archived}, value))

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data["status"] else rows.filter(self.published)


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
    parameters = QueryDict(mutable=True)
    for name, value in _body_of(request).items():
        if isinstance(value, list):
            parameters.setlist(name, [_text(item) for item in value if not isinstance(item, (dict, list))])
        elif value is not None and not isinstance(value, dict):
            parameters[name] = _text(value)
    return parameters


def _body_of(request: Request) -> dict[str, Any]:
    body = request.data or {}
    if not isinstance(body, dict):
        raise ValidationError({"body": ["Send a JSON object."]})
    return body


def _text(value: Any) -> str:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return f"{value:.0f}"  # in JSON, 12.0 is the integer 12
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
    read_expansions(request, filterset)
    rows = filters.qs
    if request.method != "GET":
        rows = apply_conditions(rows, filterset, _body_of(request))
    return apply_order(rows, filterset, parameters, _body_of(request) if request.method != "GET" else {})


def read_expansions(request: Request, filterset: type[FilterSet]) -> list[str]:
    """Return the names in `expand`. 400 for a name that the list can't expand."""
    possible = getattr(filterset, "expandable", ())
    names = [name.strip() for name in str(list_parameters(request).get("expand") or "").split(",") if name.strip()]
    if unknown := [name for name in names if name not in possible]:
        possible_names = f"Possible: {', '.join(possible)}." if possible else "Leave it out: items are complete."
        raise ValidationError({"expand": [f"Can't expand {unknown[0]}. {possible_names}"]})
    return names


def page(
    request: Request,
    rows: QuerySet[Any],
    filterset: type[FilterSet],
    serializer: type[BaseSerializer[Any]],
    *,
    context: Mapping[str, Any] | None = None,
    prepare: Callable[[list[Any]], Any] | None = None,
) -> Response:
    """Answer with a page of the filtered rows, serialized. `prepare` adds to the page's rows what serializing needs."""
    pages = Pages()
    items = pages.paginate_queryset(apply_filters(request, rows, filterset), request)
    if prepare is not None:
        items = prepare(list(items or ()))
    return pages.get_paginated_response(serializer(items, many=True, context=dict(context or {})).data)
