"""Late usage in the background: credit reductions, bill ended subscriptions, check recent invoices every night."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing.charges.late_items import NOTHING, Figures, figures_by_price
from billing.charges.next_invoice import is_issued, late_invoice
from billing.explanation.proof import read_windows
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.issue import issue_invoice
from billing.invoicing.late_adjustments import after_of, before_of
from billing.invoicing.subscriptions import load_subscriptions
from billing.late_usage.checks import OF_USAGE, add_checks
from billing.late_usage.policy import read_policy
from billing.lifecycle.recompute import recompute
from billing.models import (
    BillingState,
    CreditNote,
    CreditReason,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    LateAdjustment,
    LateState,
    LineKind,
)
from billing.refusals import CannotCredit
from billing.settlement.credit_notes import apply_credit_note, draft_credit_note, list_creditable_lines
from billing.settlement.payments import lock_invoice
from config.audit import recorded
from config.refusals import Refused
from customers.periods import Period
from events.ledger.retention import ledger_horizon
from events.usage.meter import UsageRequest, floor_hour, usage_many

log = logging.getLogger(__name__)
DAYS = 62
INVOICES_AT_A_TIME = 250
type Key = tuple[int, datetime, int]  # subscription, period's start, price


def check_recent(*, now: datetime) -> int:
    """Add checks for the invoiced periods of the last two months whose lines and usage count different events.

    Returns how many. Differences that an adjustment holds already are left out. A second call returns the same.
    """
    count = 0
    for lines in _recent_lines(now - timedelta(days=DAYS)):
        differing = _differing(lines)
        add_checks(differing, now=now)
        count += len(differing)
    if count:
        log.warning("The usage of %s invoiced periods changed without a note. They will be recalculated.", count)
    return count


def _recent_lines(since: datetime) -> Iterator[list[InvoiceLine]]:
    final = Invoice.objects.filter(
        kind__in=OF_USAGE, state__in=(InvoiceState.FINALIZED, InvoiceState.PAID), period_end__gte=since
    )
    last = 0
    while ids := list(final.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:INVOICES_AT_A_TIME]):
        last = ids[-1]
        lines = InvoiceLine.objects.filter(invoice_id__in=ids, kind=LineKind.USAGE).select_related(
            "invoice__subscription"
        )
        yield list(lines.order_by("pk"))


def _differing(lines: Sequence[InvoiceLine]) -> set[tuple[int, Period]]:
    horizon = ledger_horizon()
    lines = [line for line in lines if horizon is None or not _is_pruned(line, horizon)]
    charged, counted = _charged(lines), _counted(lines)
    differing = set()
    for line in lines:
        key = _key(line)
        if (charged[key].events, charged[key].checksum) != (counted[key].events, counted[key].checksum):
            differing.add((key[0], _period(line.invoice)))
    return differing


def _is_pruned(line: InvoiceLine, horizon: datetime) -> bool:
    edges = [edge for span in read_windows(line.computation) for edge in (span.start, span.end)]
    return any(floor_hour(edge) != edge and floor_hour(edge) < horizon for edge in edges)


def _key(line: InvoiceLine) -> Key:
    period = _period(line.invoice)
    return line.invoice.subscription_id or 0, period.start, line.price_id or 0


def _period(invoice: Invoice) -> Period:
    if invoice.period_start is None or invoice.period_end is None:
        raise ValueError("The invoice of a billing period has no period")
    return Period(invoice.period_start, invoice.period_end)


def _charged(lines: Sequence[InvoiceLine]) -> dict[Key, Figures]:
    charged: dict[Key, Figures] = defaultdict(lambda: NOTHING)
    for line in lines:
        charged[_key(line)] = charged[_key(line)].plus(figures_by_price([line])[line.price_id or 0])
    rows = LateAdjustment.objects.filter(
        subscription_id__in={key[0] for key in charged}, period_start__in={key[1] for key in charged}
    )
    for row in rows.exclude(state=LateState.CANCELLED):
        key = (row.subscription_id, row.period_start, row.price_id)
        charged[key] = charged[key].plus(after_of(row).minus(before_of(row)))
    return charged


def _counted(lines: Sequence[InvoiceLine]) -> dict[Key, Figures]:
    line_spans = [(line, span) for line in lines for span in read_windows(line.computation)]
    requests = [
        UsageRequest(line.invoice.usage_customer_id, line.feature_id or 0, span.start, span.end)
        for line, span in line_spans
    ]
    counted: dict[Key, Figures] = defaultdict(lambda: NOTHING)
    for (line, _), usage in zip(line_spans, usage_many(requests), strict=True):
        counted[_key(line)] = counted[_key(line)].plus(Figures(events=usage.events, checksum=usage.checksum))
    return counted


MEMO = "Usage of the invoice's period is lower than the usage invoiced."


def credit_reductions(*, now: datetime) -> list[CreditNote]:
    """Write a credit note for every waiting reduction, if the policy says so; return the notes. Safe to repeat.

    A reduction that can't be credited in full, because its charge is on other invoices or was credited before, gets
    the reason and is deducted on the next invoice.
    """
    if not read_policy().credits_less:
        return []
    waiting = LateAdjustment.objects.filter(
        state=LateState.WAITING,
        amount__lt=0,
        invoice__state__in=(InvoiceState.FINALIZED, InvoiceState.PAID),
        reason="",
    )
    notes = [_credit(pk, now) for pk in list(waiting.order_by("pk").values_list("pk", flat=True))]
    return [note for note in notes if note is not None]


def _credit(pk: int, now: datetime) -> CreditNote | None:
    invoice = Invoice.objects.get(late_adjustments=pk)
    with transaction.atomic():
        locked = lock_invoice(invoice)
        row = _locked(pk)
        if row is None:
            return None
        try:
            with transaction.atomic():
                key = f"late-{row.public_id}"
                amounts = dict(_amounts(locked, row))
                reason = CreditReason.BILLING_ERROR
                draft = draft_credit_note(
                    locked, amounts, reason=reason, memo=MEMO, idempotency_key=key, is_late=True, by=None
                )
                note = apply_credit_note(draft, now=now, by=None)
        except CannotCredit as refused:
            row.reason = f"Deducted on the next invoice: {refused}"[:255]
            row.save()
            return None
        row.state, row.credit_note = LateState.CREDITED, note
        with recorded(by=None, reason=f"Credited by {note.number}"):
            row.save()
        return note


def _locked(pk: int) -> LateAdjustment | None:
    row = LateAdjustment.objects.get(pk=pk)
    BillingState.objects.select_for_update().filter(pk=row.subscription_id).first()
    return LateAdjustment.objects.select_for_update().filter(pk=pk, state=LateState.WAITING, amount__lt=0).first()


def _amounts(invoice: Invoice, row: LateAdjustment) -> Iterator[tuple[int, Decimal]]:
    """Spread the reduction, less the discounts of its charge, over the invoice's lines of its price."""
    remaining = -row.amount - row.discount_back
    for charge in list_creditable_lines(invoice):
        if charge.line.price_id == row.price_id and remaining > 0 and charge.remaining > 0:
            amount = min(remaining, charge.remaining)
            remaining -= amount
            yield charge.line.pk, amount
    if remaining > 0:
        raise CannotCredit(f"{invoice} has less than that left to credit.")


