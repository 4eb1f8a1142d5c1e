"""The review of drafts: what waits, what changed since the period before, what is held back and why."""

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
class Waiting:
    """Drafts of one currency: how many there are and are held back, and what they come to."""

    currency: str
    drafts: int
    held: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one chosen invoice: its number, or why it was passed over."""

    invoice: Invoice
    skipped: str = ""


def waiting() -> list[Waiting]:
    """Count the drafts and add them up, by currency. One query."""
    rows = Invoice.objects.drafts().order_by("currency").values("currency")
    found = rows.annotate(drafts=Count("pk"), held=Count("held_at"), total=Sum("total"))
    return [Waiting(row["currency"], row["drafts"], row["held"], row["total"]) for row in found]


def with_before(invoices: QuerySet[Invoice]) -> QuerySet[Any]:
    """Add to each invoice the one before it of the same subscription and kind: `before_id`, `before_total`, `change`.

    They are null where there is none; void ones and drafts of other periods to come don't count as before.
    """
    same = Invoice.objects.filter(
        subscription=OuterRef("subscription"), kind=OuterRef("kind"), period_start__lt=OuterRef("period_start")
    )
    before = same.exclude(state=InvoiceState.VOID).order_by("-period_start", "-pk")
    amount = DecimalField(max_digits=24, decimal_places=4)
    found: QuerySet[Any] = invoices.annotate(
        before_id=Subquery(before.values("pk")[:1]),
        before_total=Subquery(before.values("total")[:1], output_field=amount),
    ).annotate(change=F("total") - F("before_total"))
    return found


def most_changed_first(invoices: QuerySet[Any]) -> QuerySet[Any]:
    """Order invoices that have their `change` by how much it is, either way; those without one before come last."""
    found: QuerySet[Any] = invoices.annotate(size=Coalesce(Abs("change"), Decimal(-1)))
    return found.order_by("-size", "pk")


def hold(invoice: Invoice, *, reason: str, now: datetime, by: User | None) -> Invoice:
    """Keep a draft from being finalized until it is released. Held already: the reason is replaced.

    Raises `CannotChange` unless it is a draft, `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the draft is held back.")
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is {locked.get_state_display().lower()}: only a draft is held back.")
        locked.held_at, locked.held_by, locked.hold_reason = locked.held_at or now, by, reason.strip()
        return _keep(locked, by=by, reason=locked.hold_reason)


def release(invoice: Invoice, *, now: datetime, by: User | None) -> Invoice:
    """Let a draft that was held back be finalized again, by itself too. Not held back: returned as it is."""
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if locked.held_at is None:
            return locked
        locked.held_at, locked.held_by, locked.hold_reason = None, None, ""
        return _keep(locked, by=by)


def _keep(invoice: Invoice, *, by: User | None, reason: str = "") -> Invoice:
    with recorded(by=by, reason=reason):
        invoice.save(update_fields=["held_at", "held_by", "hold_reason", "updated_at"])
    return invoice


def why_not(invoice: Invoice) -> str:
    """Say why finalizing would pass an invoice over; an empty string if it wouldn't."""
    if not invoice.is_draft:
        return f"{invoice.get_state_display().lower()} already"
    return f"held back: {invoice.hold_reason}" if invoice.held_at else ""


def finalize_many(invoices: Iterable[Invoice], *, now: datetime, by: User | None) -> Sequence[Outcome]:
    """Finalize drafts one by one, in the order of their keys; say of each what became of it. One refused stops none."""
    outcomes = []
    for invoice in sorted(invoices, key=lambda each: each.pk):
        reason = why_not(invoice)
        if reason:
            outcomes.append(Outcome(invoice, reason))
            continue
        try:
            outcomes.append(Outcome(finalize(invoice, now=now, by=by)))
        except Refused as refused:
            outcomes.append(Outcome(invoice, str(refused)))
    return outcomes
