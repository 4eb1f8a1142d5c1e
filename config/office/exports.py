"""Lists as files: the rows that the page's filters and search leave, in its order."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from import_export import resources
from import_export.admin import ExportMixin
from import_export.fields import Field
from import_export.formats.base_formats import CSV, XLSX
from tablib import Dataset  # type: ignore[import-untyped]
from unfold.contrib.import_export.forms import ExportForm

Column = tuple[str, str | Callable[[Any], Any]]

# A spreadsheet runs a cell that begins so as a formula, whoever wrote it.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class ListedRows(resources.Resource):
    """Rows of a list with chosen columns: numbers as numbers, ids as text, times in UTC."""

    def __init__(self, columns: Sequence[Column] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    @classmethod
    def get_display_name(cls) -> str:
        return "The list as shown"

    def get_user_visible_fields(self) -> list[Field]:
        return [Field(column_name=title) for title, _ in self.columns]

    def export(self, queryset: QuerySet[Any] | None = None, **kwargs: Any) -> Dataset:
        """Write one row for each object of the queryset, in its order."""
        data = Dataset(headers=[title for title, _ in self.columns])
        for row in self.iter_queryset(queryset):
            data.append([_cell(_value(row, source)) for _, source in self.columns])
        return data


class ExportsList(ExportMixin):
    """Let staff who may see a list take it with them, as CSV or XLSX."""

    export_columns: Sequence[Column] = ()
    export_form_class = ExportForm
    resource_classes = (ListedRows,)
    import_export_change_list_template = "admin/catalog/list_export.html"

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def get_export_formats(self) -> list[type]:
        return [CSV, XLSX]

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"columns": self.export_columns}


def _value(row: Any, source: str | Callable[[Any], Any]) -> Any:
    if callable(source):
        return source(row)
    for name in source.split("__"):
        row = getattr(row, name, None)
    return row


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)  # spreadsheets know no time zones
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return value
