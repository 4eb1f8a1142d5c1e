"""CSV and Excel files for staff: written row by row, and safe to open in a spreadsheet."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, islice, zip_longest
from tempfile import TemporaryFile
from typing import Any

import orjson
from django.db.models import QuerySet
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.text import slugify
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

MOST_ROWS = 50_000
CELL_LENGTH = 32_000  # Excel cuts longer texts
WIDEST_COLUMN = 60
MONEY_PLACES = 4  # the most decimals of a currency
BOLD = Font(bold=True)
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


@dataclass(frozen=True)
class Totals:
    """Totals of a table. They get a sheet of their own in Excel and aren't part of a CSV file, whose rows are data.

    `rows` is read after the table was written, so it may add up the rows that were yielded.
    """

    headings: Sequence[str]
    rows: Iterable[Sequence[Any]]


def table_file(
    headings: Sequence[str],
    table: Iterable[Sequence[Any]],
    *,
    name: str,
    file_format: str,
    totals: Totals | None = None,
) -> HttpResponseBase:
    """Respond with a table as a file: "csv", streamed, or "xlsx". `name` has no extension.

    Times are in UTC to the second, unless they come without a time zone. In Excel, numbers show the decimals that they
    have: an amount rounded to its currency looks as it does on an invoice.
    """
    if file_format == "csv":
        response: HttpResponseBase = StreamingHttpResponse(_csv_lines(headings, table), content_type="text/csv")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return response
    file = _write_workbook(headings, table, totals)
    return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX)


def file_name(subject: str) -> str:
    """Return a file name without extension: the subject and the current UTC time, "invoices-2026-11-28-143205"."""
    return f"{slugify(subject)}-{timezone.now().astimezone(UTC):%Y-%m-%d-%H%M%S}"


def cell(value: Any) -> Cell:
    """Convert a value for a spreadsheet: times to UTC to the second, numbers as they are, anything else to text."""
    if value is None:
        return ""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        utc = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return utc.replace(microsecond=0)
    if isinstance(value, date):
        return value
    return orjson.dumps(value, default=str).decode() if isinstance(value, dict | list) else str(value)


def guard_formula(text: str) -> str:
    """Keep a spreadsheet from running a text of a CSV file as a formula. Excel files need no guard: cells have types.

    >>> guard_formula("=1+1")
    "'=1+1"
    """
    return f"'{text}" if _is_formula(text) else text


def unguard_formula(text: str) -> str:
    """Return the text that `guard_formula` guarded.

    >>> unguard_formula("'=1+1")
    '=1+1'
    """
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Tell whether a spreadsheet would run the text; also behind apostrophes, so that a guard can be removed."""
    return text.lstrip("'").startswith(FORMULA_SIGNS)


def csv_row(row: Iterable[Any]) -> list[Any]:
    """Convert the values of a row for a CSV file."""
    return [_csv_text(cell(value)) for value in row]


def _csv_text(value: Cell) -> str | int | date:
    if isinstance(value, str):
        return guard_formula(value)
    return f"{value:f}" if isinstance(value, Decimal) else value


class _Echo:
    """A file that returns what is written to it."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(headings: Sequence[str], table: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(csv_row(headings))  # Excel reads UTF-8 only with this mark
    for row in table:
        yield writer.writerow(csv_row(row))


def _write_workbook(headings: Sequence[str], table: Iterable[Sequence[Any]], totals: Totals | None) -> Any:
    book = Workbook(write_only=True)
    _write_sheet(book, "Export", headings, table)
    if totals is not None:
        _write_sheet(book, "Totals", totals.headings, totals.rows)
    file = TemporaryFile()  # noqa: SIM115  the response closes it
    book.save(file)
    file.seek(0)
    return file


def _write_sheet(book: Workbook, title: str, headings: Sequence[str], table: Iterable[Sequence[Any]]) -> None:
    """Write a sheet with a bold heading that stays in view, and columns as wide as their first rows."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    rows = iter(table)
    first_rows = [[cell(value) for value in row] for row in islice(rows, 100)]
    for i, width in enumerate(_column_widths([list(headings), *first_rows]), start=1):
        sheet.column_dimensions[get_column_letter(i)].width = width
    sheet.append([_excel_cell(sheet, heading, font=BOLD) for heading in headings])
    for row in chain(first_rows, rows):
        sheet.append([_excel_cell(sheet, cell(value)) for value in row])


def _column_widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    columns = zip_longest(*rows, fillvalue="")
    return [min(max(len(str(value)) for value in column) + 2, WIDEST_COLUMN) for column in columns]


def _excel_cell(sheet: Any, value: Cell, font: Font | None = None) -> Any:
    """Return a cell of the value's own type. Text never becomes a formula."""
    written = WriteOnlyCell(
        sheet, value=ILLEGAL_CHARACTERS_RE.sub("", value)[:CELL_LENGTH] if isinstance(value, str) else value
    )
    if isinstance(value, str):
        written.data_type = "s"
    elif isinstance(value, datetime):
        written.number_format = "yyyy-mm-dd hh:mm:ss"
    elif isinstance(value, date):
        written.number_format = "yyyy-mm-dd"
    else:
        written.number_format = number_format(value)
    if font:
        written.font = font
    return written


def number_format(value: int | Decimal) -> str:
    """Return the Excel format that shows a number's own decimals and groups its thousands.

    >>> number_format(Decimal("49.00")), number_format(1200), number_format(Decimal("0.0025"))
    ('#,##0.00', '#,##0', '#,##0.0000')
    """
    places = -int(value.as_tuple().exponent) if isinstance(value, Decimal) else 0
    if places > MONEY_PLACES:  # a quantity or an exact amount, which the database pads with zeros
        places = -int(Decimal(value).normalize().as_tuple().exponent)
    return f"#,##0.{'0' * places}" if places > 0 else "#,##0"
