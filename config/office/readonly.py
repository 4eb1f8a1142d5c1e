"""Lists of rows that no one edits, and long ones that are never counted."""

from typing import Any

from django.contrib.admin import ShowFacets
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from config.office.base import BaseAdmin
from config.office.files import Column, export
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


class LongListAdmin(ReadOnlyAdmin):
    """A read-only list of any length: pages by key instead of by number, no count, and an export of its rows."""

    keyset = Keyset()
    ordering: tuple[str, ...] = ("-pk",)
    sortable_by: tuple[str, ...] = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a facet counts the whole table
    list_disable_select_all = True
    export_columns: tuple[Column, ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show a page of the list, or with `_export` ("csv" or "xlsx") respond with its rows as a file."""
        file_format = request.GET.get("_export", "")
        if file_format in ("csv", "xlsx") and self.export_columns and self.has_view_permission(request):
            query = request.GET.copy()
            del query["_export"]
            request.GET = query  # type: ignore[assignment]
            rows = self.get_changelist_instance(request).queryset
            name = f"{self.opts.verbose_name_plural} {timezone.now():%Y-%m-%d %H.%M}"
            return export(rows, self.export_columns, name=name, file_format=file_format)  # type: ignore[return-value]  # a stream is a response, too
        response = super().changelist_view(request, {"can_export": bool(self.export_columns)} | (extra_context or {}))
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            response.context_data["export_query"] = request.GET.urlencode()
        return response
