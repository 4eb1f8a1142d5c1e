"""Void, reissue and delete invoices."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing.adjustments.coupons import set_invoice_coupons
from billing.invoicing.conditions import lock_coupons
from billing.invoicing.issue import issue_invoice
from billing.invoicing.late_adjustments import cancel_open, move_to_replacement, release, release_own
from billing.late_usage.checks import OF_USAGE
from billing.late_usage.reconcile import reconcile
from billing.lifecycle.extra_lines import copy_extra_lines
from billing.lifecycle.recompute import (
    lock_billing_states,
    next_invoice_of,
    recompute_drafts,
    recompute_invoices,
    save_changes,
    snapshot,
)
from billing.models import (
    BillingState,
    CouponUse,
    CreditNoteState,
    Invoice,
    InvoiceLine,
    InvoiceState,
    JointInvoice,
    LateState,
)
from billing.money import ZERO, format_amount
from billing.notifications import notify
from billing.refusals import CannotChange, Corrected, MoneyAttached
from billing.settlement.invoice_credit import return_credits
from billing.settlement.joint_invoices import lock_sections
from billing.settlement.payments import pay_remaining_amount
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent


def void(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void a finalized invoice; it keeps its number. `reissue` can then invoice its period again.

    The customer gets back prepaid credit and coupon uses; credit that the invoice granted is revoked. Late usage on the
    invoice waits for the next invoice or, if the subscription has ended, for approval. All sections of a joint invoice
    are voided together. A void invoice is returned unchanged. Raises `MoneyAttached` if anything was paid, `Corrected`
    (a `MoneyAttached`) if there is a credit note, `CreditSpent` if the credit that it granted is used, `CannotChange`
    for a draft, `ReasonRequired` without a reason, `ApprovalNeeded`.
    """
    with transaction.atomic():
        voided, changed = _void_with_sections(invoice, reason=reason, by=by, now=now)
        if changed:
            require_approval(_describe_void(voided, changed, Operation.VOID_INVOICE, reason), by=by)
        return next(section for section in voided if section.pk == invoice.pk)


def _void_with_sections(
    invoice: Invoice, *, reason: str, by: User | None, now: datetime, is_replaced: bool = False
) -> tuple[list[Invoice], list[Invoice]]:
    """Void an invoice and the other sections of its joint invoice. Return all of them, and those not void before."""
    sections = lock_sections(invoice)
    if len(sections) > 1:  # in the order of decision 67, before the sections are voided one by one
        lock_billing_states(sections)
        lock_coupons({section.customer_id for section in sections})
    results = [_void(section, reason=reason, by=by, now=now, is_replaced=is_replaced) for section in sections]
    return [voided for voided, _ in results], [voided for voided, is_changed in results if is_changed]


def _describe_void(
    sections: Sequence[Invoice], changed: Sequence[Invoice], operation: Operation, reason: str
) -> Action:
    voided, total = changed[0], sum((section.total for section in changed), ZERO)
    name = voided.joint if voided.joint is not None and len(sections) > 1 else voided
    amount = format_amount(total, voided.currency)
    is_reissued = operation == Operation.REISSUE_INVOICE
    return Action(
        operation,
        [ApprovalKind.VOID],
        [voided],
        {"reason": reason.strip()},
        title=f"{operation.label} {name} of {voided.customer}: {amount}",
        effect=f"{amount} is no longer due. Prepaid credit and discounts used on it are returned."
        + (" A replacement is drafted from current data." if is_reissued else ""),
        amounts={voided.currency: total},
    )


def _void(
    invoice: Invoice, *, reason: str, by: User | None, now: datetime, is_replaced: bool = False
) -> tuple[Invoice, bool]:
    """Return the void invoice, and whether it wasn't void before."""
    if not reason.strip():
        raise ReasonRequired("Enter a reason for voiding the invoice.")
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if locked.state == InvoiceState.VOID:
            return locked, False
        if locked.is_draft:
            raise CannotChange("A draft can't be voided. Recalculate or delete it.")
        if locked.amount_paid:
            raise MoneyAttached(f"{locked} has a payment. Refund it first, or create a credit note.")
        if locked.credit_notes.exclude(state=CreditNoteState.VOID).exists():
            raise Corrected(f"{locked} has a credit note. Void the credit note first.")
        locked.state, locked.voided_at, locked.voided_by = InvoiceState.VOID, now, by
        locked.void_reason, locked.paid_at = reason.strip(), None
        lock_billing_states([locked])
        lock_coupons([locked.customer_id])  # before the wallets, because a replacement will use the coupons
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
        return locked, True


