"""Parse JSON bodies: numbers exactly as written, within the size limit."""

import codecs
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from config.api.errors import PayloadTooLarge


class ExactJSONParser(JSONParser):
    """Parse JSON without floats: fractions become Decimals. Raises PayloadTooLarge above the size limit.

    NaN, Infinity and too deeply nested JSON are malformed.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise PayloadTooLarge
        try:
            text = codecs.decode(body, (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET))
            return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, LookupError) as error:
            raise ParseError(f"JSON parse error: {error}") from error
        except RecursionError as error:
            raise ParseError("JSON parse error: nested too deeply") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
