"""Reductions on credit notes of the invoices that they correct, where the company wants that."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.crediting import creditable, draft_credit_note, finalize_credit_note
from billing.late.policy import read_policy
from billing.models import BillingState, CreditNote, CreditReason, Invoice, LateAdjustment, LateState
from billing.payments import locked_invoice
from billing.refusals import CannotCredit
from config.audit import recorded

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
