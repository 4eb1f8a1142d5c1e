"""Credit notes: drafted from an invoice's lines, finalized with a number from their own series, voided.

Every function locks the invoice first. Drafts count as credited, so two drafts never credit the same amount twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from billing.einvoices.storing import store_credit_note
from billing.emails.outbox import email_credit_note
from billing.invoicing.late_adjustments import release_credited
from billing.invoicing.numbering import draw_numbers
from billing.kinds import ADJUSTMENT_KINDS
from billing.late_usage.credited import check_again, hold_reductions
from billing.models import (
    CreditNote,
    CreditNoteLine,
    CreditNoteState,
    CreditReason,
    Invoice,
    InvoiceLine,
    InvoiceState,
    RefundTo,
    SeriesUse,
)
from billing.money import ZERO, format_amount, round_amount, times
from billing.notifications import notify, notify_credit_note
from billing.refusals import CannotCredit
from billing.settlement.payments import lock_invoice, set_payment_state
from billing.settlement.refunds import refund_as_credit, sum_refunds
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent


@dataclass(frozen=True, slots=True)
class TaxedAmount:
    """An amount without exclusive tax, its exclusive tax, and the inclusive tax that the amount contains."""

    amount: Decimal = ZERO
    tax: Decimal = ZERO
    tax_included: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class CreditableLine:
    """An invoice line that is a charge, its amounts after discounts, and the amounts credited so far."""

    line: InvoiceLine
    charged: TaxedAmount
    credited: TaxedAmount

    @property
    def remaining(self) -> Decimal:
        """Return the amount that can still be credited, without exclusive tax. Zero for a negative line."""
        return max(self.charged.amount - self.credited.amount, ZERO)

    def split_tax(self, amount: Decimal, currency: str) -> TaxedAmount:
        """Calculate the taxes of an amount to credit. The taxes of all credited amounts add up to those of the charge.

        No tax is negative or more than remains, even where voiding a credit note in between returned a different tax
        than its share. Crediting the rest of the charge credits the rest of its taxes.
        """
        share = Fraction(self.credited.amount + amount) / Fraction(self.charged.amount)
        tax, tax_included = (
            min(max(round_amount(times(charged, share), currency) - credited, ZERO), charged - credited)
            for charged, credited in (
                (self.charged.tax, self.credited.tax),
                (self.charged.tax_included, self.credited.tax_included),
            )
        )
        return TaxedAmount(amount, tax, tax_included)


@dataclass(frozen=True, slots=True)
class CreditEffect:
    """The effect of a credit note on its invoice: `reduction` of the amount due, `refund_due`, `remaining` to pay."""

    total: Decimal
    reduction: Decimal
    refund_due: Decimal
    remaining: Decimal


def list_creditable_lines(invoice: Invoice) -> list[CreditableLine]:
    """List an invoice's charges in order, with the amount that can be credited of each. Drafts count as credited.

    A charge is credited after its discounts. The amount contains inclusive tax; exclusive tax is added. Two queries.
    """
    live = CreditNoteLine.objects.filter(invoice_line__invoice=invoice).exclude(credit_note__state=CreditNoteState.VOID)
    sums = live.values_list("invoice_line").order_by()
    credited = {
        line_id: TaxedAmount(*amounts)
        for line_id, *amounts in sums.annotate(Sum("amount"), Sum("tax_amount"), Sum("tax_included"))
    }
    charges = invoice.lines.exclude(kind__in=ADJUSTMENT_KINDS).order_by("position")
    return [
        CreditableLine(
            line,
            TaxedAmount(line.amount - line.discount_amount, line.tax_amount, line.tax_included),
            credited.get(line.pk, TaxedAmount()),
        )
        for line in charges
    ]


def calculate_effect(invoice: Invoice, total: Decimal) -> CreditEffect:
    """Calculate the effect that crediting a total has on an invoice."""
    amount_due = max(invoice.amount_remaining, ZERO)
    reduction = min(total, amount_due)
    return CreditEffect(total, reduction, refund_due=total - reduction, remaining=amount_due - reduction)


def draft_credit_note(
    invoice: Invoice,
    amounts: Mapping[int, Decimal],
    *,
    reason: str,
    memo: str = "",
    refund_to: str = RefundTo.OUTSIDE,
    series_id: int | None = None,
    idempotency_key: str | None = None,
    metadata: Mapping[str, str] | None = None,
    is_late: bool = False,
    by: User | None,
) -> CreditNote:
    """Draft a credit note of amounts before tax, by invoice line key; the taxes are calculated from the lines.

    Pending refunds of late usage on the same lines are held for approval, unless the note is such a refund (`is_late`).
    A second call with the same key returns the first draft. Raises `CannotCredit` for an invoice that isn't finalized,
    for lines of another invoice, and for more than remains of a line or of the invoice; `ReasonRequired`.
    """
    if reason not in CreditReason.values:
        raise ReasonRequired("Choose a reason for the credit note.")
    with transaction.atomic():
        locked = lock_invoice(invoice)
        existing = _find_by_key(locked, idempotency_key)
        if existing is not None:
            return existing
        if locked.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
            state = locked.get_state_display().lower()
            raise CannotCredit(f"{locked} is {state}. Only finalized invoices can be credited.")
        lines = build_credit_lines(locked, amounts)
        note = CreditNote(
            invoice=locked,
            customer_id=locked.customer_id,
            currency=locked.currency,
            reason=reason,
            memo=memo.strip(),
            refund_to=refund_to,
            series_id=series_id,
            idempotency_key=idempotency_key,
            metadata=dict(metadata or {}),
            created_by=by,
            **sum_credit_lines(lines),
        )
        check_total(locked, note.total)
        with recorded(by=by):
            note.save()
        for line in lines:
            line.credit_note = note
        if not is_late:
            hold_reductions(note, lines)
        CreditNoteLine.objects.bulk_create(lines)
        notify_credit_note(WebhookEvent.CREDIT_NOTE_CREATED, note, now=note.created_at)
        return note


def build_credit_lines(invoice: Invoice, amounts: Mapping[int, Decimal]) -> list[CreditNoteLine]:
    """Build the unsaved lines of a credit note; amounts of zero are skipped. Raises `CannotCredit`."""
    creditable_lines = {creditable.line.pk: creditable for creditable in list_creditable_lines(invoice)}
    if set(amounts) - set(creditable_lines):
        raise CannotCredit(f"Choose only lines of {invoice}.")
    credited_lines = [(line, amounts[key]) for key, line in creditable_lines.items() if amounts.get(key)]
    if not credited_lines:
        raise CannotCredit("Enter a positive amount for at least one line.")
    for creditable, amount in credited_lines:
        _check_line_amount(creditable, amount, invoice.currency)
    rows = []
    for position, (creditable, amount) in enumerate(credited_lines, start=1):
        taxed = creditable.split_tax(amount, invoice.currency)
        rows.append(
            CreditNoteLine(
                invoice_line=creditable.line,
                position=position,
                description=creditable.line.description,
                amount=taxed.amount,
                tax_amount=taxed.tax,
                tax_included=taxed.tax_included,
            )
        )
    return rows


def sum_credit_lines(lines: Iterable[CreditNoteLine]) -> dict[str, Decimal]:
    """Add up lines to the totals of their credit note, by column."""
    rows = list(lines)
    subtotal = sum((line.amount for line in rows), ZERO)
    tax_total = sum((line.tax_amount for line in rows), ZERO)
    included = sum((line.tax_included for line in rows), ZERO)
    return {"subtotal": subtotal, "tax_total": tax_total, "tax_included": included, "total": subtotal + tax_total}


def finalize_credit_note(note: CreditNote, *, now: datetime, by: User | None) -> CreditNote:
    """Number a draft and apply it: it reduces the amount due, and the rest becomes a refund due to the customer.

    With `refund_to` wallet, the refund is granted as prepaid credit immediately. A finalized credit note is returned
    unchanged. Raises `CannotCredit` if it is void, `ApprovalNeeded`. The number is drawn in this transaction.
    """
    with transaction.atomic():
        invoice = lock_invoice(note.invoice)
        locked = _lock_note(note)
        if locked.is_draft:
            require_approval(_describe_note(invoice, locked), by=by)
        return _finalize(invoice, locked, now=now, by=by)


def apply_credit_note(note: CreditNote, *, now: datetime, by: User | None) -> CreditNote:
    """Finalize a credit note as `finalize_credit_note` does, without approval: for refunds of late usage."""
    with transaction.atomic():
        return _finalize(lock_invoice(note.invoice), _lock_note(note), now=now, by=by)


def _finalize(invoice: Invoice, note: CreditNote, *, now: datetime, by: User | None) -> CreditNote:
    if note.state == CreditNoteState.VOID:
        raise CannotCredit(f"{note} is void. Create a new credit note.")
    if note.state == CreditNoteState.FINALIZED:
        return note
    note.refund_due = calculate_effect(invoice, note.total).refund_due
    [(note.series, note.number)] = draw_numbers(SeriesUse.CREDIT_NOTE, [note.series_id])
    note.state, note.finalized_at, note.finalized_by = CreditNoteState.FINALIZED, now, by
    note.billed_to = invoice.billed_to
    _save_and_apply(invoice, note, note.total, now=now, by=by)
    check_again(note, now=now)
    if note.refund_due and note.refund_to == RefundTo.WALLET:
        refund_as_credit(note, now=now, by=by)
    email_credit_note(note, now=now)
    return note


def _describe_note(invoice: Invoice, note: CreditNote) -> Action:
    effect = calculate_effect(invoice, note.total)
    total, refund = (format_amount(amount, note.currency) for amount in (note.total, effect.refund_due))
    is_wallet = note.refund_to == RefundTo.WALLET and bool(effect.refund_due)
    how = "is granted as prepaid credit" if is_wallet else "is due to the customer as a refund"
    reduction = format_amount(effect.reduction, note.currency)
    effects = [f"{reduction} is no longer due on {invoice}."] if effect.reduction else []
    effects += [f"{refund} {how}."] if effect.refund_due else []
    return Action(
        Operation.FINALIZE_CREDIT_NOTE,
        [ApprovalKind.CREDIT_NOTE, *([ApprovalKind.REFUND, ApprovalKind.CREDIT] if is_wallet else [])],
        [note],
        {
            "lines": {line.invoice_line.public_id: str(line.total) for line in _lines_of(note)},
            "refund_to": note.refund_to,
            "refund_due": str(effect.refund_due),
        },
        title=f"Finalize {note} on {invoice} of {note.customer}: {total}",
        effect=" ".join(effects),
        amounts={note.currency: note.total},
    )


def _lines_of(note: CreditNote) -> Iterable[CreditNoteLine]:
    return note.lines.select_related("invoice_line").order_by("position")


def void_credit_note(note: CreditNote, *, reason: str, now: datetime, by: User | None) -> CreditNote:
    """Void a credit note. A finalized one keeps its number, and its total becomes due on the invoice again.

    A void credit note is returned unchanged. Raises `CannotCredit` if it was refunded, `ReasonRequired`,
    `ApprovalNeeded`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for voiding the credit note.")
    with transaction.atomic():
        invoice = lock_invoice(note.invoice)
        locked = _lock_note(note)
        if locked.state == CreditNoteState.VOID:
            return locked
        if refunds := sum_refunds(locked):
            refunded = format_amount(refunds, locked.currency)
            raise CannotCredit(f"{refunded} of {locked} was refunded. Reverse that refund first.")
        was_final = locked.state == CreditNoteState.FINALIZED
        locked.state, locked.voided_at, locked.voided_by = CreditNoteState.VOID, now, by
        locked.void_reason = reason.strip()
        amount = -locked.total if was_final else ZERO
        _save_and_apply(invoice, locked, amount, now=now, by=by, reason=locked.void_reason)
        release_credited(locked)
        check_again(locked, now=now)
        if was_final:
            require_approval(_describe_void(locked), by=by)
        return locked


