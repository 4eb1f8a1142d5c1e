"""Serializer fields of the API: exact numbers as strings, the API's names for our values, computed fields."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


def plain(number: Decimal) -> str:
    """Write a number in digits, without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def name_of[Value](names: Mapping[str, Value], value: object) -> str | None:
    """Return the API's name for one of our values; None if the API has no name for it."""
    return next((name for name, ours in names.items() if ours == value), None)


@extend_schema_field({"type": "string", "format": "decimal", "example": "12.5"})
class ExactField(serializers.Field[Decimal, Any, str, Any]):
    """An exact number as a string of plain digits. Only in answers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Decimal) -> str:
        return plain(value)


class QuantityField(serializers.CharField):
    """An exact number as a string of plain digits, described as any text."""

    def to_representation(self, value: Any) -> str:
        return plain(value)


class MetadataField(serializers.DictField):
    """The client's own key-value pairs. Keys and values are strings."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.CharField(allow_blank=True, trim_whitespace=False), **kwargs)

    def run_child_validation(self, data: Any) -> Any:
        name = serializers.CharField(allow_blank=True)
        for key in data:
            name.run_validation(str(key))
        return super().run_child_validation(data)

    def to_representation(self, value: Mapping[str, Any]) -> dict[str, str]:
        return {str(key): item if isinstance(item, str) else str(item) for key, item in value.items()}


class MomentField(serializers.DateTimeField):
    """A date and time between the years 1970 and 2200, which billing calendars cover."""

    def to_internal_value(self, value: Any) -> datetime:
        moment = super().to_internal_value(value)
        if not 1970 <= moment.year <= 2200:
            raise serializers.ValidationError("Enter a date between 1970 and 2200.")
        return moment


class TextField(serializers.CharField):
    """An optional text of limited length; null means blank."""

    def __init__(self, max_length: int = 255, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("allow_blank", True)
        super().__init__(max_length=max_length, **kwargs)


class BlankAsNullField(serializers.CharField):
    """A text that answers show as null while it is blank."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or None


class NamedChoiceField(serializers.ChoiceField):
    """One of our values, under the API's name for it: `names` maps the API's names to our values."""

    def __init__(self, names: Mapping[str, Any], **kwargs: Any) -> None:
        self.names = names
        super().__init__(list(names), **kwargs)

    def to_representation(self, value: Any) -> Any:
        return name_of(self.names, value)


class ConstantField(serializers.ChoiceField):
    """A choice with the same value in every answer."""

    def __init__(self, value: str, **kwargs: Any) -> None:
        self.value = value
        super().__init__([value], **kwargs)

    def get_attribute(self, instance: Any) -> str:
        return self.value


class ConstantText(serializers.CharField):
    """A text with the same value in every answer."""

    def __init__(self, value: str, **kwargs: Any) -> None:
        self.value = value
        super().__init__(**kwargs)

    def get_attribute(self, instance: Any) -> str:
        return self.value


class FromMethod(serializers.Field[Any, Any, Any, Any]):
    """Take the value from the serializer's `get_<field name>(instance)`, as SerializerMethodField does.

    Unlike SerializerMethodField, the field declares its type.
    """

    def get_attribute(self, instance: Any) -> Any:
        return getattr(self.parent, f"get_{self.field_name}")(instance)


class ComputedText(FromMethod, serializers.CharField):
    pass


class ComputedChoice(FromMethod, serializers.ChoiceField):
    pass


class ComputedBoolean(FromMethod, serializers.BooleanField):
    pass


class ComputedInteger(FromMethod, serializers.IntegerField):
    pass


class ComputedTime(FromMethod, serializers.DateTimeField):
    pass


class ComputedList(FromMethod, serializers.ListField):
    pass


class ComputedMetadata(FromMethod, MetadataField):
    pass
