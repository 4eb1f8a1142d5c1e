"""Review drafts before they are finalized: totals, changes since the previous period, drafts on hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, DecimalField, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Abs, Coalesce

from billing.lifecycle.finalize import finalize
from billing.models import Invoice, InvoiceState
from billing.refusals import CannotChange
from billing.settlement.payments import lock_invoice
from config.audit import recorded
from config.refusals import ReasonRequired, Refused


@dataclass(frozen=True, slots=True)
class DraftTotals:
    """The drafts of one currency: how many, how many of them on hold, and their total."""

    currency: str
    drafts: int
    held: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one selected invoice: finalized, or the reason why it was skipped."""

    invoice: Invoice
    skipped: str = ""


def total_drafts() -> list[DraftTotals]:
    """Count and total the drafts by currency, in one query."""
    rows = Invoice.objects.drafts().order_by("currency").values("currency")
    totals = rows.annotate(drafts=Count("pk"), held=Count("held_at"), total=Sum("total"))
    return [DraftTotals(row["currency"], row["drafts"], row["held"], row["total"]) for row in totals]


def with_previous(invoices: QuerySet[Invoice]) -> QuerySet[Any]:
    """Annotate invoices with the previous invoice of the same subscription and kind.

    `before_id`, `before_total` and `change` are null if there is none. Void invoices don't count.
    """
    earlier = Invoice.objects.filter(
        subscription=OuterRef("subscription"), kind=OuterRef("kind"), period_start__lt=OuterRef("period_start")
    )
    previous = earlier.exclude(state=InvoiceState.VOID).order_by("-period_start", "-pk")
    amount = DecimalField(max_digits=24, decimal_places=4)
    annotated: QuerySet[Any] = invoices.annotate(
        before_id=Subquery(previous.values("pk")[:1]),
        before_total=Subquery(previous.values("total")[:1], output_field=amount),
    ).annotate(change=F("total") - F("before_total"))
    return annotated


def most_changed_first(invoices: QuerySet[Any]) -> QuerySet[Any]:
    """Order invoices by the size of their `change`, up or down. Invoices without a previous one come last."""
    sized: QuerySet[Any] = invoices.annotate(size=Coalesce(Abs("change"), Decimal(-1)))
    return sized.order_by("-size", "pk")


def hold(invoice: Invoice, *, reason: str, now: datetime, by: User | None) -> Invoice:
    """Put a draft on hold: it can't be finalized until it is released. If it is on hold, the reason is replaced.

    Raises `CannotChange` unless the invoice is a draft, and `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for putting the draft on hold.")
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is {locked.get_state_display().lower()}: only a draft can be put on hold.")
        locked.held_at, locked.held_by, locked.hold_reason = locked.held_at or now, by, reason.strip()
        return _save_hold(locked, by=by, reason=locked.hold_reason)


def release(invoice: Invoice, *, now: datetime, by: User | None) -> Invoice:
    """Take a draft off hold, so that it can be finalized again, also automatically. Any other is returned unchanged."""
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if locked.held_at is None:
            return locked
        locked.held_at, locked.held_by, locked.hold_reason = None, None, ""
        return _save_hold(locked, by=by)


def _save_hold(invoice: Invoice, *, by: User | None, reason: str = "") -> Invoice:
    with recorded(by=by, reason=reason):
        invoice.save(update_fields=["held_at", "held_by", "hold_reason", "updated_at"])
    return invoice


def reason_to_skip(invoice: Invoice) -> str:
    """Return why finalizing would skip an invoice, or an empty string."""
    if not invoice.is_draft:
        return f"already {invoice.get_state_display().lower()}"
    return f"on hold: {invoice.hold_reason}" if invoice.held_at else ""


def finalize_many(invoices: Iterable[Invoice], *, now: datetime, by: User | None) -> Sequence[Outcome]:
    """Finalize drafts one by one, in the order of their keys. A draft that is refused doesn't stop the others."""
    outcomes = []
    for invoice in sorted(invoices, key=lambda invoice: invoice.pk):
        reason = reason_to_skip(invoice)
        if reason:
            outcomes.append(Outcome(invoice, reason))
            continue
        try:
            outcomes.append(Outcome(finalize(invoice, now=now, by=by)))
        except Refused as refused:
            outcomes.append(Outcome(invoice, str(refused)))
    return outcomes
