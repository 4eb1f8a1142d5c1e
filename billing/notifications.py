"""Webhook messages about invoices, payments, credit notes and prepaid credit. Call within the change's transaction."""

from collections.abc import Sequence
from datetime import datetime

from billing.models import CreditNote, Invoice, Payment, PaymentKind, Wallet, WalletEntry
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit


def notify(event: WebhookEvent, invoices: Sequence[Invoice], *, now: datetime) -> None:
    """Report a change of saved invoices, without their lines."""
    if invoices:
        emit(event, "invoice", [invoice.pk for invoice in invoices], at=now)


def notify_payment(payment: Payment, *, now: datetime) -> None:
    """Report a saved payment or refund, or the reversal of either. A refund's amount is negative."""
    is_reversal = payment.kind == PaymentKind.REVERSAL
    reported = payment.reverses if is_reversal and payment.reverses else payment
    if reported.kind == PaymentKind.REFUND:
        event = WebhookEvent.REFUND_REVERSED if is_reversal else WebhookEvent.REFUND_SUCCEEDED
        emit(event, "refund", [payment.pk], at=now)
    else:
        event = WebhookEvent.PAYMENT_REVERSED if is_reversal else WebhookEvent.PAYMENT_SUCCESS
        emit(event, "payment", [payment.pk], at=now)


def notify_credit_note(event: WebhookEvent, note: CreditNote, *, now: datetime) -> None:
    """Report a change of a credit note that is saved with its lines."""
    emit(event, "credit_note", [note.pk], at=now)


def notify_wallet(event: WebhookEvent, wallet: Wallet, *, now: datetime) -> None:
    """Report a change of a saved wallet, with its current balance."""
    emit(event, "wallet", [wallet.pk], at=now)


def notify_wallet_entries(entries: Sequence[WalletEntry], *, now: datetime) -> None:
    """Report saved movements of prepaid credit, one message each."""
    if entries:
        emit(WebhookEvent.WALLET_MOVED, "transaction", [entry.pk for entry in entries], at=now)
