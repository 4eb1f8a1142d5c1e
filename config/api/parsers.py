"""Parse bodies, which are all JSON: numbers exactly as written, within the size limit."""

import codecs
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request

from config.api.errors import PayloadTooLarge
from config.limits import MOST_BODY, most_body


class ExactJSONParser(JSONParser):
    """Parse JSON without floats: fractions become Decimals. Raises PayloadTooLarge above the size limit.

    NaN, Infinity and too deeply nested JSON are malformed.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        context = parser_context or {}
        limit = most_body(context["request"].path) if "request" in context else MOST_BODY
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise PayloadTooLarge
        try:
            text = codecs.decode(body, context.get("encoding", settings.DEFAULT_CHARSET))
            return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, LookupError) as error:
            raise ParseError(f"JSON parse error: {error}") from error
        except RecursionError as error:
            raise ParseError("JSON parse error: nested too deeply") from error


class JsonNegotiation(DefaultContentNegotiation):
    """Parse every body as JSON, whatever its content type: `curl -d` says that it is a form."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