def _state_of_returned(invoice: Invoice) -> LateState:
    """Return the state of late usage on a void invoice.

    If the subscription has ended, the usage is held for approval: otherwise the next run would draft it again.
    """
    is_ended = BillingState.objects.filter(pk=invoice.subscription_id, due_at=None).exists()
    return LateState.HELD if is_ended else LateState.WAITING


def reissue(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void an invoice, unless it is void already, and draft its replacement from current data, in one transaction.

    All sections of a joint invoice are voided and replaced together. An existing replacement is returned. If the
    replacement can't be calculated, nothing is voided (`CannotChange`). It is created even if nothing is left to
    charge. It has the late usage of the void invoice, unless staff have decided about it since, and the void invoice's
    extra lines, memo and PO number. Only a person finalizes it. Voiding can need approval (`ApprovalNeeded`).
    """
    with transaction.atomic():
        voided, changed = _void_with_sections(invoice, reason=reason, by=by, now=now, is_replaced=True)
        replacements = [_replace(section, now=now) for section in voided]
        _join_replacements(replacements)
        if changed:
            require_approval(_describe_void(voided, changed, Operation.REISSUE_INVOICE, reason), by=by)
        return next(draft for draft in replacements if draft.replaces_id == invoice.pk)


def _replace(voided: Invoice, *, now: datetime) -> Invoice:
    """Return the replacement of a void invoice, drafted unless there is one."""
    replacement = Invoice.objects.filter(replaces=voided).first()
    if replacement is not None:
        return replacement
    if voided.subscription_id is None:
        raise CannotChange("A one-off invoice can't be reissued. Create a new one.")
    lock_billing_states([voided])
    move_to_replacement(voided)
    extra_lines = copy_extra_lines(voided)
    computed = recompute_invoices([voided], now=now, kept={voided.pk: extra_lines})[0]
    if computed.problem:
        raise CannotChange(computed.problem)
    draft = issue_invoice(computed, now=now, replaces=voided)
    for line in extra_lines:
        line.invoice = draft
    InvoiceLine.objects.bulk_create(extra_lines)
    return _subtract_settled_usage(draft, now=now)


def _join_replacements(replacements: Sequence[Invoice]) -> None:
    """Make the replacements of a joint invoice's sections sections of a new joint invoice that replaces it."""
    replaced = replacements[0].replaces.joint if replacements[0].replaces is not None else None
    drafts = [draft for draft in replacements if draft.is_draft and draft.joint_id is None]
    if replaced is None or len(drafts) < 2 or len({draft.customer_id for draft in drafts}) > 1:
        return
    joint = JointInvoice.objects.create(
        customer_id=drafts[0].customer_id,
        currency=replaced.currency,
        period_end=replaced.period_end,
        replaces=replaced,
    )
    for draft in drafts:
        draft.joint = joint
        draft.save(update_fields=["joint", "updated_at"])


def _subtract_settled_usage(draft: Invoice, *, now: datetime) -> Invoice:
    """Subtract late usage that other invoices charge from a replacement, which charges all usage of its period."""
    period = next_invoice_of(draft).period
    has_usage = draft.kind in OF_USAGE and period.start < period.end
    if has_usage and reconcile(draft.subscription_id or 0, [period], now=now, settling=True):
        before = snapshot([draft])
        save_changes(recompute_drafts([draft], now=now), before)
    return draft


def delete_draft(invoice: Invoice) -> None:
    """Delete a one-off draft. A subscription's draft can't be deleted, because its period must be invoiced."""
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} was finalized and can't be deleted. Void it instead.")
        if locked.subscription_id is not None:
            raise CannotChange("A subscription's draft can't be deleted. Recalculate it, or finalize and void it.")
        set_invoice_coupons(locked, [], [], now=locked.computed_at, by=None)
        locked.delete()


def mark_paid(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record a payment of the amount due on a finalized invoice. A paid invoice is returned unchanged."""
    return pay_remaining_amount(invoice, now=now, by=by)
