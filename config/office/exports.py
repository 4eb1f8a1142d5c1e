"""The CSV and Excel buttons of a list: its rows as filtered, searched and sorted."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from config.office.files import Column, export, file_name

FORMATS = {"csv": "CSV", "xlsx": "Excel"}


class ExportsList:
    """Let staff who can view a list download its rows. Comes before `ModelAdmin`; without columns there is no export.

    `export_at_most` limits the rows of a file; None means all.
    """

    export_columns: Sequence[Column] = ()
    export_at_most: int | None = None
    opts: Any
    has_view_permission: Callable[..., bool]
    get_changelist_instance: Callable[..., Any]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show a page of the list, or with `_export` ("csv" or "xlsx") respond with its rows as a file."""
        file_format = request.GET.get("_export", "")
        if file_format in FORMATS and self.can_export() and self.has_view_permission(request):
            query = request.GET.copy()
            del query["_export"]
            request.GET = query  # type: ignore[assignment]
            return self.export_list(request, self.get_changelist_instance(request).queryset, file_format)  # type: ignore[return-value]  # a stream is a response, too
        context = {
            "can_export": self.can_export(),
            "export_formats": FORMATS.items(),
            "export_at_most": self.export_at_most,
        }
        response: HttpResponse = super().changelist_view(request, context | (extra_context or {}))  # type: ignore[misc]
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            response.context_data["export_query"] = request.GET.urlencode()
        return response

    def can_export(self) -> bool:
        return bool(self.export_columns)

    def export_list(self, request: HttpRequest, rows: QuerySet[Any], file_format: str) -> HttpResponseBase:
        """Respond with the rows of the list as a file."""
        name = file_name(str(self.opts.verbose_name_plural))
        return export(rows, self.export_columns, name=name, file_format=file_format, at_most=self.export_at_most)
