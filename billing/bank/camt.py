"""CAMT.053, the bank statement of ISO 20022, in any of its versions."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from billing.bank.entries import BadBankFile, ReadEntry, ReadFile, tidy

BOOKED = ("", "BOOK")


def read_camt(content: bytes) -> ReadFile:
    """Read the booked incoming entries. Each transaction of a batch is one entry. Entities are never expanded."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as refused:
        raise BadBankFile("The XML has a document type or entities, which bank statements don't have.") from refused
    except (ParseError, LookupError, ValueError) as refused:
        raise BadBankFile(f"The XML can't be read: {refused}. Export the statement from the bank again.") from refused
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    statements = root.findall(".//Stmt")
    if not statements:
        raise BadBankFile("The file has no statement (Stmt). Export CAMT.053, not CAMT.052 or CAMT.054.")
    found = ReadFile()
    for statement in statements:
        account = _text(statement, "Acct/Id/IBAN") or _text(statement, "Acct/Id/Othr/Id")
        for entry in statement.findall("Ntry"):
            incoming = list(_read_entry(entry, account))
            found.entries += incoming
            found.skipped += not incoming
    return found


def _read_entry(entry: Any, account: str) -> Iterator[ReadEntry]:
    status = _text(entry, "Sts/Cd") or _text(entry, "Sts")
    is_reversal = _text(entry, "RvslInd") in ("true", "1")
    if status not in BOOKED or is_reversal or _text(entry, "CdtDbtInd") != "CRDT":
        return
    booked_on = _day(_text(entry, "BookgDt/Dt") or _text(entry, "BookgDt/DtTm") or _text(entry, "ValDt/Dt"))
    details = entry.findall("NtryDtls/TxDtls")
    entry_id = _text(entry, "AcctSvcrRef")
    for position, transaction in enumerate(details or [entry]):
        amount = transaction.find("AmtDtls/TxAmt/Amt")
        if amount is None or len(details) < 2:
            amount = entry.find("Amt") if len(details) < 2 else transaction.find("Amt")
        if amount is None:
            raise BadBankFile(f"Entry {entry_id or booked_on} is a batch whose transactions have no amount.")
        own_id = _text(transaction, "Refs/AcctSvcrRef")
        yield ReadEntry(
            booked_on=booked_on,
            amount=_amount(amount.text),
            currency=amount.get("Ccy", ""),
            account=account,
            payer_name=_text(transaction, "RltdPties/Dbtr/Nm") or _text(transaction, "RltdPties/Dbtr/Pty/Nm"),
            payer_iban=_text(transaction, "RltdPties/DbtrAcct/Id/IBAN")
            or _text(transaction, "RltdPties/DbtrAcct/Id/Othr/Id"),
            text=_remittance(transaction) or _text(entry, "AddtlNtryInf"),
            entry_id=f"{entry_id}/{own_id or position}" if len(details) > 1 and (entry_id or own_id) else entry_id,
        )


def _remittance(transaction: Any) -> str:
    parts = [element.text for element in transaction.findall("RmtInf/Ustrd")]
    parts += [element.text for element in transaction.findall("RmtInf/Strd/CdtrRefInf/Ref")]
    parts += [element.text for element in transaction.findall("RmtInf/Strd/RfrdDocInf/Nb")]
    parts += [element.text for element in transaction.findall("RmtInf/Strd/AddtlRmtInf")]
    end_to_end = _text(transaction, "Refs/EndToEndId")
    return tidy(" ".join([*(part or "" for part in parts), "" if end_to_end == "NOTPROVIDED" else end_to_end]))


def _text(element: Any, path: str) -> str:
    return tidy(element.findtext(path))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as refused:
        raise BadBankFile(f"“{text}” isn't a date. An entry needs a booking date (BookgDt).") from refused


def _amount(text: str | None) -> Decimal:
    try:
        return Decimal(tidy(text))
    except InvalidOperation as refused:
        raise BadBankFile(f"“{tidy(text)}” isn't an amount.") from refused
