"""Files of what a list shows: CSV as a stream, Excel with numbers as numbers. Bounded, and safe to open."""

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
CELL_LENGTH = 32_000  # what Excel keeps of a text
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Column = tuple[str, Callable[[Any], Any]]


def export(
    rows: QuerySet[Any], columns: Sequence[Column], *, name: str, file_format: str, at_most: int | None = MOST_ROWS
) -> HttpResponseBase:
    """Answer with the list's rows in its order, as "csv" or "xlsx"; `at_most` of `None` is all, for a CSV only.

    Texts that a spreadsheet would take for a formula get a leading apostrophe. Times are UTC, ISO 8601.
    """
    read = rows[:at_most].iterator(chunk_size=2_000)
    table = ([value_of(row) for _, value_of in columns] for row in read)
    return table_file([heading for heading, _ in columns], table, name=name, file_format=file_format)


def table_file(
    headings: Sequence[str], table: Iterable[Sequence[Any]], *, name: str, file_format: str
) -> HttpResponseBase:
    """Answer a table as a file, "csv" (written while it is sent) or "xlsx". `name` has no ending.

    Days and moments without a zone become Excel's own dates; moments with one are text, ISO 8601.
    """
    cells = ([cell(value) for value in row] for row in table)
    if file_format == "csv":
        response: HttpResponseBase = StreamingHttpResponse(_csv_lines(headings, cells), content_type="text/csv")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return response
    return FileResponse(_workbook(headings, cells), as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX)


def cell(value: Any) -> str | int | Decimal | date:
    """Write a value for a spreadsheet: numbers and days stay what they are, all else becomes text that isn't taken for
    a formula."""
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
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(headings: Sequence[str], table: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(headings)  # Excel takes the file for UTF-8 by this mark
    for line in table:
        yield writer.writerow(line)


def _workbook(headings: Sequence[str], table: Iterable[Sequence[Any]]) -> Any:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Export")
    sheet.append(list(headings))
    for line in table:
        sheet.append([_excel_text(value) if isinstance(value, str) else value for value in line])
    file = TemporaryFile()  # noqa: SIM115  the response closes it
    book.save(file)
    file.seek(0)
    return file


def _excel_text(text: str) -> str:
    return str(ILLEGAL_CHARACTERS_RE.sub("", text))[:CELL_LENGTH]
