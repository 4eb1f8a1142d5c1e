"""The page of one late usage adjustment, and the adjustments shown on the invoice they correct."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.urls import reverse

from billing.invoicing.late_adjustments import after_of, before_of
from billing.models import Invoice, LateAdjustment, LateState
from billing.money import format_amount
from billing.wording import dates
from config.numbers import number
from customers.periods import Period

COLORS = {
    LateState.HELD: "warning",
    LateState.WAITING: "info",
    LateState.SMALL: "info",
    LateState.INVOICED: "success",
    LateState.CREDITED: "success",
    LateState.IGNORED: "danger",
    LateState.CANCELLED: "",
}


def format_period(adjustment: LateAdjustment) -> str:
    """Format the invoiced period in the subscription's time zone."""
    period = Period(adjustment.period_start, adjustment.period_end)
    return dates(period, adjustment.subscription.timezone)


def credit_notes_url(adjustment: LateAdjustment) -> str:
    """Return the URL of the corrected invoice's credit notes."""
    return reverse("admin:billing_creditnote_changelist", query={"q": str(adjustment.invoice or "")})


def page_context(adjustment: LateAdjustment) -> dict[str, Any]:
    """Compare the original charge with the recalculated one."""
    currency = adjustment.currency
    before, after = before_of(adjustment), after_of(adjustment)
    charged = replace(before, amount=before.amount + adjustment.credited)
    columns = (charged, after, after.minus(before))
    return {
        "row": adjustment,
        "sides": [
            ("Used", *(number(column.quantity) for column in columns)),
            ("Free units", *(number(column.free) for column in columns)),
            ("Events", *(f"{column.events:,}" for column in columns)),
            ("Amount", *(format_amount(column.amount, currency) for column in columns)),
        ],
        "credited": format_amount(adjustment.credited, currency) if adjustment.credited else "",
        "notes_url": credit_notes_url(adjustment),
        "period": format_period(adjustment),
        "state_kind": COLORS[LateState(adjustment.state)],
        "recalculated_lines": [
            (line["description"], format_amount(Decimal(line["amount"]), currency)) for line in adjustment.again
        ],
        "list_url": reverse("admin:billing_lateadjustment_changelist"),
    }


def corrections_of(invoice: Invoice) -> list[tuple[str, str, str]]:
    """List the late usage adjustments of an invoice: the amount, where it is billed, and the URL."""
    adjustments = LateAdjustment.objects.filter(invoice=invoice).exclude(state=LateState.CANCELLED)
    return [
        (format_amount(adjustment.amount, adjustment.currency), *_place(adjustment))
        for adjustment in adjustments.select_related("line__invoice", "credit_note").order_by("pk")
    ]


def _place(adjustment: LateAdjustment) -> tuple[str, str]:
    if adjustment.line is not None:
        return f"on {adjustment.line.invoice}", adjustment.line.invoice.get_absolute_url()
    if adjustment.credit_note is not None:
        return f"on credit note {adjustment.credit_note}", adjustment.get_absolute_url()
    return adjustment.get_state_display().lower(), adjustment.get_absolute_url()
