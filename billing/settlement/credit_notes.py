"""Credit notes: drafted from an invoice's lines, finalized with a number of their own series, void.

Every function locks the invoice's row first. A draft holds what it credits, so two of them never promise a line twice.
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
from billing.settlement.payments import locked_invoice, refund_as_credit, refunded, settle
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent


@dataclass(frozen=True, slots=True)
class Parts:
    """An amount without tax on top, that tax, and the tax that the amount contains."""

    amount: Decimal = ZERO
    tax: Decimal = ZERO
    tax_included: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Creditable:
    """A charge of an invoice, after its discounts, and what credit notes took of it."""

    line: InvoiceLine
    charged: Parts
    credited: Parts

    @property
    def left(self) -> Decimal:
        """What can still be credited, without tax on top. Nothing of a line that is a credit itself."""
        return max(self.charged.amount - self.credited.amount, ZERO)

    def parts_of(self, amount: Decimal, currency: str) -> Parts:
        """Return the taxes of a part. The parts of a charge, rounded each, add up to its whole taxes.

        No part is below zero or above what is left, also where a void between them gave another tax back than its
        share; the part that takes the rest of the charge takes the rest of its taxes.
        """
        share = Fraction(self.credited.amount + amount) / Fraction(self.charged.amount)
        tax, included = (
            min(max(round_amount(times(whole, share), currency) - taken, ZERO), whole - taken)
            for whole, taken in (
                (self.charged.tax, self.credited.tax),
                (self.charged.tax_included, self.credited.tax_included),
            )
        )
        return Parts(amount, tax, included)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a credit note does: `adjusts` comes off what is to be paid, `refund` goes back, `left` stays to be paid."""

    total: Decimal
    adjusts: Decimal
    refund: Decimal
    left: Decimal


def creditable(invoice: Invoice) -> list[Creditable]:
    """List an invoice's charges with what is left of each, in order. Two queries. Drafts count as credited.

    A charge is credited after its discounts; tax that its price contains is in the amount, tax on top comes with it.
    """
    live = CreditNoteLine.objects.filter(invoice_line__invoice=invoice).exclude(credit_note__state=CreditNoteState.VOID)
    sums = live.values_list("invoice_line").order_by()
    taken = {
        line: Parts(*amounts) for line, *amounts in sums.annotate(Sum("amount"), Sum("tax_amount"), Sum("tax_included"))
    }
    charges = invoice.lines.exclude(kind__in=ADJUSTMENT_KINDS).order_by("position")
    return [
        Creditable(
            line,
            Parts(line.amount - line.discount_amount, line.tax_amount, line.tax_included),
            taken.get(line.pk, Parts()),
        )
        for line in charges
    ]


def effect_of(invoice: Invoice, total: Decimal) -> Effect:
    """Work out what crediting a total does to an invoice as it stands."""
    adjusts = min(total, max(invoice.amount_remaining, ZERO))
    return Effect(total, adjusts, total - adjusts, max(invoice.amount_remaining, ZERO) - adjusts)


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
    """Draft a credit note over amounts before tax, by the keys of the invoice's lines; taxes follow from the lines.

    What waits to be given back of the same usage is held for approval, unless the note itself is for that (`is_late`).
    A second call with the same key returns the first draft. Raises `CannotCredit` for an invoice that isn't finalized,
    for lines that aren't its own, for more than is left of a line or of the invoice; `ReasonRequired`.
    """
    if reason not in CreditReason.values:
        raise ReasonRequired("Say why the invoice is credited.")
    with transaction.atomic():
        locked = locked_invoice(invoice)
        known = _by_key(locked, idempotency_key)
        if known is not None:
            return known
        if locked.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
            state = locked.get_state_display().lower()
            raise CannotCredit(f"{locked} is {state}: only a finalized invoice is credited.")
        lines = credit_lines(locked, amounts)
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
            **totals_of(lines),
        )
        refuse_over_total(locked, note.total)
        with recorded(by=by):
            note.save()
        for line in lines:
            line.credit_note = note
        if not is_late:
            hold_reductions(note, lines)
        CreditNoteLine.objects.bulk_create(lines)
        notify_credit_note(WebhookEvent.CREDIT_NOTE_CREATED, note, now=note.created_at)
        return note


def credit_lines(invoice: Invoice, amounts: Mapping[int, Decimal]) -> list[CreditNoteLine]:
    """Make the unsaved lines of a credit note; amounts of zero are left out. Raises `CannotCredit`."""
    found = {each.line.pk: each for each in creditable(invoice)}
    if set(amounts) - set(found):
        raise CannotCredit(f"A line that isn't of {invoice} can't be credited by its credit note.")
    chosen = [(found[key], amounts[key]) for key in found if amounts.get(key)]
    if not chosen:
        raise CannotCredit("Credit at least one line, by an amount above zero.")
    for each, amount in chosen:
        _refuse_over_line(each, amount, invoice.currency)
    rows = []
    for position, (each, amount) in enumerate(chosen, start=1):
        parts = each.parts_of(amount, invoice.currency)
        rows.append(
            CreditNoteLine(
                invoice_line=each.line,
                position=position,
                description=each.line.description,
                amount=parts.amount,
                tax_amount=parts.tax,
                tax_included=parts.tax_included,
            )
        )
    return rows


