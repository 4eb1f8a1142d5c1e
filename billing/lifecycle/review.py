"""Review drafts before they are finalized: totals, changes since the previous period, drafts on hold."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, DecimalField, F, OuterRef, Q, QuerySet, Subquery, Sum, TextChoices
from django.db.models.functions import Abs, Coalesce

from billing.lifecycle.finalize import finalize
from billing.models import Invoice, InvoiceState
from billing.money import format_amount
from billing.refusals import CannotChange
from billing.settlement.payments import lock_invoice
from config.approvals.gate import Action, ApprovalNeeded, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import ReasonRequired, Refused

MUCH = Decimal("0.2")  # of the previous total


@dataclass(frozen=True, slots=True)
class DraftTotals:
    """The drafts of one currency: how many, how many of them on hold, and their total."""

    currency: str
    drafts: int
    held: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one selected invoice: finalized or put on hold, or the reason why it was skipped."""

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


class DraftView(TextChoices):
    """Which drafts to review."""

    ALL = "", "All"
    READY = "ready", "Ready"
    HELD = "held", "On hold"
    CHANGED = "changed", "Changes over 20 %"


class DraftOrder(TextChoices):
    """How drafts to review are sorted."""

    CHANGE = "change", "Largest change first"
    INCREASE = "increase", "Largest increase first"
    DECREASE = "decrease", "Largest decrease first"
    TOTAL = "total", "Highest total first"
    CUSTOMER = "customer", "Customer"


@dataclass(frozen=True, slots=True)
class DraftSearch:
    """Which drafts to review, and their order. `text` searches customers' names and external IDs, and drafts' IDs."""

    view: DraftView = DraftView.ALL
    currency: str = ""
    text: str = ""
    order: DraftOrder = DraftOrder.CHANGE

    def drafts(self) -> QuerySet[Any]:
        """Return the drafts with their previous invoice, sorted."""
        drafts = with_previous(Invoice.objects.drafts())
        if self.view in (DraftView.HELD, DraftView.READY):
            drafts = drafts.filter(held_at__isnull=self.view == DraftView.READY)
        if self.view == DraftView.CHANGED:
            drafts = drafts.filter(CHANGED_MUCH)
        if self.currency:
            drafts = drafts.filter(currency=self.currency)
        if self.text:
            drafts = drafts.filter(_matches(self.text))
        return sort_drafts(drafts, self.order)

    def totals(self) -> dict[str, Decimal]:
        """Total the drafts by currency, in one query."""
        rows = self.drafts().order_by().values("currency").annotate(sum=Sum("total"))
        return {row["currency"]: row["sum"] for row in rows}


# From 50.00, 60.00 isn't over 20 %, but 60.01 is. From 0.00, every change is.
CHANGED_MUCH = Q(change__gt=Abs(F("before_total")) * MUCH) | Q(change__lt=-Abs(F("before_total")) * MUCH)


def _matches(text: str) -> Q:
    matches = Q(customer__name__icontains=text) | Q(customer__external_id__icontains=text)
    return matches | Q(public_id__iendswith=text) | Q(po_number__icontains=text)


def sort_drafts(invoices: QuerySet[Any], order: DraftOrder) -> QuerySet[Any]:
    """Sort invoices that have a `change`. Those without a previous invoice come last when sorted by it."""
    if order == DraftOrder.CUSTOMER:
        return invoices.order_by("customer__name", "pk")
    if order == DraftOrder.TOTAL:
        return invoices.order_by("-total", "pk")
    if order == DraftOrder.INCREASE:
        return invoices.order_by(F("change").desc(nulls_last=True), "pk")
    if order == DraftOrder.DECREASE:
        return invoices.order_by(F("change").asc(nulls_last=True), "pk")
    return most_changed_first(invoices)


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


