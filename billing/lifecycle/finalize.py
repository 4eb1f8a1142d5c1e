"""Finalize drafts: one by one, or automatically once their grace period is over.

Every function of this package locks the invoice's row first, so two of them never change one invoice at once.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, Sum

from billing.einvoices.storing import check_einvoices, store_einvoices
from billing.emails.outbox import email_invoices
from billing.invoicing.compute import EXPECTED_ERRORS
from billing.isolation import isolate
from billing.lifecycle.joint import assign_numbers, delete_unused, lock_joint_invoices
from billing.lifecycle.recompute import Snapshot, recompute_drafts, save_changes, snapshot
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    LineKind,
)
from billing.models.company import seller
from billing.money import format_amount
from billing.notifications import notify
from billing.refusals import CannotChange
from billing.settlement.invoice_credit import apply_credits, lock_wallets
from billing.settlement.joint_invoices import lock_sections
from billing.settlement.payments import set_payment_state
from config.approvals.gate import Action, ApprovalNeeded, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from customers.models import Customer

BATCH = 500
REFUSALS = (Refused, ValidationError, ApprovalNeeded, *EXPECTED_ERRORS)

logger = logging.getLogger(__name__)


def finalize(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Give a draft its number and freeze it. An invoice that is already finalized is returned unchanged.

    If the draft is a section of a joint invoice, all its sections are finalized, and share the number of the joint
    invoice. The number is the next one of the draft's series, or else of the default series. It is drawn in this
    transaction, so a failure leaves no gap. The invoice uses the prepaid credit that is available now. An invoice with
    nothing to pay becomes paid immediately. A negative total becomes credit of the customer. Negative items that people
    wrote can need approval (`ApprovalNeeded`). Raises `CannotChange` if the invoice is void or a section is on hold,
    and if the customer gets electronic invoices and something is missing for them.
    """
    with transaction.atomic():
        sections = lock_sections(invoice)
        locked = next(section for section in sections if section.pk == invoice.pk)
        if locked.state == InvoiceState.VOID:
            raise CannotChange(f"{locked} is void. Reissue it instead.")
        for section in sections:
            if section.held_at is not None:
                raise CannotChange(f"{section} is on hold: {section.hold_reason}. Release it first.")
        if locked.is_draft:
            _finalize(sections, snapshot(sections), now=now, by=by)
        return locked


def _finalize(drafts: Sequence[Invoice], before: Snapshot, *, now: datetime, by: User | None) -> None:
    """Finalize locked drafts, in their order, and save what changed on them since `before`.

    Drawing a number makes other transactions wait for theirs, so numbers are drawn after all other locks are taken.
    """
    _check_credits(drafts, by=by)
    joint_invoices = lock_joint_invoices(drafts)
    company, wallets = seller(), lock_wallets(drafts, by=by)
    for invoice in drafts:
        invoice.state = InvoiceState.FINALIZED
        invoice.billed_to, invoice.seller = billed_to(invoice.customer), company
        invoice.issued_at = invoice.finalized_at = now
        invoice.due_at = invoice.due_at or now + timedelta(days=net_days(invoice))
        invoice.finalized_by = by
    check_einvoices(drafts)
    assign_numbers(drafts, joint_invoices, now=now)
    apply_credits(drafts, wallets, now=now, by=by)
    for invoice in drafts:
        set_payment_state(invoice, now=now)
    with recorded(by=by):
        save_changes(drafts, before)
    delete_unused(list(joint_invoices.values()))
    store_einvoices(drafts)
    _notify_finalized(drafts, now=now)


def _check_credits(drafts: Sequence[Invoice], *, by: User | None) -> None:
    """Ask for approval of negative items, which people write. Other negative amounts follow from the plan.

    What they take off counts, not only what they make credit of: $10,000.00 of usage with an item of -$9,999.00 asks
    for $9,999.00, and $100.00 of usage with an item of -$600.00 asks for $600.00.
    """
    items = InvoiceLine.objects.filter(invoice__in=drafts, kind=LineKind.ITEM, amount__lt=0)
    written = dict(items.order_by().values_list("invoice").annotate(Sum("amount")))
    for draft in drafts:
        if draft.pk in written:
            require_approval(_describe_credit(draft, -written[draft.pk]), by=by)


def _describe_credit(draft: Invoice, written: Decimal) -> Action:
    credit, reduction = max(-draft.total, Decimal(0)), format_amount(written, draft.currency)
    effect = f"Negative items reduce the invoice by {reduction}, to {format_amount(draft.total, draft.currency)}."
    if credit:
        effect += f" {draft.customer} gets {format_amount(credit, draft.currency)} of prepaid credit."
    return Action(
        Operation.FINALIZE_CREDIT,
        [ApprovalKind.CREDIT],
        [draft],
        {"credit": str(credit)} if credit else {},
        title=f"Finalize {draft} of {draft.customer}, with {reduction} in negative items",
        effect=effect,
        amounts={draft.currency: max(written, credit)},
    )


def _notify_finalized(invoices: Sequence[Invoice], *, now: datetime) -> None:
    notify(WebhookEvent.INVOICE_FINALIZED, invoices, now=now)
    paid = [invoice for invoice in invoices if invoice.state == InvoiceState.PAID]
    notify(WebhookEvent.INVOICE_PAYMENT, paid, now=now)
    email_invoices(invoices, now=now)


