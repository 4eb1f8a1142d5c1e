"""What billing's admin pages share: money as people read it, states as badges, answers to dialogs."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.forms.formsets import INITIAL_FORM_COUNT, TOTAL_FORM_COUNT
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.forms import PaginationInlineFormSet

from billing.models import BillingRun, CreditNoteState, Invoice, InvoiceState
from billing.money import format_amount
from config.office.dialogs import ReasonForm

STATE_LABELS = {
    InvoiceState.DRAFT: "info",
    InvoiceState.FINALIZED: "warning",
    InvoiceState.PAID: "success",
    InvoiceState.VOID: "danger",
}
NOTE_COLOURS = {CreditNoteState.DRAFT: "info", CreditNoteState.FINALIZED: "success", CreditNoteState.VOID: "danger"}


def money(amount: Decimal, currency: str) -> SafeString:
    """Write an amount with its currency for a right-aligned cell; negative ones stand out."""
    kind = "ch-money ch-negative" if amount < 0 else "ch-money"
    return format_html('<span class="{}">{} <small>{}</small></span>', kind, format_amount(amount, currency), currency)


def sums(amounts: Iterable[tuple[str, Decimal]]) -> str:
    """Add up by currency: $18,203.40 + €90.00; an empty string for nothing."""
    totals: dict[str, Decimal] = {}
    for currency, amount in amounts:
        totals[currency] = totals.get(currency, Decimal(0)) + amount
    return " + ".join(format_amount(amount, currency) for currency, amount in sorted(totals.items()))


def run_money(run: BillingRun) -> str:
    """Write what a run invoiced, or would invoice, by currency."""
    return sums((currency, Decimal(amount)) for currency, amount in run.amounts.items())


class VoidForm(ReasonForm):
    """Say what the customer owes less once an invoice is void, and ask why."""

    form_before_template = "admin/billing/invoice/void_one.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"invoice": get_object_or_404(Invoice.objects.select_related("customer"), pk=object_id)}


class OptionalTab(PaginationInlineFormSet):
    """Rows of a tab that a form may be sent without: then nothing of it changes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        prefix, data = kwargs.get("prefix") or self.get_default_prefix(), kwargs.get("data")
        if data is not None and f"{prefix}-{TOTAL_FORM_COUNT}" not in data:
            kwargs["data"] = {f"{prefix}-{TOTAL_FORM_COUNT}": 0, f"{prefix}-{INITIAL_FORM_COUNT}": 0}
        super().__init__(*args, **kwargs)
