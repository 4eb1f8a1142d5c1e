"""CSV files of banks: which column has which value, and how dates and numbers are written."""

import csv
import hashlib
import io
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from billing.bank.entries import BadBankFile, ReadEntry, ReadFile, tidy

REQUIRED = ("date", "amount")
OPTIONAL = ("currency", "payer_name", "payer_iban", "text", "entry_id")
SETTINGS = ("date_format", "decimal_mark", "default_currency", "account")
DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y%m%d")
MOST_PREAMBLE = 30  # lines above the headings


def list_headings(text: str) -> list[str]:
    """Return a digest of each line that can have the headings: a file's form, by which its mapping is found again."""
    return [_digest(line) for line in text.splitlines()[:MOST_PREAMBLE] if line.strip()]


def _digest(line: str) -> str:
    return hashlib.sha256(line.strip().encode()).hexdigest()


def read_csv(text: str, columns: Mapping[str, str]) -> ReadFile:
    """Read a file with a mapping: the heading of each column, `date_format`, `decimal_mark` and `default_currency`."""
    missing = [name for name in REQUIRED if not columns.get(name)]
    if missing:
        raise BadBankFile(f"Name the columns of the CSV file: {', '.join(missing)} is missing.")
    unknown = sorted(set(columns) - {*REQUIRED, *OPTIONAL, *SETTINGS})
    if unknown:
        raise BadBankFile(f"Unknown columns of the mapping: {', '.join(unknown)}.")
    lines = text.splitlines()
    start = _find_headings(lines, columns["date"], columns["amount"])
    delimiter = max(";,\t", key=lines[start].count)
    reader = csv.DictReader(io.StringIO("\n".join(lines[start:])), delimiter=delimiter)
    for name in (*REQUIRED, *OPTIONAL):
        if columns.get(name) and columns[name] not in (reader.fieldnames or ()):
            raise BadBankFile(f"The file has no column “{columns[name]}” for {name}.")
    found = ReadFile(columns=dict(columns), heading=_digest(lines[start]))
    for number, row in enumerate(reader, start=start + 2):
        _add_row(found, row, columns, number)
    return found


def _find_headings(lines: list[str], *needed: str) -> int:
    for position, line in enumerate(lines[:MOST_PREAMBLE]):
        if all(name in line for name in needed):
            return position
    raise BadBankFile(f"No line has the columns {' and '.join(f'“{name}”' for name in needed)}.")


def _add_row(found: ReadFile, row: Mapping[str, str | None], columns: Mapping[str, str], number: int) -> None:
    def cell(name: str) -> str:
        return tidy(row.get(columns[name])) if columns.get(name) else ""

    if not cell("date") and not cell("amount"):
        return
    amount = _amount(cell("amount"), columns.get("decimal_mark") or ".", number)
    if amount <= 0:
        found.skipped += 1
        return
    found.entries.append(
        ReadEntry(
            booked_on=_day(cell("date"), columns.get("date_format") or "", number),
            amount=amount,
            currency=cell("currency") or columns.get("default_currency") or "",
            account=columns.get("account") or "",
            payer_name=cell("payer_name"),
            payer_iban=cell("payer_iban"),
            text=cell("text"),
            entry_id=cell("entry_id"),
        )
    )


def _amount(text: str, decimal_mark: str, number: int) -> Decimal:
    """Read an amount such as 1.234,56 or (1,234.56), whose parentheses mean an outgoing one."""
    digits = text.replace("−", "-").replace("\xa0", "").replace(" ", "").replace("'", "").replace("’", "")
    for sign in ("$", "€", "£", "EUR", "USD", "CHF"):
        digits = digits.replace(sign, "")
    if digits.startswith("(") and digits.endswith(")"):
        digits = f"-{digits[1:-1]}"
    other = "," if decimal_mark == "." else "."
    try:
        return Decimal(digits.replace(other, "").replace(decimal_mark, "."))
    except InvalidOperation as refused:
        raise BadBankFile(f"Line {number}: “{text}” isn't an amount with the decimal mark {decimal_mark}.") from refused


def _day(text: str, date_format: str, number: int) -> date:
    for written in (date_format,) if date_format else DATE_FORMATS:
        try:
            return datetime.strptime(text, written).date()  # noqa: DTZ007  the day as the bank writes it
        except ValueError:
            continue
    raise BadBankFile(f"Line {number}: “{text}” isn't a date. Set date_format, for example %d.%m.%Y.")
