"""How approved actions of billing are carried out: by the function that was called when they were requested."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.lifecycle.finalize import finalize
from billing.lifecycle.review import finalize_many
from billing.lifecycle.void import reissue, void
from billing.models import CreditGrant, CreditNote, Invoice, Payment, Wallet
from billing.personal_data.erasing import start_erasure
from billing.settlement.credit_notes import finalize_credit_note, void_credit_note
from billing.settlement.payments import receipt_of
from billing.settlement.refunds import record_refund
from billing.settlement.surplus import refund_surplus
from billing.settlement.top_ups import Credit, top_up
from billing.settlement.wallets import grant_credit
from config.approvals.kinds import Operation
from config.approvals.models import Approval
from config.approvals.operations import register
from config.personal_data.models import PersonalDataErasure
from customers.models import Customer

WRITE = ("billing:write",)


def _void(approval: Approval, now: datetime) -> Invoice:
    invoice = Invoice.objects.get(pk=approval.object_key)
    return void(invoice, reason=approval.inputs["reason"], by=approval.requested_by, now=now)


def _reissue(approval: Approval, now: datetime) -> Invoice:
    invoice = Invoice.objects.get(pk=approval.object_key)
    return reissue(invoice, reason=approval.inputs["reason"], by=approval.requested_by, now=now)


def _finalize(approval: Approval, now: datetime) -> Invoice:
    return finalize(Invoice.objects.get(pk=approval.object_key), now=now, by=approval.requested_by)


def _finalize_many(approval: Approval, now: datetime) -> str:
    keys = [int(label.partition(":")[2]) for label in approval.about]
    drafts = Invoice.objects.filter(pk__in=keys).select_related("customer").order_by("pk")
    locked = list(drafts.select_for_update(no_key=True, of=("self",)))
    outcomes = finalize_many(locked, now=now, by=approval.requested_by)
    skipped = [f"{outcome.invoice}: {outcome.skipped}" for outcome in outcomes if outcome.skipped]
    done = f"{len(outcomes) - len(skipped):,} finalized."
    return f"{done} Skipped: {'; '.join(skipped)}." if skipped else done


def _void_credit_note(approval: Approval, now: datetime) -> CreditNote:
    note = CreditNote.objects.get(pk=approval.object_key)
    return void_credit_note(note, reason=approval.inputs["reason"], now=now, by=approval.requested_by)


def _finalize_credit_note(approval: Approval, now: datetime) -> CreditNote:
    return finalize_credit_note(CreditNote.objects.get(pk=approval.object_key), now=now, by=approval.requested_by)


def _refund(approval: Approval, now: datetime) -> Payment:
    is_of_note = approval.about[0].startswith(f"{CreditNote._meta.label_lower}:")
    note = CreditNote.objects.get(pk=approval.object_key) if is_of_note else None
    return record_refund(
        note.invoice if note else Invoice.objects.get(pk=approval.object_key),
        receipt_of(approval.inputs),
        reason=approval.inputs["reason"],
        credit_note=note,
        now=now,
        by=approval.requested_by,
    )


def _refund_surplus(approval: Approval, now: datetime) -> Payment:
    payment, inputs = Payment.objects.get(pk=approval.object_key), approval.inputs
    return refund_surplus(payment, receipt_of(inputs), reason=inputs["reason"], now=now, by=approval.requested_by)


def _grant_credit(approval: Approval, now: datetime) -> CreditGrant:
    terms = dict(approval.inputs)
    amount, expires_at = Decimal(terms.pop("amount")), _moment(terms.pop("expires_at"))
    wallet = Wallet.objects.get(pk=approval.object_key)
    return grant_credit(wallet, amount, expires_at=expires_at, now=now, by=approval.requested_by, **terms)


def _top_up(approval: Approval, now: datetime) -> CreditGrant:
    terms = dict(approval.inputs)
    credit = Credit(Decimal(terms.pop("amount")), _moment(terms.pop("expires_at")))
    bonus = Credit(Decimal(terms.pop("bonus")), _moment(terms.pop("bonus_expires_at")))
    wallet = Wallet.objects.get(pk=approval.object_key)
    return top_up(wallet, credit, bonus=bonus, now=now, by=approval.requested_by, **terms)


def _erase_personal_data(approval: Approval, now: datetime) -> PersonalDataErasure:
    customer = Customer.objects.get(pk=approval.object_key)
    return start_erasure(customer, reason=approval.inputs["reason"], now=now, by=approval.requested_by)


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def register_operations() -> None:
    """Register how billing's operations are carried out, and what deciding about them requires."""
    invoice, note = ("billing.change_invoice",), ("billing.change_creditnote",)
    register(Operation.VOID_INVOICE, _void, permissions=invoice, scopes=WRITE)
    register(Operation.REISSUE_INVOICE, _reissue, permissions=invoice, scopes=WRITE)
    register(Operation.FINALIZE_CREDIT, _finalize, permissions=invoice, scopes=WRITE)
    register(Operation.FINALIZE_MANY, _finalize_many, permissions=invoice, scopes=WRITE)
    register(Operation.VOID_CREDIT_NOTE, _void_credit_note, permissions=note, scopes=WRITE)
    register(Operation.FINALIZE_CREDIT_NOTE, _finalize_credit_note, permissions=note, scopes=WRITE)
    register(Operation.REFUND, _refund, permissions=("billing.add_payment",), scopes=WRITE)
    register(Operation.REFUND_SURPLUS, _refund_surplus, permissions=("billing.add_payment",), scopes=WRITE)
    register(Operation.GRANT_CREDIT, _grant_credit, permissions=("billing.add_creditgrant",), scopes=WRITE)
    register(Operation.TOP_UP, _top_up, permissions=("billing.add_creditgrant",), scopes=WRITE)
    register(
        Operation.ERASE_PERSONAL_DATA,
        _erase_personal_data,
        permissions=("config.add_personaldataerasure",),
        scopes=("personal_data",),
    )
