"""Render JSON: exact numbers never become floats."""

from decimal import Decimal
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder


class ExactJSONEncoder(JSONEncoder):
    """Encode Decimals as strings of plain digits; DRF's encoder makes them floats."""

    def default(self, obj: Any) -> Any:
        if isinstance(obj, Decimal):
            return format(obj, "f")
        return super().default(obj)


class ExactJSONRenderer(JSONRenderer):
    """Render JSON with amounts and quantities as strings."""

    encoder_class = ExactJSONEncoder
