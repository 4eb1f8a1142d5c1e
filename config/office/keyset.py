"""Keyset pagination for lists that are too long to count: every page costs the same."""

from datetime import datetime
from typing import Any

from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

OLDER_THAN, NEWER_THAN = "older_than", "newer_than"
SEPARATOR = "~"


class BadCursor(ValueError):
    """The page's address has no valid position to start at."""


class Keyset:
    """The order of a list, newest first: by a time column and the primary key, or by the primary key alone."""

    def __init__(self, column: str = "") -> None:
        self.column = column

    def cursor_of(self, row: Model) -> str:
        """Return the position of a row, for the address of the next page."""
        if not self.column:
            return str(row.pk)
        return f"{self.write(getattr(row, self.column))}{SEPARATOR}{row.pk}"

    def write(self, value: Any) -> str:
        """Return a value of the column as text."""
        return str(value.isoformat())

    def read(self, text: str) -> Any:
        """Parse the text that `write` returned. Raises ValueError."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise BadCursor(text)
        return moment

    def older(self, rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """Return the rows after the cursor's row, newest first; all rows if there is no cursor."""
        return self._ordered(rows.filter(self._beyond(cursor, "lt")) if cursor else rows, newest_first=True)

    def newer(self, rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """Return the rows before the cursor's row, oldest first, so that the nearest come first."""
        return self._ordered(rows.filter(self._beyond(cursor, "gt")), newest_first=False)

    def _beyond(self, cursor: str, lookup: str) -> Q:
        text, _, pk_text = cursor.rpartition(SEPARATOR)
        try:
            pk = int(pk_text)
            value = self.read(text) if self.column else None
        except ValueError as error:
            raise BadCursor(cursor) from error
        if pk.bit_length() > 63:
            raise BadCursor(cursor)
        if value is None:
            return Q(**{f"pk__{lookup}": pk})
        # The first condition limits the index scan, the second compares rows with the same value.
        return Q(**{f"{self.column}__{lookup}e": value}) & (
            Q(**{f"{self.column}__{lookup}": value}) | Q(**{f"pk__{lookup}": pk})
        )

    def _ordered(self, rows: QuerySet[Any], *, newest_first: bool) -> QuerySet[Any]:
        columns = [F(self.column), F("pk")] if self.column else [F("pk")]
        return rows.order_by(*[column.desc() if newest_first else column.asc() for column in columns])


class NumberedKeyset(Keyset):
    """A keyset whose column is a number, such as the key of another table."""

    def write(self, value: Any) -> str:
        return str(value)

    def read(self, text: str) -> int:
        return _key(text)


class KeysetChangeList(ChangeList):
    """An admin list with "newer" and "older" instead of page numbers, and without a count.

    The model admin sets the order in `keyset`. An invalid cursor shows the first page.
    """

    keyset: Keyset
    older_url = newer_url = first_url = ""
    result_list: Any

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.older_than = request.GET.get(OLDER_THAN, "")
        self.newer_than = request.GET.get(NEWER_THAN, "")
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> Any:
        filters = super().get_filters_params(params)
        for name in (OLDER_THAN, NEWER_THAN):
            filters.pop(name, None)
        return filters

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and one more row, which shows whether there is another page."""
        self.keyset = self.model_admin.keyset
        try:
            rows, is_more_older, is_more_newer = self._page()
        except BadCursor:
            self.older_than = self.newer_than = ""
            rows, is_more_older, is_more_newer = self._page()
        self.result_list = rows
        self.result_count = len(rows)
        self.full_result_count = self.result_count  # so that no page shows a total
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, rows, self.list_per_page)
        self._link(rows, is_more_older, is_more_newer)

    def _page(self) -> tuple[list[Model], bool, bool]:
        size = self.list_per_page
        if self.newer_than:
            nearest = list(self.keyset.newer(self.queryset, self.newer_than)[: size + 1])
            return nearest[size - 1 :: -1] if len(nearest) > size else nearest[::-1], True, len(nearest) > size
        rows = list(self.keyset.older(self.queryset, self.older_than)[: size + 1])
        return rows[:size], len(rows) > size, bool(self.older_than)

    def _link(self, rows: list[Model], is_more_older: bool, is_more_newer: bool) -> None:
        self.first_url = self.get_query_string(remove=[OLDER_THAN, NEWER_THAN])
        if rows and is_more_older:
            self.older_url = self.get_query_string({OLDER_THAN: self.keyset.cursor_of(rows[-1])}, [NEWER_THAN])
        if rows and is_more_newer:
            self.newer_url = self.get_query_string({NEWER_THAN: self.keyset.cursor_of(rows[0])}, [OLDER_THAN])


class BoundedScanChangeList(KeysetChangeList):
    """A keyset list that scans a limited range of rows if no index supports its filters.

    A page then shows the matches among that many rows by primary key, and links to the rows before or after them.
    `scan_limit_of` decides by the request; `lowest` and `highest` limit the keys that the other filters allow.
    """

    looked_through = 0
    looked_since: datetime | None = None

    def scan_limit_of(self, request: HttpRequest) -> int | None:
        """Return how many rows a page scans; None if an index finds them."""
        return None

    def keys(self) -> tuple[int, int]:
        """Return the lowest and the highest key that can be in the list."""
        raise NotImplementedError

    def get_results(self, request: HttpRequest) -> None:
        self.scan_limit = self.scan_limit_of(request)
        super().get_results(request)

    def _page(self) -> tuple[list[Model], bool, bool]:
        if self.scan_limit is None:
            return super()._page()
        self.lowest, self.highest = self.keys()
        return self._scan_newer() if self.newer_than else self._scan_older()

    def _scan_older(self) -> tuple[list[Model], bool, bool]:
        start = min(_key(self.older_than), self.highest + 1) if self.older_than else self.highest + 1
        self.floor = max(start - (self.scan_limit or 0), self.lowest)
        within = self.queryset.filter(pk__gte=self.floor)
        rows = list(self.keyset.older(within, str(start))[: self.list_per_page + 1])
        self.looked_through = 0 if len(rows) > self.list_per_page else start - self.floor
        return rows[: self.list_per_page], len(rows) > self.list_per_page, bool(self.older_than)

    def _scan_newer(self) -> tuple[list[Model], bool, bool]:
        start, size = _key(self.newer_than), self.list_per_page
        self.floor = start + 1
        self.ceiling = min(start + (self.scan_limit or 0), self.highest)
        nearest = list(self.keyset.newer(self.queryset.filter(pk__lte=self.ceiling), str(start))[: size + 1])
        if len(nearest) > size:
            return nearest[size - 1 :: -1], True, True
        self.looked_through = max(self.ceiling - start, 0)
        return nearest[::-1], True, False

    def _link(self, rows: list[Model], is_more_older: bool, is_more_newer: bool) -> None:
        super()._link(rows, is_more_older, is_more_newer)
        if not self.looked_through:
            return
        if self.newer_than:
            self.older_url = self.get_query_string({OLDER_THAN: str(self.floor)}, [NEWER_THAN])
            if self.ceiling < self.highest:
                self.newer_url = self.get_query_string({NEWER_THAN: str(self.ceiling)}, [OLDER_THAN])
            return
        if self.floor > self.lowest:
            self.older_url = self.get_query_string({OLDER_THAN: str(self.floor)}, [NEWER_THAN])
        else:
            self.looked_through = 0  # the scan reached the last row
        if self.older_than and not rows:
            self.newer_url = self.get_query_string({NEWER_THAN: str(_key(self.older_than) - 1)}, [OLDER_THAN])


def _key(cursor: str) -> int:
    """Parse a cursor that is a primary key alone."""
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise BadCursor(cursor)
    return int(cursor)
