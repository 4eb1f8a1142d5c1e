"""MT940, the SWIFT statement, with the habits of German, Dutch and French banks in field :86:."""

import re
import warnings
from collections.abc import Mapping
from decimal import Decimal

from mt940 import parse

from billing.bank.entries import BadBankFile, ReadEntry, ReadFile, tidy

_statements = re.compile(r"^(?=:20:)", re.MULTILINE).split
_words = re.compile(r"/(IBAN|NAME|REMI|BIC|EREF|BENM|ORDP|CSID|ULTC|TRTP|MARF|ISDT|CNTP|SVCL|PURP)/").split
IBAN = re.compile(r"\b([A-Z]{2}\d{2}[A-Z0-9]{11,30})\b")
LEADING_IBAN = re.compile(r"(DE\d{20}|[A-Z]{2}\d{2}[A-Z]{0,4}\d{10,})")
FRENCH = re.compile(r"/DE (.+?)\s*/MOTIF (.+?)(?:\s*/REF |$)")


def read_mt940(text: str) -> ReadFile:
    """Read the credits of a statement."""
    if ":61:" not in text and ":60F:" not in text and ":60M:" not in text:
        raise BadBankFile("The file has no MT940 fields such as :60F: and :61:.")
    found = ReadFile()
    for statement in _statements(text):
        if statement.strip():
            _add_statement(found, statement)
    return found


def _add_statement(found: ReadFile, text: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library warns of fields that it doesn't know
            transactions = parse(text)
    except (ValueError, RuntimeError, KeyError, AttributeError, AssertionError, ArithmeticError) as refused:
        raise BadBankFile(f"The MT940 fields can't be read: {refused}") from refused
    account = tidy(str(transactions.data.get("account_identification") or ""))
    for transaction in transactions.transactions:
        data = transaction.data
        if "amount" not in data:
            continue
        if data.get("status") != "C":
            found.skipped += 1
            continue
        amount = data["amount"]
        details = f"{data.get('extra_details') or ''}{data.get('transaction_details') or ''}"
        name, iban, purpose = read_details(details, data)
        found.entries.append(
            ReadEntry(
                booked_on=data.get("entry_date") or data["date"],
                amount=Decimal(amount.amount),
                currency=str(amount.currency or ""),
                account=account,
                payer_name=name,
                payer_iban=iban,
                text=tidy(f"{purpose} {_own_reference(data)}"),
            )
        )


def _own_reference(data: Mapping[str, object]) -> str:
    reference = tidy(str(data.get("customer_reference") or ""))
    return "" if reference in ("NONREF", "NOTPROVIDED", "EREF", "VIR SEPA RECU") else reference


def read_details(details: str, data: Mapping[str, object]) -> tuple[str, str, str]:
    """Return the payer's name, account and text of field :86:. The library has split the German form already.

    >>> read_details("", {"purpose": "INV-000001", "applicant_name": "DE02120300000000202051ACME GMBH"})
    ('ACME GMBH', 'DE02120300000000202051', 'INV-000001')
    >>> read_details("/IBAN/NL91ABNA0417164300/EREF/NOTPROVIDED/NAME/Acme BV/REMI/INV-000001", {})
    ('Acme BV', 'NL91ABNA0417164300', 'INV-000001')
    >>> read_details("VIR SEPA RECU /DE SOCIETE ACME /MOTIF FACTURE INV-000001 /REF 47", {})
    ('SOCIETE ACME', '', 'FACTURE INV-000001')
    """
    named, purpose = tidy(str(data.get("applicant_name") or "")), tidy(str(data.get("purpose") or ""))
    if named or purpose:
        leading = LEADING_IBAN.match(named)
        own = tidy(str(data.get("gvc_applicant_iban") or ""))
        return (named[leading.end() :].strip(), leading[1], purpose) if leading else (named, own, purpose)
    joined = details.replace("\r", "").replace("\n", "")
    french = FRENCH.search(joined)
    if french:
        return tidy(french[1]), "", tidy(french[2])
    parts = _words(joined)
    if len(parts) > 1:
        values = {key: tidy(value) for key, value in zip(parts[1::2], parts[2::2], strict=True)}
        text = " ".join(values[key] for key in ("REMI", "EREF") if values.get(key) not in (None, "", "NOTPROVIDED"))
        return values.get("NAME", ""), values.get("IBAN", "").partition("/")[0], text
    text = tidy(details)
    iban = IBAN.search(text)
    return "", iban[1] if iban else "", text
