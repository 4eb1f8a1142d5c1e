"""Files for spreadsheets: dates are dates, amounts show their decimals, and no text becomes a formula."""

import csv
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from django.http import HttpResponseBase
from openpyxl import load_workbook

from config.office.files import Totals, cell, file_name, table_file

MOMENT = datetime(2026, 11, 28, 14, 32, 5, 123456, UTC)
HEADINGS = ("Customer", "On", "At (UTC)", "Total", "Events")
ROW = ("=HYPERLINK()", date(2026, 11, 28), MOMENT, Decimal("49.00"), 1200)


def content(answer: HttpResponseBase) -> bytes:
    return b"".join(answer)


def excel(headings=HEADINGS, rows=(ROW,), **options):
    return load_workbook(BytesIO(content(table_file(headings, rows, name="invoices", file_format="xlsx", **options))))


def test_csv_writes_dates_and_times_that_spreadsheets_read_and_guards_formulas():
    answer = table_file(HEADINGS, [ROW], name="invoices", file_format="csv")
    rows = list(csv.reader(StringIO(content(answer).decode("utf-8-sig"))))
    assert rows[1] == ["'=HYPERLINK()", "2026-11-28", "2026-11-28 14:32:05", "49.00", "1200"]


def test_excel_has_a_bold_heading_that_stays_in_view():
    sheet = excel()["Export"]
    assert sheet.freeze_panes == "A2"
    assert [heading.font.bold for heading in sheet[1]] == [True] * 5
    assert not sheet["A2"].font.bold
    assert sheet.column_dimensions["C"].width == 21  # "2026-11-28 14:32:05" and some space


def test_excel_shows_amounts_and_dates_in_their_own_format():
    customer, day, moment, total, events = excel()["Export"][2]
    assert (customer.value, customer.data_type) == ("=HYPERLINK()", "s")
    assert (str(day.value), day.number_format) == ("2026-11-28 00:00:00", "yyyy-mm-dd")
    assert (str(moment.value), moment.number_format) == ("2026-11-28 14:32:05", "yyyy-mm-dd hh:mm:ss")
    assert (total.value, total.number_format) == (49, "#,##0.00")
    assert (events.value, events.number_format) == (1200, "#,##0")


@pytest.mark.parametrize(
    ("amount", "number_format"),
    [("1500", "#,##0"), ("1.500", "#,##0.000"), ("2385.000000000000", "#,##0"), ("0.002500000000", "#,##0.0000")],
)
def test_excel_shows_the_decimals_of_the_currency_and_no_padding(amount, number_format):
    assert excel(("Amount",), [(Decimal(amount),)])["Export"]["A2"].number_format == number_format


def test_totals_have_a_sheet_of_their_own_and_are_not_among_the_rows():
    seen = []

    def rows():
        for amount in (Decimal("1.00"), Decimal("2.50")):
            seen.append(amount)
            yield (amount,)

    book = excel(("Total",), rows(), totals=Totals(("currency", "Total"), (("USD", sum(seen)) for _ in range(1))))
    assert list(book["Export"].values) == [("Total",), (1,), (2.5,)]
    assert list(book["Totals"].values) == [("currency", "Total"), ("USD", 3.5)]


@pytest.mark.parametrize(("value", "written"), [(5, 5), (None, ""), ({"a": 1}, '{"a":1}'), (True, "True")])
def test_cells_keep_numbers_and_write_anything_else_as_text(value, written):
    assert cell(value) == written


def test_file_names_have_the_subject_and_the_time():
    assert re.fullmatch(r"invoice-lines-\d{4}-\d\d-\d\d-\d{6}", file_name("Invoice lines"))
