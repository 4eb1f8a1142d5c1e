"""A customer's statement: on a page, and as PDF, CSV or Excel."""

from calendar import monthrange
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action

from billing.documents.responses import build_file_response
from billing.money import format_amount
from billing.statements import formats
from billing.statements.statement import (
    AccountMovements,
    CurrencyStatement,
    Statement,
    StatementEntry,
    StatementTooLong,
    build_statement,
)
from config.office.files import table_file
from config.office.pages import AdminPage
from customers.admin import add_customer_action
from customers.models import Customer
from customers.periods import local_date

FORMATS = ("pdf", "csv", "xlsx")


@action(description="Statement", icon="account_balance_wallet", permissions=["view"])
def open_statement(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """Open the customer's statement."""
    return HttpResponseRedirect(reverse("admin:billing_statement", args=[object_id]))


add_customer_action("open_statement", open_statement)


class StatementPage(AdminPage):
    """Show a customer's statement from `from` to `to`, or download it if `format` is pdf, csv or xlsx."""

    template_name = "admin/billing/statement.html"

    def has_permission(self) -> bool:
        return super().has_permission() and self.request.user.has_perm("customers.view_customer")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        customer = get_object_or_404(Customer, pk=kwargs["customer_id"])
        context: dict[str, Any] = {
            "title": f"Statement for {customer}",
            "customer": customer,
            "requested": {"from": request.GET.get("from", ""), "to": request.GET.get("to", "")},
        }
        try:
            first, last = read_days(request, customer)
            statement = build_statement(customer, first, last, currency=request.GET.get("currency", ""))
        except StatementTooLong as refusal:
            return self.render(problem=str(refusal), **context)
        except ValueError:
            return self.render(problem="Enter dates as 2026-09-01.", **context)
        if request.GET.get("format") in FORMATS:
            return statement_file(statement, request.GET["format"])
        return self.render(
            statement=statement,
            currencies=[currency_context(currency) for currency in statement.currencies],
            query=f"from={statement.first}&to={statement.last}",
            **context,
        )


def read_days(request: HttpRequest, customer: Customer) -> tuple[date, date]:
    """Read the first and the last day. By default, last month and this month in the customer's time zone."""
    today = local_date(timezone.now(), customer.timezone)
    last_month = today.replace(year=today.year - (today.month == 1), month=(today.month - 2) % 12 + 1, day=1)
    month_end = today.replace(day=monthrange(today.year, today.month)[1])
    first, last = request.GET.get("from", ""), request.GET.get("to", "")
    return (
        date.fromisoformat(first) if first else last_month,
        date.fromisoformat(last) if last else month_end,
    )


def statement_file(statement: Statement, file_format: str) -> HttpResponseBase:
    """Return the statement as a PDF, CSV or Excel file."""
    name = formats.build_file_name(statement)
    if file_format == "pdf":
        return build_file_response(formats.render_statement(statement), f"{name}.pdf")
    rows = formats.list_file_rows(statement)
    return table_file(formats.HEADINGS, rows, name=name, file_format=file_format)


def currency_context(statement: CurrencyStatement) -> dict[str, Any]:
    """Format the accounts of one currency."""
    accounts = formats.list_accounts(statement)
    return {
        "currency": statement.currency,
        "accounts": [_account_context(name, account, statement.currency) for name, account in accounts],
    }


def _account_context(name: str, account: AccountMovements, currency: str) -> dict[str, Any]:
    return {
        "name": formats.ACCOUNTS[name],
        "is_owed": name == "owed",
        "opening": format_amount(account.opening, currency),
        "rows": [_entry_context(entry, currency) for entry in account.entries],
        "up": format_amount(account.sum_movements(up=True), currency),
        "down": format_amount(-account.sum_movements(up=False), currency),
        "closing": format_amount(account.closing, currency),
    }


def _entry_context(entry: StatementEntry, currency: str) -> dict[str, Any]:
    amount: Decimal = entry.movement.amount
    return {
        "on": entry.on,
        "text": entry.movement.text,
        "url": entry.movement.url,
        "up": format_amount(amount, currency) if amount >= 0 else "",
        "down": format_amount(-amount, currency) if amount < 0 else "",
        "balance": format_amount(entry.balance, currency),
    }
