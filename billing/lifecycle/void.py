"""Void, reissue and delete invoices."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing.invoicing.conditions import lock_coupons
from billing.invoicing.issue import issue
from billing.invoicing.late_adjustments import cancel_open, move_to_replacement, release, release_own
from billing.late_usage.checks import OF_USAGE
from billing.late_usage.reconcile import reconcile
from billing.lifecycle.recompute import (
    _lock_billing_states,
    _recompute,
    as_they_are,
    compute_again,
    next_invoice_of,
    save_changed,
)
from billing.models import (
    BillingState,
    CouponUse,
    CreditNoteState,
    Invoice,
    InvoiceState,
    LateState,
)
from billing.notifications import notify
from billing.refusals import CannotChange, Corrected, MoneyAttached
from billing.settlement.invoice_credit import return_credits
from billing.settlement.payments import pay_remaining_amount
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent


def void(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void a finalized invoice; it keeps its number. Its period can then be invoiced again, by `reissue`.

    Prepaid credit and uses of discounts go back to the customer; credit that it gave is taken back. Void already:
    returned as it is. Raises `MoneyAttached` if anything was paid, its kind `Corrected` if it has a credit note,
    `CreditSpent` if the credit that it gave is used up, `CannotChange` for a draft (delete it), `ReasonRequired`
    without a reason. Late usage that it carried waits for the next invoice; of a subscription that has ended, for
    approval or for the replacement.
    """
    return _void(invoice, reason=reason, by=by, now=now)


def _void(invoice: Invoice, *, reason: str, by: User | None, now: datetime, is_replaced: bool = False) -> Invoice:
    if not reason.strip():
        raise ReasonRequired("Say why the invoice is voided.")
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if locked.state == InvoiceState.VOID:
            return locked
        if locked.is_draft:
            raise CannotChange("A draft isn't voided: recompute or delete it.")
        if locked.amount_paid:
            raise MoneyAttached(f"{locked} has a payment. Refund it first, or write a credit note.")
        if locked.credit_notes.exclude(state=CreditNoteState.VOID).exists():
            raise Corrected(f"{locked} has a credit note. Void that first.")
        locked.state, locked.voided_at, locked.voided_by = InvoiceState.VOID, now, by
        locked.void_reason, locked.paid_at = reason.strip(), None
        _lock_billing_states([locked])
        lock_coupons([locked.customer_id])  # before the wallets: a replacement will use them
        return_credits(locked, now=now, by=by)
        CouponUse.objects.filter(invoice=locked, returned_at=None).update(returned_at=now)
        with recorded(by=by, reason=locked.void_reason):
            locked.save()
        notify(WebhookEvent.INVOICE_VOIDED, [locked], now=now)
        if is_replaced:
            release_own(locked)
        else:
            release(locked, _state_of_returned(locked))
        if locked.kind in OF_USAGE and not next_invoice_of(locked).is_settlement:
            cancel_open(locked)
        return locked


def _state_of_returned(invoice: Invoice) -> LateState:
    """Have what an ended subscription's void invoice carried wait for approval: the next hour would draft it again."""
    is_ended = BillingState.objects.filter(pk=invoice.subscription_id, due_at=None).exists()
    return LateState.HELD if is_ended else LateState.WAITING


def reissue(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void an invoice, if it isn't yet, and draft its replacement from what is known now, in one transaction.

    Replaced already: the replacement is returned. If the replacement can't be worked out, nothing is voided
    (`CannotChange`). It is made also when nothing is left to charge. It carries the late usage that the void one did,
    unless somebody decided about it since.
    """
    with transaction.atomic():
        old = _void(invoice, reason=reason, by=by, now=now, is_replaced=True)
        replacement = Invoice.objects.filter(replaces=old).first()
        if replacement is not None:
            return replacement
        if old.subscription_id is None:
            raise CannotChange("A one-off invoice isn't computed: write a new one.")
        _lock_billing_states([old])
        move_to_replacement(old)
        computed = compute_again([old])[0]
        if computed.problem:
            raise CannotChange(computed.problem)
        return _settled(issue(computed, now=now, replaces=old), now=now)


def _settled(draft: Invoice, *, now: datetime) -> Invoice:
    """Take off a replacement, which charges all usage of its period, what was settled of it as late usage elsewhere."""
    period = next_invoice_of(draft).period
    has_usage = draft.kind in OF_USAGE and period.start < period.end
    if has_usage and reconcile(draft.subscription_id or 0, [period], now=now, settling=True):
        before = as_they_are([draft])
        save_changed(_recompute([draft], now=now), before)
    return draft


def delete_draft(invoice: Invoice) -> None:
    """Delete a draft that isn't a subscription's. One of a subscription is recomputed: its period must be invoiced."""
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is finalized and can't be deleted: void it.")
        if locked.subscription_id is not None:
            raise CannotChange("A subscription's draft isn't deleted: recompute it, or finalize and void it.")
        locked.delete()


def mark_paid(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record a payment of all that is left on a finalized invoice. Paid already: returned as it is, else refused."""
    return pay_remaining_amount(invoice, now=now, by=by)
