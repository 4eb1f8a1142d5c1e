"""Bank files of all formats are read, and what can't be read says why."""

from decimal import Decimal

import pytest

from billing.bank.entries import BadBankFile, keys_of
from billing.bank.reading import read_bank_file, recognize
from billing.models import BankFileFormat
from tests.billing.bank.samples import GERMAN_CAMT, SAMPLES, US_CSV


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_file_is_recognized_and_its_incoming_entries_are_read(sample):
    found = read_bank_file(sample.content, recognize(sample.content), sample.columns)
    read = [
        (str(entry.booked_on), f"{entry.amount:.2f}", entry.currency, entry.payer_name, entry.payer_iban, entry.text)
        for entry in found.entries
    ]
    assert (read, found.skipped) == (sample.entries, sample.skipped)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Document>&b;</Document>"""


@pytest.mark.parametrize(
    ("content", "file_format", "columns", "message"),
    [
        (b"  \n", "csv", {}, "The file is empty"),
        (b"x" * (10 * 1024 * 1024 + 1), "csv", {}, "more than 10 MB"),
        (BOMB, "camt053", {}, "has a document type or entities"),
        (b"<Document><Stmt>", "camt053", {}, "The XML can't be read"),
        (b"<Document/>", "camt053", {}, "The file has no statement"),
        (GERMAN_CAMT.content.replace(b"2026-10-02</Dt>", b"2.10.</Dt>"), "camt053", {}, "isn't a date"),
        (GERMAN_CAMT.content.replace(b'"EUR"', b'"XXQ"'), "camt053", {}, "isn't a currency"),
        (GERMAN_CAMT.content.replace(b">119.00<", b">119.001<"), "camt053", {}, "has more decimals than EUR allows"),
        (b"hello", "mt940", {}, "no MT940 fields"),
        (b"hello", "ofx", {}, "The file has no <OFX>"),
        (b"\x00\x01\x02", "ofx", {}, "isn't text in UTF-8"),
        (b"<OFX><STMTTRN><TRNAMT>1<FITID>9</STMTTRN></OFX>", "ofx", {}, "Entry 9 has no TRNAMT or DTPOSTED"),
        (US_CSV.content, "csv", {}, "date, amount is missing"),
        (US_CSV.content, "csv", {"date": "Day", "amount": "Amount"}, "No line has the columns “Day” and “Amount”"),
        (US_CSV.content, "csv", {"date": "Date", "amount": "Amount", "text": "Note"}, "no column “Note” for text"),
        (US_CSV.content, "csv", {"date": "Date", "amount": "Amount", "payee": "x"}, "Unknown columns"),
        (
            b"Date,Amount\n2026-10-02,ten\n",
            "csv",
            {"date": "Date", "amount": "Amount"},
            "Line 2: “ten” isn't an amount",
        ),
        (b"Date,Amount\n2 Oct,1\n", "csv", {"date": "Date", "amount": "Amount"}, "Line 2: “2 Oct” isn't a date"),
        (b"Date,Amount\n", "csv", {"date": "Date", "amount": "Amount"}, "The file has no entries"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content, file_format, columns, message):
    with pytest.raises(BadBankFile, match=message):
        read_bank_file(content, BankFileFormat(file_format), columns)


def test_equal_entries_of_one_file_have_keys_of_their_own_and_keep_them_in_the_next_file():
    columns = {"date": "Date", "amount": "Amount", "text": "Text", "default_currency": "USD"}
    twice = b"Date,Amount,Text\n2026-10-02,10,Acme\n2026-10-02,10,Acme\n"
    more = twice + b"2026-10-03,10,Acme\n"
    first, second = (keys_of(read_bank_file(one, BankFileFormat.CSV, columns).entries) for one in (twice, more))
    assert len(set(second)) == 3
    assert second[:2] == first
    assert read_bank_file(twice, BankFileFormat.CSV, columns).entries[0].amount == Decimal(10)
