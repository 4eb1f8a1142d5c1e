"""OFX, the statement of US banks: version 1 (SGML, without end tags) and version 2 (XML)."""

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from html import unescape

from billing.bank.entries import BadBankFile, ReadEntry, ReadFile, tidy

_tags = re.compile(r"<(/?)([A-Za-z0-9._]+)>([^<]*)").findall
OF_STATEMENT = ("CURDEF", "ACCTID")
OF_ENTRY = ("TRNTYPE", "DTPOSTED", "TRNAMT", "FITID", "NAME", "MEMO", "CHECKNUM", "REFNUM")


def read_ofx(text: str) -> ReadFile:
    """Read the credits of a statement. Only tags with a value are looked at, so both versions read alike."""
    if "<OFX>" not in text.upper():
        raise BadBankFile("The file has no <OFX>. Choose OFX or QFX when you download the statement.")
    found, statement, entry = ReadFile(), dict[str, str](), dict[str, str]()
    for closing, name, value in _tags(text):
        tag, content = name.upper(), tidy(unescape(value))
        if tag == "STMTTRN":
            if closing or entry:
                _add(found, statement, entry)
            entry = {}
        elif tag in OF_STATEMENT and not closing:
            statement[tag] = content
        elif tag in OF_ENTRY and not closing:
            entry[tag] = content
        elif tag in ("BANKTRANLIST", "LEDGERBAL") and entry:
            _add(found, statement, entry)
            entry = {}
    return found


def _add(found: ReadFile, statement: dict[str, str], entry: dict[str, str]) -> None:
    if not entry:
        return
    if "TRNAMT" not in entry or "DTPOSTED" not in entry:
        raise BadBankFile(f"Entry {entry.get('FITID', '')} has no TRNAMT or DTPOSTED.")
    amount = _amount(entry["TRNAMT"])
    if amount <= 0:
        found.skipped += 1
        return
    name, memo = entry.get("NAME", ""), entry.get("MEMO", "")
    found.entries.append(
        ReadEntry(
            booked_on=_day(entry["DTPOSTED"]),
            amount=amount,
            currency=statement.get("CURDEF", "USD"),
            account=statement.get("ACCTID", ""),
            payer_name=name,
            text=tidy(f"{memo} {entry.get('CHECKNUM', '')} {entry.get('REFNUM', '')}"),
            entry_id=entry.get("FITID", ""),
        )
    )


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text.replace(",", "."))
    except InvalidOperation as refused:
        raise BadBankFile(f"“{text}” isn't an amount (TRNAMT).") from refused


def _day(text: str) -> date:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()  # noqa: DTZ007  the day as the bank writes it
    except ValueError as refused:
        raise BadBankFile(f"“{text}” isn't a date (DTPOSTED).") from refused
