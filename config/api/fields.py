"""Serializer fields of the API: exact numbers as strings, the API's names for our values, computed fields."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, ClassVar

from django.core.validators import MaxLengthValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config.inputs import CALENDAR_RULE, LARGEST, NUMBER_RULE, is_in_calendar, is_number
from config.limits import LONGEST_METADATA, LONGEST_METADATA_KEY, MOST_METADATA


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


class NumberIn(serializers.DecimalField):
    """A number in ASCII digits, as a string or a JSON number, by default at most 10^15 either side of 0."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": NUMBER_RULE}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", LARGEST)
        kwargs.setdefault("min_value", -LARGEST)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, str) and not is_number(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class DayIn(serializers.DateField):
    """A day in a request, between the years 1970 and 2200."""

    def to_internal_value(self, value: Any) -> date:
        return _in_calendar(super().to_internal_value(value))


class QuantityField(serializers.CharField):
    """An exact number as a string of plain digits, described as any text."""

    def to_representation(self, value: Any) -> str:
        return plain(value)


class MetadataField(serializers.DictField):
    """The client's own key-value pairs: at most 50, with keys of 100 and values of 500 characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "validators", [MaxLengthValidator(MOST_METADATA, f"Metadata has at most {MOST_METADATA} keys.")]
        )
        child = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=LONGEST_METADATA)
        super().__init__(child=child, **kwargs)

    def run_child_validation(self, data: Any) -> Any:
        name = serializers.CharField(allow_blank=True, max_length=LONGEST_METADATA_KEY)
        for key in islice(data, MOST_METADATA + 1):  # with more keys, the whole is refused
            name.run_validation(str(key))
        return super().run_child_validation(data)

    def to_representation(self, value: Mapping[str, Any]) -> dict[str, str]:
        return {str(key): item if isinstance(item, str) else str(item) for key, item in value.items()}


class MomentField(serializers.DateTimeField):
    """A date and time between the years 1970 and 2200, which billing calendars cover."""

    def to_internal_value(self, value: Any) -> datetime:
        return _in_calendar(super().to_internal_value(value))


def _in_calendar[Day: date](day: Day) -> Day:
    if not is_in_calendar(day):
        raise serializers.ValidationError(CALENDAR_RULE)
    return day


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
