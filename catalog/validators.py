from typing import Any

from django.core.exceptions import ValidationError


def validate_filters(filters: Any) -> None:
    """Validate filters: an object that maps each property to the list of values that count."""
    if not isinstance(filters, dict):
        raise ValidationError('Enter the filters as an object, for example {"model": ["gpt-4", "gpt-4o"]}.')
    for key, values in filters.items():
        if not key.strip():
            raise ValidationError("A filter needs a property name.")
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise ValidationError(
                'Enter the values of %(key)s as a list of strings. "1" also matches the number 1.', params={"key": key}
            )
