"""The nightly look whether invoiced lines still say what usage says: finds what no note told of."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing.charges.late_items import NOTHING, Figures, of_prices
from billing.charges.next_invoice import late_invoice
from billing.explanation.proof import spans_of
from billing.invoicing.compute import InvoiceRequest, compute_invoices
from billing.invoicing.conditions import attach_conditions
from billing.invoicing.issue import issue
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
from billing.settlement.credit_notes import creditable, draft_credit_note, finalize_credit_note
from billing.settlement.payments import locked_invoice
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
    """Note the periods of the last two months' invoices whose usage lines count other events than usage does now.

    Returns how many. What an adjustment says already is no difference. A second call finds the same.
    """
    found = 0
    for lines in _recent_lines(now - timedelta(days=DAYS)):
        differing = _differing(lines)
        add_checks(differing, now=now)
        found += len(differing)
    if found:
        log.warning("Usage of %s invoiced periods changed without a note: they are worked out anew", found)
    return found


def _recent_lines(since: datetime) -> Iterator[list[InvoiceLine]]:
    final = Invoice.objects.filter(
        kind__in=OF_USAGE, state__in=(InvoiceState.FINALIZED, InvoiceState.PAID), period_end__gte=since
    )
    last = 0
    while ids := list(final.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:INVOICES_AT_A_TIME]):
        last = ids[-1]
        lines = InvoiceLine.objects.filter(invoice_id__in=ids, kind=LineKind.USAGE).select_related("invoice")
        yield list(lines.order_by("pk"))


def _differing(lines: Sequence[InvoiceLine]) -> set[tuple[int, Period]]:
    horizon = ledger_horizon()
    lines = [line for line in lines if horizon is None or not _is_gone(line, horizon)]
    charged, counted = _charged(lines), _counted(lines)
    found = set()
    for line in lines:
        key = _key(line)
        if (charged[key].events, charged[key].checksum) != (counted[key].events, counted[key].checksum):
            found.add((key[0], _period(line.invoice)))
    return found


def _is_gone(line: InvoiceLine, horizon: datetime) -> bool:
    edges = [edge for span in spans_of(line) for edge in (span.start, span.end)]
    return any(floor_hour(edge) != edge and floor_hour(edge) < horizon for edge in edges)


def _key(line: InvoiceLine) -> Key:
    period = _period(line.invoice)
    return line.invoice.subscription_id or 0, period.start, line.price_id or 0


def _period(invoice: Invoice) -> Period:
    if invoice.period_start is None or invoice.period_end is None:
        raise ValueError("The invoice of a billing period has one")
    return Period(invoice.period_start, invoice.period_end)


def _charged(lines: Sequence[InvoiceLine]) -> dict[Key, Figures]:
    found: dict[Key, Figures] = defaultdict(lambda: NOTHING)
    for line in lines:
        found[_key(line)] = found[_key(line)].plus(of_prices([line])[line.price_id or 0])
    rows = LateAdjustment.objects.filter(
        subscription_id__in={key[0] for key in found}, period_start__in={key[1] for key in found}
    )
    for row in rows.exclude(state=LateState.CANCELLED):
        key = (row.subscription_id, row.period_start, row.price_id)
        found[key] = found[key].plus(after_of(row).minus(before_of(row)))
    return found


def _counted(lines: Sequence[InvoiceLine]) -> dict[Key, Figures]:
    asks = [(line, span) for line in lines for span in spans_of(line)]
    requests = [
        UsageRequest(line.invoice.customer_id, line.feature_id or 0, span.start, span.end) for line, span in asks
    ]
    found: dict[Key, Figures] = defaultdict(lambda: NOTHING)
    for (line, _), usage in zip(asks, usage_many(requests), strict=True):
        found[_key(line)] = found[_key(line)].plus(Figures(events=usage.events, checksum=usage.checksum))
    return found


MEMO = "Usage of the invoice's period is lower than was invoiced."


def credit_reductions(*, now: datetime) -> list[CreditNote]:
    """Write a credit note for every reduction that waits, if the policy says so; return them. Safe to repeat.

    What can't be credited in full, because the charge stands on other invoices or was credited before, says why and is
    taken off the next invoice.
    """
    if not read_policy().credits_less:
        return []
    waiting = LateAdjustment.objects.filter(
        state=LateState.WAITING, amount__lt=0, invoice__state__in=("finalized", "paid"), reason=""
    )
    found = []
    for pk in list(waiting.order_by("pk").values_list("pk", flat=True)):
        note = _credit(pk, now)
        found += [note] if note is not None else []
    return found


def _credit(pk: int, now: datetime) -> CreditNote | None:
    invoice = Invoice.objects.get(late_adjustments=pk)
    with transaction.atomic():
        locked = locked_invoice(invoice)
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
                note = finalize_credit_note(draft, now=now, by=None)
        except CannotCredit as refused:
            row.reason = f"Taken off the next invoice: {refused}"[:255]
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
    """Spread the reduction, after the discounts that its charge had, over the invoice's lines of its price."""
    left = -row.amount - row.discount_back
    for each in creditable(invoice):
        if each.line.price_id == row.price_id and left > 0 and each.left > 0:
            part = min(left, each.left)
            left -= part
            yield each.line.pk, part
    if left > 0:
        raise CannotCredit(f"{invoice} doesn't hold all of it any more.")


def bill_ended(*, now: datetime) -> list[Invoice]:
    """Draft an invoice for every ended subscription that late usage waits for; return those that were drafted.

    One that has such a draft already takes the rest in. Differences of nothing make no invoice. Safe to repeat, and
    side by side: a subscription that somebody else bills is passed over.
    """
    waiting = LateAdjustment.objects.filter(state=LateState.WAITING, subscription__billing__due_at=None).exclude(
        amount=0
    )
    found = []
    for subscription_id in sorted(set(waiting.values_list("subscription_id", flat=True))):
        with transaction.atomic():
            invoice = _bill(subscription_id, now)
            found += [invoice] if invoice is not None else []
    return found


def _bill(subscription_id: int, now: datetime) -> Invoice | None:
    draft = Invoice.objects.filter(
        subscription=subscription_id, kind=InvoiceKind.LATE, state=InvoiceState.DRAFT
    ).first()
    if draft is not None:
        try:
            return recompute(draft, now=now)
        except Refused:  # finalized meanwhile: the next call makes another
            return None
    state = BillingState.objects.select_for_update(skip_locked=True).filter(pk=subscription_id).first()
    if state is None:
        return None
    subscription = load_subscriptions([subscription_id])[subscription_id]
    step = late_invoice(subscription, now)
    if step is None:
        return None
    attach_conditions([subscription], lock=True)
    [computed] = compute_invoices([InvoiceRequest(subscription, step)])
    return issue(computed, now=now) if computed.lines else None
