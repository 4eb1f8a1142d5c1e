"""What may be entered as a number or a day, in forms and requests: the rules, and the fields of forms."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

LARGEST = Decimal(10) ** 15  # of amounts, prices and quantities that people and clients enter
NUMBER_RULE = "Enter a number in the digits 0 to 9, for example 1250.5."
FIRST_YEAR, LAST_YEAR = 1970, 2200  # billing calendars cover these years
CALENDAR_RULE = f"Enter a date between {FIRST_YEAR} and {LAST_YEAR}."

_written = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII).fullmatch


def is_number(text: str) -> bool:
    """Return whether a text is a number in ASCII digits. Python's own parser also accepts 1_0 and digits like ١٠.

    >>> is_number("12.50"), is_number("1_0"), is_number("١٠"), is_number("NaN")
    (True, False, False, False)
    """
    return _written(text.strip()) is not None


def is_in_calendar(day: date) -> bool:
    """Return whether a day or moment is in the years that billing calendars cover."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def check_calendar(day: date) -> None:
    """Raise `ValidationError` unless the day or moment is in the years that billing calendars cover."""
    if not is_in_calendar(day):
        raise ValidationError(CALENDAR_RULE)


class NumberField(forms.DecimalField):
    """A number in ASCII digits, by default at most 10^15 either side of 0."""

    default_error_messages = {"invalid": NUMBER_RULE}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", LARGEST)
        kwargs.setdefault("min_value", -LARGEST)
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and not is_number(value):
            raise ValidationError(NUMBER_RULE, code="invalid")
        return super().to_python(value)


class DayField(forms.DateField):
    """A day in the years that billing calendars cover."""

    default_validators = [check_calendar]
