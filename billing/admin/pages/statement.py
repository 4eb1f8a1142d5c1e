"""A customer's statement in the admin: the page, and the same as PDF, CSV and Excel."""

from calendar import monthrange
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action

from billing.documents.responses import build_file_response
from billing.money import format_amount
from billing.statements import formats
from billing.statements.statement import CurrencyStatement, Statement, StatementTooLong, build_statement
from config.office.files import table_file
from customers.admin import add_customer_action
from customers.models import Customer
from customers.periods import local_date

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the page's address, under the invoice list's."""

    def one_view(request: HttpRequest, customer_id: int) -> HttpResponseBase:
        return statement_page(page, request, customer_id)

    return [path("statement/<int:customer_id>/", page.admin_site.admin_view(one_view), name="billing_statement")]


@action(description="Statement", icon="account_balance_wallet", permissions=["view"])
def open_statement(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """Lead from a customer's page to the statement."""
    return HttpResponseRedirect(reverse("admin:billing_statement", args=[object_id]))


add_customer_action("open_statement", open_statement)


def statement_page(page: "InvoiceAdmin", request: HttpRequest, customer_id: int) -> HttpResponseBase:
    """Show a customer's statement from `from` to `to`, or answer it as `format` pdf, csv or xlsx.

    For staff who may view invoices and customers. Without dates: the month before and this one.
    """
    if not page.has_view_permission(request) or not request.user.has_perm("customers.view_customer"):
        raise PermissionDenied
    customer = get_object_or_404(Customer, pk=customer_id)
    try:
        first, last = _range(request, customer)
        found = build_statement(customer, first, last, currency=request.GET.get("currency", ""))
    except (ValueError, StatementTooLong) as refused:
        found, problem = None, str(refused) if isinstance(refused, StatementTooLong) else "Write days as 2026-09-01."
    else:
        problem = ""
    wanted = request.GET.get("format", "")
    if found is not None and wanted in ("pdf", "csv", "xlsx"):
        return _file(found, wanted)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Statement of {customer}",
        "customer": customer,
        "problem": problem,
        "requested": {"from": request.GET.get("from", ""), "to": request.GET.get("to", "")},
    }
    if found is not None:
        context |= {"statement": found, "currencies": [_shown(one) for one in found.currencies]}
        context["query"] = f"from={found.first}&to={found.last}"
    return TemplateResponse(request, "admin/billing/statement.html", context)


def _range(request: HttpRequest, customer: Customer) -> tuple[date, date]:
    """Read the range; what isn't given is the first of the month before, and the last of this one, where they are."""
    today = local_date(timezone.now(), customer.timezone)
    before = today.replace(year=today.year - (today.month == 1), month=(today.month - 2) % 12 + 1, day=1)
    first, last = request.GET.get("from", ""), request.GET.get("to", "")
    until = today.replace(day=monthrange(today.year, today.month)[1])
    return (
        date.fromisoformat(first) if first else before,
        date.fromisoformat(last) if last else until,
    )


def _file(found: Statement, wanted: str) -> HttpResponseBase:
    name = formats.build_file_name(found)
    if wanted == "pdf":
        return build_file_response(formats.render_statement(found), f"{name}.pdf")
    return table_file(formats.HEADINGS, formats.list_file_rows(found), name=name, file_format=wanted)


def _shown(one: CurrencyStatement) -> dict[str, Any]:
    def written(amount: Any) -> str:
        return format_amount(amount, one.currency)

    return {
        "currency": one.currency,
        "accounts": [
            {
                "name": formats.ACCOUNTS[name],
                "is_owed": name == "owed",
                "opening": written(account.opening),
                "rows": [
                    {
                        "on": entry.on,
                        "text": entry.movement.text,
                        "url": entry.movement.url,
                        "up": written(entry.movement.amount) if entry.movement.amount >= 0 else "",
                        "down": written(-entry.movement.amount) if entry.movement.amount < 0 else "",
                        "balance": written(entry.balance),
                    }
                    for entry in account.entries
                ],
                "up": written(account.sum_movements(up=True)),
                "down": written(-account.sum_movements(up=False)),
                "closing": written(account.closing),
            }
            for name, account in formats.list_accounts(one)
        ],
    }
