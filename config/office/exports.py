"""The export button of a list: its rows as filtered, searched and sorted, as CSV or Excel."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from import_export import resources
from import_export.admin import ExportMixin
from import_export.fields import Field
from import_export.formats.base_formats import CSV, XLSX
from unfold.contrib.import_export.forms import ExportForm

from config.office.files import Column, Source, export, read_value


class ListedRows(resources.Resource):
    """The rows of a list. The export page shows the names of the columns."""

    def __init__(self, columns: Sequence[Column] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    @classmethod
    def get_display_name(cls) -> str:
        return "The list as shown"

    def get_user_visible_fields(self) -> list[Field]:
        return [Field(column_name=heading) for heading, _ in self.columns]


class ExportsList(ExportMixin):
    """Let staff who can view a list export it. Comes before `ModelAdmin`."""

    export_columns: Sequence[Column] = ()
    export_form_class = ExportForm
    resource_classes = (ListedRows,)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def get_export_formats(self) -> list[type]:
        return [CSV, XLSX]

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"columns": self.export_columns}

    def _do_file_export(
        self, file_format: Any, request: HttpRequest, queryset: QuerySet[Any], export_form: Any = None
    ) -> HttpResponseBase:
        """Write the file row by row. The library's own method would hold it in memory."""
        columns = [(heading, partial(_value_in_utc, source=source)) for heading, source in self.export_columns]
        name = self.get_export_filename(request, queryset, file_format).rpartition(".")[0]
        return export(queryset, columns, name=name, file_format=file_format.get_extension(), at_most=None)


def _value_in_utc(row: Any, source: Source) -> Any:
    """Return a column's value; a time as UTC without its zone, so that Excel takes it for a time."""
    value = read_value(row, source)
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
