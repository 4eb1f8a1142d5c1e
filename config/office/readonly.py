"""Lists of rows that no one edits, and long ones that are never counted."""

from typing import Any

from django.contrib.admin import ShowFacets
from django.http import HttpRequest, HttpResponse

from config.office.base import BaseAdmin
from config.office.exports import ExportsList
from config.office.files import MOST_ROWS
from config.office.keyset import Keyset, KeysetChangeList
from config.office.permissions import NeverChanged


class ReadOnlyAdmin(NeverChanged, BaseAdmin):
    """Rows that the system wrote, for viewing only."""

    actions: Any = None
    list_fullwidth = True
    shows_history = False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Hide the history, unless actions of staff on the row are logged: without them it never changes."""
        context = {"show_history": self.shows_history} | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]


class LongListAdmin(ExportsList, ReadOnlyAdmin):
    """A read-only list of any length: pages by key instead of by number, no count, and an export of its rows."""

    keyset = Keyset()
    ordering: tuple[str, ...] = ("-pk",)
    sortable_by: tuple[str, ...] = ()
    list_per_page = 25
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a facet counts the whole table
    list_disable_select_all = True
    export_at_most = MOST_ROWS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList
