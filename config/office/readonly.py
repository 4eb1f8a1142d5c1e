"""What the lists of events share: nothing in them is edited, and none is counted through."""

from typing import Any

from django.contrib.admin import ShowFacets
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from config.office.files import export
from config.office.keyset import Keyset, KeysetChangeList
from config.office.permissions import NeverChanged


class SaysWhenEmpty(ModelAdmin):
    """A list without bulk actions that says so when nothing is in it.

    `empty_title` and `empty_text` say what an empty list means, and what to do next; `empty_link` leads there, by a
    button's text and the name of an admin page. The title is the rows' plural unless `list_title` says otherwise.
    """

    actions: Any = None
    change_list_template = "admin/events/list.html"
    list_filter_submit = True
    list_title = ""
    empty_title = "Nothing here yet"
    empty_text = ""
    empty_link: tuple[str, str] | None = None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        name = self.list_title or str(self.opts.verbose_name_plural)
        context = {"title": name[:1].upper() + name[1:], "empty_title": self.empty_title, "empty_text": self.empty_text}
        if self.empty_link:
            text, page = self.empty_link
            context |= {"empty_link_text": text, "empty_link_url": reverse(f"admin:{page}")}
        context |= extra_context or {}
        return super().changelist_view(request, context)  # type: ignore[no-any-return]


class ReadOnlyAdmin(NeverChanged, SaysWhenEmpty):
    """Shows what the system wrote. Nobody adds, edits or deletes here, whatever their permissions."""

    list_fullwidth = True
    shows_history = False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer no history, unless what staff do to a row is logged: else nobody changes it."""
        context = {"show_history": self.shows_history} | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]


class LongListAdmin(ReadOnlyAdmin):
    """A read-only list without an end: keyset pages, no count, and an export of what is shown.

    `export_columns` names what the export writes: a column's heading and how its value is read from a row.
    """

    keyset = Keyset()
    ordering: tuple[str, ...] = ("-pk",)
    sortable_by: tuple[str, ...] = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a facet counts the whole table
    list_disable_select_all = True
    export_columns: tuple[tuple[str, Any], ...] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show a page of the list, or send the rows that it would show as a file when `_export` names a format."""
        file_format = request.GET.get("_export", "")
        if file_format in ("csv", "xlsx") and self.export_columns and self.has_view_permission(request):
            asked = request.GET.copy()
            del asked["_export"]
            request.GET = asked  # type: ignore[assignment]
            found = self.get_changelist_instance(request)
            name = f"{self.opts.verbose_name_plural} {timezone.now():%Y-%m-%d %H.%M}"
            return export(found.queryset, self.export_columns, name=name, file_format=file_format)  # type: ignore[return-value]  # a stream is an answer, too
        response = super().changelist_view(request, {"can_export": bool(self.export_columns)} | (extra_context or {}))
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            response.context_data["export_query"] = request.GET.urlencode()
        return response
