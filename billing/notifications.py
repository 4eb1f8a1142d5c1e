"""Webhook messages about invoices, payments, credit and late usage. Call within the change's transaction."""

from collections.abc import Sequence
from datetime import datetime

from billing.models import (
    CreditNote,
    Email,
    Invoice,
    LateAdjustment,
    MonthClosing,
    Payment,
    PaymentKind,
    Reminder,
    Simulation,
    Wallet,
    WalletEntry,
)
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit


def notify(event: WebhookEvent, invoices: Sequence[Invoice], *, now: datetime) -> None:
    """Report a change of saved invoices, without their lines."""
    if invoices:
        emit(event, "invoice", [invoice.pk for invoice in invoices], at=now)


def notify_payment(payment: Payment, *, now: datetime) -> None:
    """Report a saved payment or refund, or the reversal of either. A refund's amount is negative.

    A row that uses the surplus of a payment also reports that payment, with its new unapplied amount.
    """
    if payment.source_id and payment.source_id != payment.reverses_id:
        emit(WebhookEvent.PAYMENT_UPDATED, "payment", [payment.source_id], at=now)
    is_reversal = payment.kind == PaymentKind.REVERSAL
    reported = payment.reverses if is_reversal and payment.reverses else payment
    if reported.kind in (PaymentKind.APPLIED, PaymentKind.ADJUSTED):
        return
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


def notify_late_usage(adjustments: Sequence[LateAdjustment], *, now: datetime) -> None:
    """Report decisions about saved late adjustments, one message each."""
    if adjustments:
        emit(WebhookEvent.LATE_USAGE_UPDATED, "late_adjustment", [adjustment.pk for adjustment in adjustments], at=now)


def notify_month(event: WebhookEvent, closing: MonthClosing, *, now: datetime) -> None:
    """Report that a month was closed or reopened."""
    emit(event, "month", [closing.pk], at=now)


def notify_email(event: WebhookEvent, email: Email, *, now: datetime) -> None:
    """Report what became of an email: accepted by the mail server, failed, bounced."""
    emit(event, "email", [email.pk], at=now)


def notify_reminder(event: WebhookEvent, reminder: Reminder, *, now: datetime) -> None:
    """Report a step that was taken for an unpaid invoice, or that its task was handled."""
    emit(event, "reminder", [reminder.pk], at=now)


def notify_simulation(simulation: Simulation, *, now: datetime) -> None:
    """Report that a simulation is finished, with its results."""
    emit(WebhookEvent.SIMULATION_COMPLETED, "simulation", [simulation.pk], at=now)
