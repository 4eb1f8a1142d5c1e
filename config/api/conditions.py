"""The conditions of a search: `filters` on fields of the list, and `metadata`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Q, QuerySet
from django_filters import FilterSet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from config.api.errors import flat
from config.api.fields import MetadataField, MomentField
from config.api.ordering import sortable
from config.api.unknown_names import refused_fields

MOST_CONDITIONS, MOST_VALUES = 50, 1000
LOOKUPS = {
    "eq": "exact",
    "contains": "icontains",
    "not_contains": "icontains",
    "gt": "gt",
    "gte": "gte",
    "lt": "lt",
    "lte": "lte",
    "in": "in",
    "not_in": "in",
    "before": "lt",
    "after": "gt",
}
NEGATED = {"not_contains", "not_in"}
TEXT, NUMBER, MOMENT, FLAG = "text", "number", "date", "boolean"
OPERATORS = {
    TEXT: ("eq", "contains", "not_contains", "in", "not_in"),
    NUMBER: ("eq", "gt", "gte", "lt", "lte", "in", "not_in"),
    MOMENT: ("eq", "gt", "gte", "lt", "lte", "before", "after"),
    FLAG: ("eq",),
}


class ConditionValue(serializers.Serializer[Any]):
    """The value under the name of its type."""

    string = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    number = serializers.DecimalField(None, None, required=False, allow_null=True)
    boolean = serializers.BooleanField(required=False, allow_null=True)
    date = serializers.CharField(required=False, allow_null=True)
    array = serializers.ListField(
        child=serializers.CharField(allow_blank=True), required=False, allow_null=True, max_length=MOST_VALUES
    )


class Condition(serializers.Serializer[Any]):
    """One condition. All conditions of a search must match."""

    field = serializers.CharField()
    operator = serializers.ChoiceField(sorted(LOOKUPS))
    data_type = serializers.ChoiceField(
        ["string", "number", "boolean", "date", "array"], required=False, allow_null=True
    )
    value = ConditionValue()

    def validate(self, attrs: Any) -> Any:
        values = {name: value for name, value in attrs["value"].items() if value is not None}
        kind = attrs.get("data_type")
        if len(values) != 1 or (kind and kind not in values):
            raise serializers.ValidationError({"value": f"Specify the value under {kind or 'the name of its type'}."})
        return attrs | {"operand": next(iter(values.values()))}


def apply_conditions(rows: QuerySet[Any], filterset: type[FilterSet], body: Mapping[str, Any]) -> QuerySet[Any]:
    """Keep the rows that match a search's conditions and metadata. 400 names a condition that can't be used."""
    for index, condition in enumerate(_read_conditions(body.get("filters") or [])):
        try:
            rows = rows.filter(_query_of(condition, rows.model, filterset))
        except ValidationError as error:
            raise ValidationError(flat(error.detail, f"filters[{index}]")) from error
    if getattr(filterset, "searches_metadata", False) and body.get("metadata"):
        rows = rows.filter(metadata__contains=MetadataField().run_validation(body["metadata"]))
    return rows


def _read_conditions(sent: Any) -> list[dict[str, Any]]:
    reader: Any = serializers.ListSerializer(child=Condition(), data=sent, max_length=MOST_CONDITIONS)
    refused = refused_fields(reader, sent)
    if not reader.is_valid():
        refused |= flat(reader.errors)
    if refused:
        raise ValidationError({f"filters{path}": reasons for path, reasons in refused.items()})
    conditions: list[dict[str, Any]] = reader.validated_data
    return conditions


@dataclass(frozen=True, slots=True)
class Comparable:
    """A column that conditions can compare: its path, the kind of its values, and the API's names for them."""

    path: str
    kind: str
    names: Mapping[str, Any] | None

    def read(self, operand: Any) -> Any:
        """Convert a condition's operand into the column's values. Raises ValidationError if that isn't possible."""
        if self.names is not None:
            return serializers.ChoiceField([(name, name) for name in self.names]).run_validation(operand)
        readers: dict[str, serializers.Field[Any, Any, Any, Any]] = {
            TEXT: serializers.CharField(allow_blank=True, trim_whitespace=False),
            NUMBER: serializers.DecimalField(None, None),
            MOMENT: MomentField(),
            FLAG: serializers.BooleanField(),
        }
        return readers[self.kind].run_validation(operand)


def comparables(model: type[models.Model], filterset: type[FilterSet]) -> dict[str, Comparable]:
    """Return what conditions can compare: the columns that the list is sorted by, and those of its exact filters."""
    columns = {name: Comparable(path, _kind_of(model, path), None) for name, path in sortable(filterset).items()}
    for name, item in filterset.base_filters.items():
        path = str(item.field_name)
        if path and item.method is None and item.lookup_expr in ("exact", "iexact"):
            columns[name] = Comparable(path, _kind_of(model, path), getattr(item, "names", None))
    return columns


def _kind_of(model: type[models.Model], path: str) -> str:
    names = path.split("__")
    related: Any = model
    for name in names[:-1]:
        related = related._meta.get_field(name).related_model
    column = related._meta.get_field(names[-1])
    if isinstance(column, models.DateField):
        return MOMENT
    if isinstance(column, models.BooleanField):
        return FLAG
    return NUMBER if isinstance(column, (models.DecimalField, models.IntegerField)) else TEXT


def _query_of(condition: Mapping[str, Any], model: type[models.Model], filterset: type[FilterSet]) -> Q:
    columns, operator = comparables(model, filterset), condition["operator"]
    column = columns.get(condition["field"])
    if column is None:
        raise ValidationError({"field": [f"Compare one of these fields: {', '.join(sorted(columns))}."]})
    possible = OPERATORS[column.kind] if column.names is None else ("eq", "in", "not_in")
    if operator not in possible:
        raise ValidationError(
            {"operator": [f"Use one of these operators for {condition['field']}: {', '.join(possible)}."]}
        )
    try:
        value = _value_of(column, operator, condition["operand"])
    except ValidationError as error:
        raise ValidationError({"value": error.detail}) from error
    query = Q(**{f"{column.path}__{LOOKUPS[operator]}": value})
    return ~query if operator in NEGATED else query


def _value_of(column: Comparable, operator: str, operand: Any) -> Any:
    if operator in ("in", "not_in"):
        values = operand if isinstance(operand, list) else [operand]
        return [column.names[value] if column.names else value for value in map(column.read, values)]
    value = column.read(operand)
    return column.names[value] if column.names else value