def _describe_void(note: CreditNote) -> Action:
    total = format_amount(note.total, note.currency)
    return Action(
        Operation.VOID_CREDIT_NOTE,
        [ApprovalKind.VOID],
        [note],
        {"reason": note.void_reason},
        title=f"Void credit note {note} of {note.customer}: {total}",
        effect=f"{total} becomes due on {note.invoice} again.",
        amounts={note.currency: note.total},
    )


def _lock_note(note: CreditNote) -> CreditNote:
    return CreditNote.objects.select_for_update(of=("self",)).select_related("customer").get(pk=note.pk)


def _save_and_apply(
    invoice: Invoice, note: CreditNote, amount: Decimal, *, now: datetime, by: User | None, reason: str = ""
) -> None:
    """Save a credit note and its effect on the invoice, and send the webhooks of both."""
    note.invoice = invoice
    with recorded(by=by, reason=reason):
        note.save()
        if note.state == CreditNoteState.FINALIZED:
            store_credit_note(note)
        if amount:
            invoice.amount_credited += amount
            set_payment_state(invoice, now=now)
            invoice.save(update_fields=["amount_credited", "state", "paid_at", "updated_at"])
    notify_credit_note(WebhookEvent.CREDIT_NOTE_UPDATED, note, now=now)
    if amount:
        notify(WebhookEvent.INVOICE_PAYMENT, [invoice], now=now)


