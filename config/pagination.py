"""Lists of the API: `{"items": [...], "pagination": {"total", "limit", "offset"}}`."""

from typing import Any

from rest_framework.pagination import LimitOffsetPagination
from rest_framework.response import Response


class LimitOffsetPages(LimitOffsetPagination):
    """Cut a list by `limit` (50 unless asked, 1000 at most) and `offset`, both query parameters.

    `offset` in the answer is the one that was asked for.
    """

    default_limit = 50
    max_limit = 1000

    def get_paginated_response(self, data: Any) -> Response:
        pagination = {"total": self.count, "limit": self.limit, "offset": self.offset}
        return Response({"items": data, "pagination": pagination})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        integer = {"type": "integer"}
        return {
            "type": "object",
            "required": ["items", "pagination"],
            "properties": {
                "items": schema,
                "pagination": {
                    "type": "object",
                    "required": ["total", "limit", "offset"],
                    "properties": {"total": integer, "limit": integer, "offset": integer},
                },
            },
        }
