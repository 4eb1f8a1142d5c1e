"""A statement as a table for files, and as a document."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from billing.documents.content import Document, document, row, table, total
from billing.documents.rendering import render
from billing.lifecycle.finalize import billed_to
from billing.models.company import seller
from billing.money import format_amount, round_amount
from billing.statements.statement import AccountMovements, CurrencyStatement, Statement
from billing.wording import day
from customers.periods import local_midnight

ACCOUNTS = {"owed": "Account", "credit": "Prepaid credit"}
HEADINGS = ("date", "currency", "account", "what", "reference", "description", "up", "down", "balance")
COLUMNS = ("What", "Date", "Reference", "Charged", "Settled", "Balance")


def table_rows(found: Statement) -> Iterator[Sequence[Any]]:
    """Give the statement row by row under HEADINGS: each account's opening balance, movements, and closing balance."""
    for one in found.currencies:
        for name, account in accounts_of(one):
            yield _edge(found.first, one.currency, name, "Opening balance", account.opening)
            for entry in account.entries:
                moved, amount = entry.movement, round_amount(entry.movement.amount, one.currency)
                up, down = (amount, None) if amount >= 0 else (None, -amount)
                says = (ACCOUNTS[name], moved.kind, moved.reference, moved.text)
                yield entry.on, one.currency, *says, up, down, round_amount(entry.balance, one.currency)
            yield _edge(found.last, one.currency, name, "Closing balance", account.closing)


def _edge(on: date, currency: str, name: str, label: str, balance: Decimal) -> Sequence[Any]:
    return on, currency, ACCOUNTS[name], label, "", "", None, None, round_amount(balance, currency)


def accounts_of(one: CurrencyStatement) -> list[tuple[str, AccountMovements]]:
    """List a currency's accounts: what is owed, and prepaid credit where there is any."""
    return [("owed", one.owed), *([] if one.credit.is_empty else [("credit", one.credit)])]


def file_name(found: Statement) -> str:
    """Name the file, without its ending."""
    return f"statement-{found.customer.public_id}-{found.first}-{found.last}"


def statement_pdf(found: Statement) -> bytes:
    """Lay a statement out as PDF. Dated by its last day: the same statement gives the same bytes."""
    return render(statement_document(found), made_at=local_midnight(found.last, found.timezone))


def statement_document(found: Statement) -> Document:
    groups = [
        (_title(one, name), _rows(one, account)) for one in found.currencies for name, account in accounts_of(one)
    ]
    return document(
        "Statement of account",
        seller=seller(),
        buyer=billed_to(found.customer),
        buyer_label="For",
        facts=[("From", day(found.first)), ("To", day(found.last)), ("Time zone", found.timezone)],
        **table(COLUMNS, groups),
        first_number=3,
        empty="Nothing was charged or paid, and nothing was open before.",
        totals=[
            total(_closing(name, one.currency), account.closing, one.currency, grand=True)
            for one in found.currencies
            for name, account in accounts_of(one)
        ],
    )


def _title(one: CurrencyStatement, name: str) -> str:
    return f"{ACCOUNTS[name]}, {one.currency}"


def _closing(name: str, currency: str) -> str:
    return f"To pay, {currency}" if name == "owed" else f"Prepaid credit, {currency}"


def _rows(one: CurrencyStatement, account: AccountMovements) -> list[Document]:
    def written(amount: Decimal) -> str:
        return format_amount(amount, one.currency)

    rows = [row("Opening balance", ("", "", "", "", written(account.opening)))]
    for entry in account.entries:
        moved = entry.movement
        up, down = (written(moved.amount), "") if moved.amount >= 0 else ("", written(-moved.amount))
        reference = moved.reference if moved.account == "owed" else ""
        rows.append(row(moved.text, (f"{entry.on:%Y-%m-%d}", reference, up, down, written(entry.balance))))
    return [*rows, row("Closing balance", ("", "", "", "", written(account.closing)))]
