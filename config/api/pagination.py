"""Lists of the API: `{"items": [...], "pagination": {"total", "limit", "offset"}}`, in constant time.

`offset` skips rows one by one, so it is slow far into a list. `next_cursor` marks the end of a page, and the next page
starts there by the index. The total is counted up to 10,000 and estimated above.
"""

import base64
import binascii
import json
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

MOST_COUNTED = 10_000
KEYED = {("-pk",): "pk__lt", ("pk",): "pk__gt"}  # the lookup for the rows after a row, by the list's order


class LimitOffsetPages(LimitOffsetPagination):
    """Paginate by `limit` (default 50, at most 1000) and by `cursor` or `offset`.

    Answers include `next_cursor` while there are more rows, in lists ordered by newest or oldest, and `is_estimate` if
    the total is an estimate.
    """

    default_limit = 50
    max_limit = 1000
    next_cursor: str | None = None
    is_estimate = False

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.limit, self.offset = self.get_limit(request) or self.default_limit, self.get_offset(request)
        self.count, self.is_estimate = total_of(queryset)
        cursor, lookup = self.get_cursor(request), KEYED.get(tuple(queryset.query.order_by))
        if cursor:
            if lookup is None:
                raise ValidationError({"cursor": ["A sorted list has no cursor. Use offset instead."]})
            queryset = queryset.filter(**{lookup: place_of(cursor, queryset)})
        rows = list(queryset[self.offset : self.offset + self.limit + 1])
        if lookup and len(rows) > self.limit:
            self.next_cursor = cursor_of(rows[self.limit - 1])
        return rows[: self.limit]

    def get_cursor(self, request: Request) -> str:
        return str(request.query_params.get("cursor", ""))

    def get_paginated_response(self, data: Any) -> Response:
        pagination: dict[str, Any] = {"total": self.count, "limit": self.limit, "offset": self.offset}
        if self.is_estimate:
            pagination["is_estimate"] = True
        if self.next_cursor is not None:
            pagination["next_cursor"] = self.next_cursor
        return Response({"items": data, "pagination": pagination})


def total_of(rows: QuerySet[Any]) -> tuple[int, bool]:
    """Return the number of rows, and whether it is the planner's estimate, as for more than 10,000 rows."""
    counted = rows.order_by()[: MOST_COUNTED + 1].count()
    if counted <= MOST_COUNTED:
        return counted, False
    sql, parameters = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
    parsed = json.loads(plan) if isinstance(plan, str) else plan
    return max(MOST_COUNTED + 1, int(parsed[0]["Plan"]["Plan Rows"])), True


def cursor_of(row: Any) -> str:
    """Encode a row's position in the list, opaque to clients."""
    return base64.urlsafe_b64encode(f"{row._meta.model_name}:{row.pk}".encode()).decode().rstrip("=")


def place_of(cursor: str, rows: QuerySet[Any]) -> int:
    """Decode a cursor. 400 if it isn't a cursor of this list."""
    try:
        name, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(":")
        if name == rows.model._meta.model_name and place.isdecimal() and int(place) < 2**63:
            return int(place)
    except (ValueError, binascii.Error):
        pass
    raise ValidationError({"cursor": ["Invalid cursor. Send the previous answer's pagination.next_cursor."]})