def hold_many(invoices: Iterable[Invoice], *, reason: str, now: datetime, by: User | None) -> Sequence[Outcome]:
    """Put drafts on hold, all in one transaction. Invoices that aren't drafts are skipped.

    A draft that is on hold already gets the new reason. Raises `ReasonRequired`.
    """
    outcomes = []
    with transaction.atomic():
        for invoice in sorted(invoices, key=lambda invoice: invoice.pk):
            try:
                outcomes.append(Outcome(hold(invoice, reason=reason, now=now, by=by)))
            except CannotChange as refused:
                outcomes.append(Outcome(invoice, str(refused)))
    return outcomes


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


@dataclass(frozen=True, slots=True)
class CustomerChange:
    """By how much a customer's invoices in one currency differ, in all, from the invoices before them."""

    customer_id: int
    name: str
    external_id: str
    currency: str
    change: Decimal


def largest_changes(rows: QuerySet[Any], customer: str = "customer", *, most: int = 10) -> list[CustomerChange]:
    """Add up the `change` of rows by customer, and list the largest of each currency, up or down. One query.

    `customer` is the path from a row to its customer. Rows without a change, such as first invoices, don't count.
    """
    names = (f"{customer}__pk", f"{customer}__name", f"{customer}__external_id", "currency")
    sums = rows.filter(change__isnull=False).order_by().values_list(*names).annotate(sum=Sum("change")).exclude(sum=0)
    changes = [CustomerChange(*row) for row in sums.order_by("currency", Abs("sum").desc(), f"{customer}__pk")]
    return [row for _, group in groupby(changes, key=attrgetter("currency")) for row in islice(group, most)]


def percent_of(change: Decimal | None, before: Decimal | None) -> int | None:
    """Return a change in percent of the amount before, up or down; None from zero. From -10.00 to 20.00 is +300 %."""
    return round(change * 100 / abs(before)) if change is not None and before else None


def reason_to_skip(invoice: Invoice) -> str:
    """Return why finalizing would skip an invoice, or an empty string."""
    if not invoice.is_draft:
        return f"already {invoice.get_state_display().lower()}"
    return f"on hold: {invoice.hold_reason}" if invoice.held_at else ""


def finalize_many(invoices: Iterable[Invoice], *, now: datetime, by: User | None) -> Sequence[Outcome]:
    """Finalize drafts one by one, in the order of their keys. A draft that is refused doesn't stop the others.

    The other sections of their joint invoices are included. Finalizing many can need approval (`ApprovalNeeded`); a
    draft that needs one of its own is skipped.
    """
    invoices = _add_sections(invoices)
    if ready := [invoice for invoice in invoices if not reason_to_skip(invoice)]:
        require_approval(_describe_many(ready), by=by)
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
        except ApprovalNeeded:
            outcomes.append(Outcome(invoice, "its negative items need approval: finalize it on its page"))
    return outcomes


def _add_sections(invoices: Iterable[Invoice]) -> list[Invoice]:
    """Add the other sections of the joint invoices to which these drafts belong."""
    invoices = list(invoices)
    joint_ids = {invoice.joint_id for invoice in invoices if invoice.is_draft and invoice.joint_id is not None}
    if not joint_ids:
        return invoices
    known = {invoice.pk for invoice in invoices}
    others = Invoice.objects.filter(joint__in=joint_ids).exclude(pk__in=known).select_related("customer")
    return [*invoices, *others]


def _describe_many(drafts: Sequence[Invoice]) -> Action:
    ordered = sorted(drafts, key=lambda draft: draft.pk)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for draft in ordered:
        totals[draft.currency] += draft.total
    money = ", ".join(format_amount(total, currency) for currency, total in sorted(totals.items()))
    count = f"{len(ordered):,} {'draft' if len(ordered) == 1 else 'drafts'}"
    return Action(
        Operation.FINALIZE_MANY,
        [ApprovalKind.BULK_FINALIZE],
        ordered,
        {"invoices": {draft.public_id: str(draft.total) for draft in ordered}},
        title=f"Finalize {count}: {money}",
        effect=f"The customers owe {money}. Finalized invoices can't be changed.",
        amounts=totals,
    )
