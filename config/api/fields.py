"""Serializer fields of the API: exact numbers as strings, metadata of strings, ids of related objects."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


def plain(number: Decimal) -> str:
    """Write a number in digits, without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@extend_schema_field({"type": "string", "format": "decimal", "example": "12.5"})
class ExactField(serializers.Field[Decimal, Any, str, Any]):
    """An exact number as a string of plain digits. Written only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: Decimal) -> str:
        return plain(value)


class MetadataField(serializers.DictField):
    """An object of the client's own: strings by string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.CharField(allow_blank=True, trim_whitespace=False), **kwargs)

    def run_child_validation(self, data: Any) -> Any:
        name = serializers.CharField(allow_blank=True)
        for key in data:
            name.run_validation(str(key))
        return super().run_child_validation(data)

    def to_representation(self, value: Mapping[str, Any]) -> dict[str, str]:
        return {str(name): one if isinstance(one, str) else str(one) for name, one in value.items()}


class MomentField(serializers.DateTimeField):
    """A moment in the years that calendars are worked out for: 1970 to 2200."""

    def to_internal_value(self, value: Any) -> datetime:
        moment = super().to_internal_value(value)
        if not 1970 <= moment.year <= 2200:
            raise serializers.ValidationError("Give a moment from 1970 to 2200.")
        return moment


class TextField(serializers.CharField):
    """A text of at most so many characters; null is the same as empty."""

    def __init__(self, max_length: int = 255, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("allow_blank", True)
        super().__init__(max_length=max_length, **kwargs)
