"""Helpers shared by billing's admin pages: formatted amounts, badge colors, answers to dialogs."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.forms.formsets import INITIAL_FORM_COUNT, TOTAL_FORM_COUNT
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.forms import BaseDialogForm, PaginationInlineFormSet
from unfold.widgets import UnfoldAdminTextareaWidget

from billing.models import BillingRun, CreditNoteState, InvoiceState
from billing.money import format_amount
from config.office.base import page_of

INVOICE_COLORS = {
    InvoiceState.DRAFT: "info",
    InvoiceState.FINALIZED: "warning",
    InvoiceState.PAID: "success",
    InvoiceState.VOID: "danger",
}
CREDIT_NOTE_COLORS = {
    CreditNoteState.DRAFT: "info",
    CreditNoteState.FINALIZED: "success",
    CreditNoteState.VOID: "danger",
}
STYLES = {"all": ("billing/admin.css",)}


def money_cell(amount: Decimal, currency: str) -> SafeString:
    """Format an amount with its currency for a right-aligned cell. Negative amounts are highlighted."""
    css_class = "money negative" if amount < 0 else "money"
    return format_html(
        '<span class="{}">{} <small>{}</small></span>', css_class, format_amount(amount, currency), currency
    )


def format_totals(amounts: Iterable[tuple[str, Decimal]]) -> str:
    """Add amounts by currency and format the totals: $18,203.40 + €90.00. Empty if there are none."""
    totals: dict[str, Decimal] = {}
    for currency, amount in amounts:
        totals[currency] = totals.get(currency, Decimal(0)) + amount
    return " + ".join(format_amount(amount, currency) for currency, amount in sorted(totals.items()))


def format_run_totals(run: BillingRun) -> str:
    """Format the amounts that a run invoiced, or would invoice, by currency."""
    return format_totals((currency, Decimal(amount)) for currency, amount in run.amounts.items())


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: 1 invoice, 1,250 invoices."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def link(row: Model | None) -> SafeString | str:
    """Link to an object's admin page, or return a dash."""
    if row is None:
        return "–"
    return format_html('<a class="text-link" href="{}">{}</a>', page_of(row), row)


def answer(request: HttpRequest, url: str, message: str, *, level: int = messages.SUCCESS) -> HttpResponse:
    """Add a message and open a page, from a dialog or a plain form."""
    messages.add_message(request, level, message)
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


class ReasonForm(BaseDialogForm):
    """A dialog that asks for a reason."""

    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="The reason is kept with the invoice.",
    )


class OptionalTab(PaginationInlineFormSet):
    """Inline rows that a form can be submitted without. They then stay unchanged."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        prefix, data = kwargs.get("prefix") or self.get_default_prefix(), kwargs.get("data")
        if data is not None and f"{prefix}-{TOTAL_FORM_COUNT}" not in data:
            kwargs["data"] = {f"{prefix}-{TOTAL_FORM_COUNT}": 0, f"{prefix}-{INITIAL_FORM_COUNT}": 0}
        super().__init__(*args, **kwargs)
