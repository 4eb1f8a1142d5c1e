"""CSV and Excel files for staff: written row by row, and safe to open in a spreadsheet."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from tempfile import TemporaryFile
from typing import Any

import orjson
from django.db.models import QuerySet
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

MOST_ROWS = 50_000
CELL_LENGTH = 32_000  # Excel cuts longer texts
# A spreadsheet runs a cell that begins with one of these signs as a formula.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Source = str | Callable[[Any], Any]
Column = tuple[str, Source]
Cell = str | int | Decimal | date


def export(
    rows: QuerySet[Any], columns: Sequence[Column], *, name: str, file_format: str, at_most: int | None = MOST_ROWS
) -> HttpResponseBase:
    """Respond with the rows of a list in its order, as "csv" or "xlsx".

    A column is a heading with either a function of the row or an attribute path such as "customer__name".
    """
    loaded = rows[:at_most].iterator(chunk_size=2_000)
    table = ([read_value(row, source) for _, source in columns] for row in loaded)
    return table_file([heading for heading, _ in columns], table, name=name, file_format=file_format)


def read_value(row: Any, source: Source) -> Any:
    """Return the value of a column, or `None` if the path ends at a missing relation."""
    if callable(source):
        return source(row)
    value = row
    for name in source.split("__"):
        value = getattr(value, name, None)
    return value


def table_file(
    headings: Sequence[str], table: Iterable[Sequence[Any]], *, name: str, file_format: str
) -> HttpResponseBase:
    """Respond with a table as a file: "csv", streamed, or "xlsx". `name` has no extension.

    Dates, and times without a time zone, become Excel dates; times with a time zone become ISO 8601 text.
    """
    cells = ([cell(value) for value in row] for row in table)
    if file_format == "csv":
        response: HttpResponseBase = StreamingHttpResponse(_csv_lines(headings, cells), content_type="text/csv")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return response
    return FileResponse(_workbook(headings, cells), as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX)


def cell(value: Any) -> Cell:
    """Convert a value for a spreadsheet. Numbers and dates stay as they are; text never becomes a formula.

    >>> cell("=1+1")
    "'=1+1"
    """
    if value is None:
        return ""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    if isinstance(value, date):
        return value
    text = orjson.dumps(value, default=str).decode() if isinstance(value, dict | list) else str(value)
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


class _Echo:
    """A file that returns what is written to it."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(headings: Sequence[str], table: Iterable[Sequence[Cell]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([cell(heading) for heading in headings])  # Excel reads UTF-8 only with this mark
    for row in table:
        yield writer.writerow([f"{value:f}" if isinstance(value, Decimal) else value for value in row])


def _workbook(headings: Sequence[str], table: Iterable[Sequence[Cell]]) -> Any:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Export")
    sheet.append([cell(heading) for heading in headings])
    for row in table:
        sheet.append([_excel_text(value) if isinstance(value, str) else value for value in row])
    file = TemporaryFile()  # noqa: SIM115  the response closes it
    book.save(file)
    file.seek(0)
    return file


def _excel_text(text: str) -> str:
    return str(ILLEGAL_CHARACTERS_RE.sub("", text))[:CELL_LENGTH]
