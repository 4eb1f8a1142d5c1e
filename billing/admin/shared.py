"""Helpers shared by billing's admin pages: formatted amounts, links and badge colors."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from django.db.models import Model
from django.forms.formsets import INITIAL_FORM_COUNT, TOTAL_FORM_COUNT
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.forms import PaginationInlineFormSet

from billing.models import BillingRun, CreditNoteState
from billing.money import format_amount, round_amount
from config.office.files import Source, read_value
from config.office.links import admin_url, page_of

CREDIT_NOTE_COLORS = {
    CreditNoteState.DRAFT: "info",
    CreditNoteState.FINALIZED: "success",
    CreditNoteState.VOID: "danger",
}


def money_cell(amount: Decimal, currency: str) -> SafeString:
    """Format an amount with its currency, once, for a right-aligned cell. Negative amounts are highlighted."""
    css_class = "ch-money ch-negative" if amount < 0 else "ch-money"
    text = format_amount(amount, currency)
    beside = "" if currency in text else format_html(" <small>{}</small>", currency)
    return format_html('<span class="{}">{}{}</span>', css_class, text, beside)


def rounded(amount: str, currency: str = "currency") -> Source:
    """Return the source of an export's column: an amount with its currency's decimals, by two attribute paths."""

    def read(row: Any) -> Decimal | None:
        value = read_value(row, amount)
        return None if value is None else round_amount(value, read_value(row, currency))

    return read


def format_totals(amounts: Iterable[tuple[str, Decimal]]) -> str:
    """Add amounts by currency and format the totals: $18,203.40 + €90.00. Empty if there are none."""
    totals: dict[str, Decimal] = {}
    for currency, amount in amounts:
        totals[currency] = totals.get(currency, Decimal(0)) + amount
    return " + ".join(format_amount(amount, currency) for currency, amount in sorted(totals.items()))


def format_run_totals(run: BillingRun) -> str:
    """Format the amounts that a run invoiced, or would invoice, by currency."""
    return format_totals((currency, Decimal(amount)) for currency, amount in run.amounts.items())


def unapplied_url(*, customer: int) -> str:
    """Return the address of a customer's payments with an unapplied amount."""
    return admin_url("billing_payment_changelist", unapplied="yes", customer__id__exact=customer)


def link(row: Model | None) -> SafeString | str:
    """Link to an object's admin page, or return a dash."""
    if row is None:
        return "–"
    return format_html('<a class="ch-link" href="{}">{}</a>', page_of(row), row)


class OptionalTab(PaginationInlineFormSet):
    """Inline rows that a form can be submitted without. They then stay unchanged."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        prefix, data = kwargs.get("prefix") or self.get_default_prefix(), kwargs.get("data")
        if data is not None and f"{prefix}-{TOTAL_FORM_COUNT}" not in data:
            kwargs["data"] = {f"{prefix}-{TOTAL_FORM_COUNT}": 0, f"{prefix}-{INITIAL_FORM_COUNT}": 0}
        super().__init__(*args, **kwargs)


def amount_formatter(currency: str) -> Callable[[Decimal], str]:
    """Return the function that formats amounts of a currency, for charts."""
    return partial(format_amount, currency=currency)
