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
    """A list's order, newest first: by one column and the primary key, or by the primary key alone."""

    def __init__(self, moment: str = "") -> None:
        self.moment = moment

    def cursor_of(self, row: Model) -> str:
        """Write where a row stands, for the address of the next page."""
        if not self.moment:
            return str(row.pk)
        return f"{getattr(row, self.moment).isoformat()}{SEPARATOR}{row.pk}"

    def older(self, rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """Keep what comes after the cursor's row, newest first; all rows when there is no cursor."""
        return self._ordered(rows.filter(self._beyond(cursor, "lt")) if cursor else rows, newest_first=True)

    def newer(self, rows: QuerySet[Any], cursor: str) -> QuerySet[Any]:
        """Keep what comes before the cursor's row, oldest first: the nearest rows lead."""
        return self._ordered(rows.filter(self._beyond(cursor, "gt")), newest_first=False)

    def _beyond(self, cursor: str, lookup: str) -> Q:
        moment_text, _, pk_text = cursor.rpartition(SEPARATOR)
        try:
            pk = int(pk_text)
            moment = datetime.fromisoformat(moment_text) if self.moment else None
        except ValueError as error:
            raise BadCursor(cursor) from error
        if pk.bit_length() > 63:
            raise BadCursor(cursor)
        if moment is None:
            return Q(**{f"pk__{lookup}": pk})
        if moment.tzinfo is None:
            raise BadCursor(cursor)
        # The first condition bounds the index scan, the second settles rows of the same moment.
        return Q(**{f"{self.moment}__{lookup}e": moment}) & (
            Q(**{f"{self.moment}__{lookup}": moment}) | Q(**{f"pk__{lookup}": pk})
        )

    def _ordered(self, rows: QuerySet[Any], *, newest_first: bool) -> QuerySet[Any]:
        columns = [F(self.moment), F("pk")] if self.moment else [F("pk")]
        return rows.order_by(*[column.desc() if newest_first else column.asc() for column in columns])


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
