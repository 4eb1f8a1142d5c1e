"""Lists of the API: `{"items": [...], "pagination": {"total", "limit", "offset"}}`, in constant time.

`offset` passes rows over one by one, so far into a list it gets slow. `next_cursor` names where a page ended instead,
and the next one begins there at once. The total is counted up to 10,000 and estimated beyond.
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
KEYED = {("-pk",): "pk__lt", ("pk",): "pk__gt"}  # what follows a row, in lists that are newest or oldest first


class LimitOffsetPages(LimitOffsetPagination):
    """Cut a list by `limit` (50 unless asked, 1000 at most), and by `cursor` or `offset`.

    `offset` in the answer is the one that was asked for. `next_cursor` is there while more follows, in lists that are
    newest or oldest first; `is_estimate` where the total is one.
    """

    default_limit = 50
    max_limit = 1000
    next_cursor: str | None = None
    is_estimate = False

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.limit, self.offset = self.get_limit(request) or self.default_limit, self.get_offset(request)
        self.count, self.is_estimate = total_of(queryset)
        cursor, following = self.get_cursor(request), KEYED.get(tuple(queryset.query.order_by))
        if cursor:
            if following is None:
                raise ValidationError({"cursor": ["A list that is sorted is paged by its offset."]})
            queryset = queryset.filter(**{following: place_of(cursor, queryset)})
        rows = list(queryset[self.offset : self.offset + self.limit + 1])
        if following and len(rows) > self.limit:
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
    """Count rows up to 10,000. Of more, give the planner's estimate, and that it is one."""
    counted = rows.order_by()[: MOST_COUNTED + 1].count()
    if counted <= MOST_COUNTED:
        return counted, False
    sql, parameters = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
    read = json.loads(plan) if isinstance(plan, str) else plan
    return max(MOST_COUNTED + 1, int(read[0]["Plan"]["Plan Rows"])), True


def cursor_of(row: Any) -> str:
    """Write where a row stands in such a list, so that clients needn't know how."""
    return base64.urlsafe_b64encode(f"{row._meta.model_name}:{row.pk}".encode()).decode().rstrip("=")


def place_of(cursor: str, rows: QuerySet[Any]) -> int:
    """Read the place that a cursor names. 400 unless it is one of such a list."""
    try:
        name, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(":")
        if name == rows.model._meta.model_name and place.isdecimal() and int(place) < 2**63:
            return int(place)
    except (ValueError, binascii.Error):
        pass
    raise ValidationError({"cursor": ["This isn't a cursor of this list: pass pagination.next_cursor on."]})