def bill_ended(*, now: datetime) -> list[Invoice]:
    """Draft an invoice for every ended subscription with waiting late usage; return the drafts.

    A subscription's existing draft is recomputed instead. Differences of zero make no invoice. Safe to repeat and to
    run concurrently: a subscription that another worker has locked is skipped.
    """
    waiting = LateAdjustment.objects.filter(state=LateState.WAITING, subscription__billing__due_at=None).exclude(
        amount=0
    )
    drafts = []
    for subscription_id in sorted(set(waiting.values_list("subscription_id", flat=True))):
        with transaction.atomic():
            invoice = _bill(subscription_id, now)
            drafts += [invoice] if invoice is not None else []
    return drafts


def _bill(subscription_id: int, now: datetime) -> Invoice | None:
    draft = Invoice.objects.filter(
        subscription=subscription_id, kind=InvoiceKind.LATE, state=InvoiceState.DRAFT
    ).first()
    if draft is not None:
        try:
            return recompute(draft, now=now)
        except Refused:  # finalized in the meantime: the next call makes a new draft
            return None
    state = BillingState.objects.select_for_update(skip_locked=True).filter(pk=subscription_id).first()
    if state is None:
        return None
    subscription = load_subscriptions([subscription_id])[subscription_id]
    invoice = late_invoice(subscription, now)
    if invoice is None or is_issued(subscription, invoice):  # one was issued at this very moment: the next call bills
        return None
    attach_conditions([subscription], lock=True)
    [computed] = compute_invoices([InvoiceRequest(subscription, invoice, now=now)])
    return issue_invoice(computed, now=now) if computed.lines else None