def billed_to(customer: Customer) -> dict[str, Any]:
    """Return a copy of the customer's details for the invoice, so that later edits don't change the invoice."""
    fields = (
        "external_id",
        "name",
        "email",
        "contact",
        "address_line1",
        "address_line2",
        "address_city",
        "address_state",
        "address_postal_code",
        "address_country",
        "tax_id",
        "einvoice_format",
        "buyer_reference",
        "peppol_id",
        "untaxed_category",
    )
    return {field: value for field in fields if (value := getattr(customer, field))}


def net_days(invoice: Invoice) -> int:
    """Return the days to pay: the subscription's, or else the customer's, or else the company's."""
    terms = (invoice.subscription.net_days if invoice.subscription else None, invoice.customer.net_days)
    return next((days for days in terms if days is not None), settings.INVOICE_DUE_DAYS)


def finalize_due(*, now: datetime) -> int:
    """Recalculate and finalize all drafts whose grace period is over, and return how many. One transaction per batch.

    Drafts that are locked, or that can't be calculated any more, are skipped and stay drafts, and so do the other
    sections of their joint invoice. A draft that is refused is put on hold with the reason; the others of its batch are
    finalized.
    """
    finalized, after = 0, 0
    while True:
        count, after = finalize_next(after, now=now)
        finalized += count
        if not after:
            return finalized


def finalize_next(after: int, *, now: datetime) -> tuple[int, int]:
    """Finalize the next batch of due drafts with keys above `after`. See `finalize_due`.

    Returns how many were finalized, and the `after` of the next batch: 0 if there is none.
    """
    due = Invoice.objects.due_for_finalizing(now).filter(pk__gt=after).order_by("pk")
    batch = list(due.values_list("pk", flat=True)[:BATCH])
    if not batch:
        return 0, 0
    finalized = isolate(
        batch,
        lambda keys: _finalize_batch(keys, now=now),
        lambda key, error: _hold_refused(key, error, now=now),
    )
    return sum(finalized), batch[-1]


def _finalize_batch(keys: Sequence[int], *, now: datetime) -> int:
    due = _locked_due(keys, now=now)
    before = snapshot(due)
    recomputed = _delete_empty_changes(recompute_drafts(due, now=now))
    ready = _without_incomplete(recomputed, due)
    if len(ready) < len(recomputed):
        save_changes([draft for draft in recomputed if draft not in ready], before)
    if ready:
        _finalize(ready, before, now=now, by=None)
    return len(ready)


def _without_incomplete(recomputed: Sequence[Invoice], due: Sequence[Invoice]) -> list[Invoice]:
    """Leave out sections of a joint invoice of which another section can't be calculated."""
    done = {draft.pk for draft in recomputed}
    incomplete = {draft.joint_id for draft in due if draft.joint_id is not None and draft.pk and draft.pk not in done}
    return [draft for draft in recomputed if draft.joint_id is None or draft.joint_id not in incomplete]


def _delete_empty_changes(drafts: Sequence[Invoice]) -> list[Invoice]:
    """Delete drafts of changes that later changes left without charges, and return the others."""
    changes = [draft.pk for draft in drafts if draft.kind == InvoiceKind.CHANGE]
    empty = {draft.pk: draft for draft in Invoice.objects.filter(pk__in=changes, lines=None)} if changes else {}
    with recorded(by=None, reason="Later changes left nothing to pay"):
        for draft in list(empty.values()):
            draft.delete()
    return [draft for draft in drafts if draft.pk not in empty]


def _locked_due(keys: Sequence[int], *, now: datetime) -> list[Invoice]:
    """Lock these drafts with the other sections of their joint invoices, without sections of which one is locked."""
    due = Invoice.objects.due_for_finalizing(now).filter(_with_sections(keys)).order_by("pk")
    locked = due.select_for_update(no_key=True, skip_locked=True, of=("self",))
    drafts = list(locked.select_related("customer", "subscription"))
    joint_ids = {draft.joint_id for draft in drafts if draft.joint_id is not None}
    if not joint_ids:
        return drafts
    found = {draft.pk for draft in drafts}
    sections = Invoice.objects.filter(joint__in=joint_ids).values_list("joint_id", "pk")
    incomplete = {joint_id for joint_id, pk in sections if pk not in found}
    return [draft for draft in drafts if draft.joint_id not in incomplete]


def _with_sections(keys: Sequence[int]) -> Q:
    joint_ids = Invoice.objects.filter(pk__among=keys, joint__isnull=False).values_list("joint_id", flat=True)
    joined = set(joint_ids)
    return Q(pk__among=keys) | Q(joint__in=joined) if joined else Q(pk__among=keys)


def _hold_refused(key: int, error: Exception, *, now: datetime) -> int:
    """Put a refused draft on hold for staff to review. A draft that is locked is tried again the next time.

    Raises any other error: it is no fault of the draft.
    """
    if not isinstance(error, REFUSALS):
        raise error
    message = "; ".join(error.messages) if isinstance(error, ValidationError) else str(error)
    if isinstance(error, ApprovalNeeded):
        message = "its negative items need approval. Release the draft and finalize it by hand."
    reason = f"It couldn't be finalized: {message}"[:255]
    with transaction.atomic(), recorded(by=None, reason=reason):
        for draft in _locked_due([key], now=now):
            if draft.pk != key:
                continue  # another section of its joint invoice, which waits for it
            logger.warning("%s is on hold. %s", draft, reason)
            draft.held_at, draft.hold_reason = now, reason
            draft.save(update_fields=["held_at", "hold_reason", "updated_at"])
    return 0