def _find_by_key(invoice: Invoice, key: str | None) -> CreditNote | None:
    note = CreditNote.objects.filter(idempotency_key=key).select_related("invoice").first() if key else None
    if note is not None and note.invoice_id != invoice.pk:
        raise CannotCredit(f"This idempotency key was already used for a credit note of {note.invoice}.")
    return note


def _check_line_amount(creditable: CreditableLine, amount: Decimal, currency: str) -> None:
    if amount < 0 or amount != round_amount(amount, currency):
        raise CannotCredit(f"Enter positive amounts with no more decimals than {currency} allows.")
    if amount > creditable.remaining:
        excess, remaining = format_amount(amount, currency), format_amount(creditable.remaining, currency)
        raise CannotCredit(f"{excess} is more than the remaining {remaining} of “{creditable.line.description}”.")


def check_total(invoice: Invoice, total: Decimal) -> None:
    """Refuse to credit more than the invoice's total, which negative lines make less than its charges add up to."""
    remaining = calculate_creditable_amount(invoice)
    if total > remaining:
        excess, most = format_amount(total, invoice.currency), format_amount(remaining, invoice.currency)
        raise CannotCredit(f"{excess} including tax is more than the {most} that can still be credited of {invoice}.")


def calculate_creditable_amount(invoice: Invoice) -> Decimal:
    """Calculate the amount of an invoice, with tax, that no credit note has credited yet. Drafts count as credited."""
    live = invoice.credit_notes.exclude(state=CreditNoteState.VOID)
    credited: dict[str, Any] = live.aggregate(total=Sum("total"))
    return max(invoice.total - (credited["total"] or ZERO), ZERO)
