"""How the OpenAPI schema describes exact numbers in requests: the texts that are accepted, and no others."""

from decimal import Decimal
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers


class ExactNumbers(OpenApiSerializerFieldExtension):
    """Describe numbers sent as text with their digits and sign. A positive lower limit only excludes zero."""

    target_class = serializers.DecimalField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Leave numbers of any size, and those that aren't sent as text, to the library."""
        field: Any = self.target
        if field.max_whole_digits is None or not getattr(field, "coerce_to_string", True):
            content: dict[str, Any] = auto_schema._map_serializer_field(field, direction, bypass_extensions=True)
            if isinstance(content.get("type"), list):
                content["type"] = content["type"][0]  # the library adds null to the result
            return content
        return {"type": "string", "format": "decimal", "pattern": number_pattern(field)}


def number_pattern(field: serializers.DecimalField) -> str:
    """Return the pattern of a number with at most this field's digits.

    >>> number_pattern(serializers.DecimalField(max_digits=5, decimal_places=2, min_value=0))
    '^(?:[0-9]{1,3}(?:\\\\.[0-9]{0,2})?|\\\\.[0-9]{1,2})$'
    """
    whole, decimals = field.max_whole_digits or 1, field.decimal_places
    lowest, most = field.min_value, field.max_value
    sign = "" if lowest is not None and lowest >= 0 else "-?"
    some_digit = "(?=.*[1-9])" if lowest is not None and lowest > 0 else ""
    largest = ""
    if most is not None and (digits := Decimal(most).adjusted()) < whole:  # a power of ten
        whole, largest = digits, f"10{{{digits}}}(?:\\.0{{0,{decimals}}})?|"
    numbers = f"{largest}[0-9]{{1,{whole}}}(?:\\.[0-9]{{0,{decimals}}})?|\\.[0-9]{{1,{decimals}}}"
    return f"^{some_digit}{sign}(?:{numbers})$"
