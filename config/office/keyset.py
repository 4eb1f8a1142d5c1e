"""Pages of lists that are too long to count: a page begins after a row, so every page costs the same."""

from datetime import datetime
from typing import Any

from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from unfold.views import ChangeList

OLDER_THAN, NEWER_THAN = "older_than", "newer_than"
SEPARATOR = "~"


class BadCursor(ValueError):
    """The page's address names no row to begin at."""


class Keyset:
    """A list's order, newest first: by a column of moments and the primary key, or by the primary key alone."""

    def __init__(self, column: str = "") -> None:
        self.column = column

    def cursor_of(self, row: Model) -> str:
        """Write where a row stands, for the address of the next page."""
        if not self.column:
            return str(row.pk)
        return f"{self.write(getattr(row, self.column))}{SEPARATOR}{row.pk}"

    def write(self, value: Any) -> str:
        """Write a value of the column."""
        return str(value.isoformat())

    def read(self, text: str) -> Any:
        """Read what was written. Raises ValueError."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise BadCursor(text)
        return moment

    def older(self, rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """Keep what comes after the cursor's row, newest first; all rows when there is no cursor."""
        return self._ordered(rows.filter(self._beyond(cursor, "lt")) if cursor else rows, newest_first=True)

    def newer(self, rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """Keep what comes before the cursor's row, oldest first: the nearest rows lead."""
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
        # The first condition bounds the index scan, the second settles rows of the same value.
        return Q(**{f"{self.column}__{lookup}e": value}) & (
            Q(**{f"{self.column}__{lookup}": value}) | Q(**{f"pk__{lookup}": pk})
        )

    def _ordered(self, rows: QuerySet[Any], *, newest_first: bool) -> QuerySet[Any]:
        columns = [F(self.column), F("pk")] if self.column else [F("pk")]
        return rows.order_by(*[column.desc() if newest_first else column.asc() for column in columns])


class NumberedKeyset(Keyset):
    """A keyset whose column is a number, such as another table's key."""

    def write(self, value: Any) -> str:
        return str(value)

    def read(self, text: str) -> int:
        return _key(text)


class KeysetChangeList(ChangeList):
    """An admin list without page numbers and without a count: only "newer" and "older".

    The model admin names the order in `keyset`. A cursor that names no row shows the first page.
    """

    keyset: Keyset
    older_url = newer_url = first_url = ""
    result_list: Any

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.older_than = request.GET.get(OLDER_THAN, "")
        self.newer_than = request.GET.get(NEWER_THAN, "")
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> Any:
        kept = super().get_filters_params(params)
        for name in (OLDER_THAN, NEWER_THAN):
            kept.pop(name, None)
        return kept

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and one row more, which tells whether there is another page."""
        self.keyset = self.model_admin.keyset
        try:
            rows, is_more_older, is_more_newer = self._page()
        except BadCursor:
            self.older_than = self.newer_than = ""
            rows, is_more_older, is_more_newer = self._page()
        self.result_list = rows
        self.result_count = len(rows)
        self.full_result_count = self.result_count  # so that no page claims a total
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
        without = [OLDER_THAN, NEWER_THAN]
        self.first_url = self.get_query_string(remove=without)
        if rows and is_more_older:
            self.older_url = self.get_query_string({OLDER_THAN: self.keyset.cursor_of(rows[-1])}, [NEWER_THAN])
        if rows and is_more_newer:
            self.newer_url = self.get_query_string({NEWER_THAN: self.keyset.cursor_of(rows[0])}, [OLDER_THAN])


class BoundedScanChangeList(KeysetChangeList):
    """A keyset list that looks through a bounded stretch of rows where its filters have no index to go by.

    A page then shows what passes of so many rows by primary key, and leads on from there. `stretch_of` decides by the
    request; `lowest` and `highest` bound the keys that the other filters leave.
    """

    looked_through = 0
    looked_since: datetime | None = None

    def stretch_of(self, request: HttpRequest) -> int | None:
        """Return how many rows a page looks through; None where an index finds them."""
        return None

    def keys(self) -> tuple[int, int]:
        """Return the lowest and the highest key that may be in the list."""
        raise NotImplementedError

    def get_results(self, request: HttpRequest) -> None:
        self.stretch = self.stretch_of(request)
        super().get_results(request)

    def _page(self) -> tuple[list[Model], bool, bool]:
        if self.stretch is None:
            return super()._page()
        self.lowest, self.highest = self.keys()
        return self._stretch_of_newer() if self.newer_than else self._stretch_of_older()

    def _stretch_of_older(self) -> tuple[list[Model], bool, bool]:
        start = min(_key(self.older_than), self.highest + 1) if self.older_than else self.highest + 1
        self.floor = max(start - (self.stretch or 0), self.lowest)
        within = self.queryset.filter(pk__gte=self.floor)
        rows = list(self.keyset.older(within, str(start))[: self.list_per_page + 1])
        self.looked_through = 0 if len(rows) > self.list_per_page else start - self.floor
        return rows[: self.list_per_page], len(rows) > self.list_per_page, bool(self.older_than)

    def _stretch_of_newer(self) -> tuple[list[Model], bool, bool]:
        start, size = _key(self.newer_than), self.list_per_page
        self.floor = start + 1
        self.ceiling = min(start + (self.stretch or 0), self.highest)
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
            self.looked_through = 0  # to the end: nothing is left to look at
        if self.older_than and not rows:
            self.newer_url = self.get_query_string({NEWER_THAN: str(_key(self.older_than) - 1)}, [OLDER_THAN])


def _key(cursor: str) -> int:
    """Read a cursor that is a primary key alone."""
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise BadCursor(cursor)
    return int(cursor)
