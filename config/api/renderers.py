"""How the API writes JSON: an exact number never becomes a float on its way out."""

from decimal import Decimal
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder


class ExactJSONEncoder(JSONEncoder):
    """Write a Decimal as a string in plain digits, wherever it turns up; the framework's own makes it a float."""

    def default(self, obj: Any) -> Any:
        if isinstance(obj, Decimal):
            return format(obj, "f")
        return super().default(obj)


class ExactJSONRenderer(JSONRenderer):
    """Render JSON in which amounts and quantities are strings."""

    encoder_class = ExactJSONEncoder