def totals_of(lines: Iterable[CreditNoteLine]) -> dict[str, Decimal]:
    """Add up lines into the totals of their credit note."""
    rows = list(lines)
    subtotal = sum((line.amount for line in rows), ZERO)
    tax_total = sum((line.tax_amount for line in rows), ZERO)
    included = sum((line.tax_included for line in rows), ZERO)
    return {"subtotal": subtotal, "tax_total": tax_total, "tax_included": included, "total": subtotal + tax_total}


def finalize_credit_note(note: CreditNote, *, now: datetime, by: User | None) -> CreditNote:
    """Give a draft its number and let it take effect: off what is to be paid, the rest owed back to the customer.

    What is owed back becomes prepaid credit at once if the credit note says so. Finalized already: returned as it is.
    Raises `CannotCredit` if void. The number is drawn in this transaction.
    """
    with transaction.atomic():
        invoice = locked_invoice(note.invoice)
        locked = _locked(note)
        if locked.state == CreditNoteState.VOID:
            raise CannotCredit(f"{locked} is void. Write a new one.")
        if locked.state == CreditNoteState.FINALIZED:
            return locked
        locked.refund_due = effect_of(invoice, locked.total).refund
        [(locked.series, locked.number)] = draw_numbers(SeriesUse.CREDIT_NOTE, [locked.series_id])
        locked.state, locked.finalized_at, locked.finalized_by = CreditNoteState.FINALIZED, now, by
        locked.billed_to = invoice.billed_to
        _apply(invoice, locked, locked.total, now=now, by=by)
        check_again(locked, now=now)
        if locked.refund_due and locked.refund_to == RefundTo.WALLET:
            refund_as_credit(locked, now=now, by=by)
        return locked


def void_credit_note(note: CreditNote, *, reason: str, now: datetime, by: User | None) -> CreditNote:
    """Void a credit note; a finalized one keeps its number, and its invoice is due again by its total.

    Void already: returned as it is. Raises `CannotCredit` where its refund was paid out, `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the credit note is voided.")
    with transaction.atomic():
        invoice = locked_invoice(note.invoice)
        locked = _locked(note)
        if locked.state == CreditNoteState.VOID:
            return locked
        if paid_out := refunded(locked):
            amount = format_amount(paid_out, locked.currency)
            raise CannotCredit(f"{amount} of {locked} was given back. Reverse that refund first.")
        was_final = locked.state == CreditNoteState.FINALIZED
        locked.state, locked.voided_at, locked.voided_by = CreditNoteState.VOID, now, by
        locked.void_reason = reason.strip()
        _apply(invoice, locked, -locked.total if was_final else ZERO, now=now, by=by, reason=locked.void_reason)
        release_credited(locked)
        check_again(locked, now=now)
        return locked


def _locked(note: CreditNote) -> CreditNote:
    return CreditNote.objects.select_for_update(of=("self",)).select_related("customer").get(pk=note.pk)


def _apply(
    invoice: Invoice, note: CreditNote, amount: Decimal, *, now: datetime, by: User | None, reason: str = ""
) -> None:
    """Save a credit note with what it changes of its invoice, and tell of both."""
    with recorded(by=by, reason=reason):
        note.save()
        if amount:
            invoice.amount_credited += amount
            settle(invoice, now=now)
            invoice.save(update_fields=["amount_credited", "state", "paid_at", "updated_at"])
    notify_credit_note(WebhookEvent.CREDIT_NOTE_UPDATED, note, now=now)
    if amount:
        notify(WebhookEvent.INVOICE_PAYMENT, [invoice], now=now)
    note.invoice = invoice


def _by_key(invoice: Invoice, key: str | None) -> CreditNote | None:
    found = CreditNote.objects.filter(idempotency_key=key).select_related("invoice").first() if key else None
    if found is not None and found.invoice_id != invoice.pk:
        raise CannotCredit(f"This key was used for a credit note on {found.invoice}.")
    return found


def _refuse_over_line(each: Creditable, amount: Decimal, currency: str) -> None:
    if amount < 0 or amount != round_amount(amount, currency):
        raise CannotCredit(f"An amount to credit is above zero, and in whole units of {currency}.")
    if amount > each.left:
        wanted, left = format_amount(amount, currency), format_amount(each.left, currency)
        raise CannotCredit(f"{wanted} is more than the {left} that is left to credit of “{each.line.description}”.")


def refuse_over_total(invoice: Invoice, total: Decimal) -> None:
    """Refuse to credit more than the invoice came to: lines below zero lowered what its other lines charged."""
    left = left_to_credit(invoice)
    if total > left:
        wanted, most = format_amount(total, invoice.currency), format_amount(left, invoice.currency)
        raise CannotCredit(f"{wanted} with tax is more than the {most} that is left to credit of {invoice}.")


def left_to_credit(invoice: Invoice) -> Decimal:
    """Return what can still be credited of an invoice with tax: its total less all credit notes, drafts too."""
    live = invoice.credit_notes.exclude(state=CreditNoteState.VOID)
    credited: dict[str, Any] = live.aggregate(total=Sum("total"))
    return max(invoice.total - (credited["total"] or ZERO), ZERO)
