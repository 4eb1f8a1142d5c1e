"""Enums of stored values with a label for people, for code that doesn't import Django."""

from enum import EnumType, StrEnum
from typing import Any, Self


class _LabeledType(EnumType):
    @property
    def choices(cls) -> list[tuple[str, str]]:
        """The members' values and labels, as a model field takes them."""
        members: list[Any] = list(cls)
        return [(member.value, member.label) for member in members]

    @property
    def values(cls) -> list[str]:
        return [value for value, _ in cls.choices]


class LabeledEnum(StrEnum, metaclass=_LabeledType):
    """A `StrEnum` whose members have labels. It offers what the rest of the code uses of Django's `TextChoices`.

    >>> class Size(LabeledEnum):
    ...     SMALL = "s", "Small"
    >>> Size("s").label, Size.choices
    ('Small', [('s', 'Small')])
    """

    _value_: str
    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member
