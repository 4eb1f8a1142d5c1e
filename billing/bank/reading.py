"""Read a bank file of any format: recognize the format and the encoding, and check the entries."""

from collections.abc import Mapping
from dataclasses import replace

from billing.bank.camt import read_camt
from billing.bank.csv_files import read_csv
from billing.bank.entries import BadBankFile, ReadFile
from billing.bank.mt940 import read_mt940
from billing.bank.ofx import read_ofx
from billing.models import BankFileFormat
from billing.money import known_currency, round_amount

MOST_BYTES = 10 * 1024 * 1024
MOST_ENTRIES = 20_000
START = 4_096


def recognize(content: bytes) -> BankFileFormat:
    """Return the format of a file by its beginning."""
    start = content[:START].lstrip(b"\xef\xbb\xbf \r\n\t")
    upper = start.upper()
    if b"<OFX>" in upper or upper.startswith(b"OFXHEADER"):
        return BankFileFormat.OFX
    if start.startswith(b"<"):
        return BankFileFormat.CAMT053
    if b":20:" in start or b":60F:" in start:
        return BankFileFormat.MT940
    return BankFileFormat.CSV


def decode(content: bytes) -> str:
    """Decode a file: UTF-8, UTF-16 with its mark, or Windows-1252, which many banks still write."""
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise BadBankFile("The file isn't text in UTF-8, UTF-16 or Windows-1252. Export it from the bank as text or XML.")


def read_bank_file(content: bytes, file_format: BankFileFormat, columns: Mapping[str, str]) -> ReadFile:
    """Read a file. Raises `BadBankFile` with what is wrong and what to do."""
    if not content.strip():
        raise BadBankFile("The file is empty.")
    if len(content) > MOST_BYTES:
        raise BadBankFile(f"The file has more than {MOST_BYTES // 1024 // 1024} MB. Export a shorter range of days.")
    if file_format == BankFileFormat.CAMT053:
        found = read_camt(content)
    else:
        text = decode(content)
        if file_format == BankFileFormat.MT940:
            found = read_mt940(text)
        elif file_format == BankFileFormat.OFX:
            found = read_ofx(text)
        else:
            found = read_csv(text, columns)
    _check(found)
    found.entries = [
        replace(
            entry,
            account=entry.account[:64],
            payer_name=entry.payer_name[:255],
            payer_iban=entry.payer_iban.replace(" ", "").upper()[:64],
            entry_id=entry.entry_id[:255],
        )
        for entry in found.entries
    ]
    return found


def _check(found: ReadFile) -> None:
    if len(found.entries) > MOST_ENTRIES:
        raise BadBankFile(f"The file has more than {MOST_ENTRIES:,} entries. Export a shorter range of days.")
    if not found.entries and not found.skipped:
        raise BadBankFile("The file has no entries.")
    for entry in found.entries:
        if not known_currency(entry.currency):
            raise BadBankFile(f"“{entry.currency}” isn't a currency. Name the column, or set default_currency.")
        if entry.amount <= 0 or entry.amount != round_amount(entry.amount, entry.currency):
            raise BadBankFile(f"{entry.amount} has more decimals than {entry.currency} allows.")
