"""A statement as the rows of a CSV or Excel file, and as a PDF document."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from billing.documents.content import Document, build_document, build_row, build_table, build_total
from billing.documents.rendering import render
from billing.lifecycle.finalize import billed_to
from billing.models.company import seller
from billing.money import format_amount, round_amount
from billing.statements.sources import CREDIT, OWED
from billing.statements.statement import AccountMovements, CurrencyStatement, Statement
from billing.wording import day
from customers.periods import local_midnight

ACCOUNTS = {OWED: "Account", CREDIT: "Prepaid credit"}
HEADINGS = ("date", "currency", "account", "type", "reference", "description", "increase", "decrease", "balance")
COLUMNS = ("Description", "Date", "Reference", "Charged", "Settled", "Balance")


def list_file_rows(statement: Statement) -> Iterator[Sequence[Any]]:
    """Yield the rows of a file with HEADINGS: each account's opening balance, movements and closing balance."""
    for currency_statement in statement.currencies:
        currency = currency_statement.currency
        for name, account in list_accounts(currency_statement):
            yield _build_balance_row(statement.first, currency, name, "Opening balance", account.opening)
            for entry in account.entries:
                movement, amount = entry.movement, round_amount(entry.movement.amount, currency)
                increase, decrease = (amount, None) if amount >= 0 else (None, -amount)
                texts = (ACCOUNTS[name], movement.kind, movement.reference, movement.text)
                yield entry.on, currency, *texts, increase, decrease, round_amount(entry.balance, currency)
            yield _build_balance_row(statement.last, currency, name, "Closing balance", account.closing)


def _build_balance_row(on: date, currency: str, name: str, label: str, balance: Decimal) -> Sequence[Any]:
    return on, currency, ACCOUNTS[name], label, "", "", None, None, round_amount(balance, currency)


def list_accounts(statement: CurrencyStatement) -> list[tuple[str, AccountMovements]]:
    """List the accounts of a currency: the amount owed, and prepaid credit unless it is empty."""
    return [(OWED, statement.owed), *([] if statement.credit.is_empty else [(CREDIT, statement.credit)])]


def build_file_name(statement: Statement) -> str:
    """Build the file name, without its extension."""
    return f"statement-{statement.customer.public_id}-{statement.first}-{statement.last}"


def render_statement(statement: Statement) -> bytes:
    """Render a statement as PDF. The file is dated by the last day, so that the same statement gives the same bytes."""
    made_at = local_midnight(statement.last, statement.timezone)
    return render(_build_statement_document(statement), made_at=made_at)


def _build_statement_document(statement: Statement) -> Document:
    accounts = [
        (currency_statement.currency, name, account)
        for currency_statement in statement.currencies
        for name, account in list_accounts(currency_statement)
    ]
    groups = [
        (f"{ACCOUNTS[name]}, {currency}", _build_account_rows(account, currency))
        for currency, name, account in accounts
    ]
    return build_document(
        "Statement of account",
        seller=seller(),
        buyer=billed_to(statement.customer),
        buyer_label="For",
        facts=[("From", day(statement.first)), ("To", day(statement.last)), ("Time zone", statement.timezone)],
        **build_table(COLUMNS, groups),
        first_number=3,
        empty="There are no movements in this range, and there is no opening balance.",
        totals=[
            build_total(
                f"{'Amount due' if name == OWED else 'Prepaid credit'}, {currency}",
                account.closing,
                currency,
                grand=True,
            )
            for currency, name, account in accounts
        ],
    )


def _build_account_rows(account: AccountMovements, currency: str) -> list[Document]:
    def format_cell(amount: Decimal) -> str:
        return format_amount(amount, currency)

    rows = [build_row("Opening balance", ("", "", "", "", format_cell(account.opening)))]
    for entry in account.entries:
        movement = entry.movement
        amount = format_cell(abs(movement.amount))
        increase, decrease = (amount, "") if movement.amount >= 0 else ("", amount)
        reference = movement.reference if movement.account == OWED else ""
        cells = (f"{entry.on:%Y-%m-%d}", reference, increase, decrease, format_cell(entry.balance))
        rows.append(build_row(movement.text, cells))
    return [*rows, build_row("Closing balance", ("", "", "", "", format_cell(account.closing)))]
