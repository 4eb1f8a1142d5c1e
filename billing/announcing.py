"""Telling other systems what became of invoices and what settles them, in the transaction that changes it."""

from collections.abc import Sequence
from datetime import datetime

from billing.models import CreditNote, Invoice, Payment, PaymentKind, Wallet, WalletEntry
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import Told, emit


def announce(event: WebhookEvent, invoices: Sequence[Invoice], *, now: datetime) -> None:
    """Tell what became of invoices that are saved, without their lines. The same queries for any number of them."""

    def told() -> Told:
        from billing.api.serializers.invoices import (
            written,
        )  # it reads upcoming invoices, which are made by what announces

        rows = Invoice.objects.filter(pk__in=[invoice.pk for invoice in invoices]).order_by("pk")
        shown = written(rows.select_related("customer", "subscription"), with_lines=False)
        return [(row["id"], row) for row in shown]

    if invoices:
        emit(event, "invoice", told, at=now)


def announce_payment(payment: Payment, *, now: datetime) -> None:
    """Tell of a payment, a refund, or the reversal of either, that is saved. Below zero, money was given back."""

    def told() -> Told:
        from billing.api.serializers.payments import payments, payments_written

        return [(payment.public_id, payments_written(payments().filter(pk=payment.pk))[0])]

    is_reversal = payment.kind == PaymentKind.REVERSAL
    of = payment.reverses if is_reversal and payment.reverses else payment
    if of.kind == PaymentKind.REFUND:
        emit(WebhookEvent.REFUND_REVERSED if is_reversal else WebhookEvent.REFUND_SUCCEEDED, "refund", told, at=now)
    else:
        emit(WebhookEvent.PAYMENT_REVERSED if is_reversal else WebhookEvent.PAYMENT_SUCCESS, "payment", told, at=now)


def announce_credit_note(event: WebhookEvent, note: CreditNote, *, now: datetime) -> None:
    """Tell what became of a credit note that is saved with its lines."""

    def told() -> Told:
        from billing.api.serializers.credit_notes import credit_notes, credit_notes_written

        return [(note.public_id, credit_notes_written(credit_notes().filter(pk=note.pk))[0])]

    emit(event, "credit_note", told, at=now)


def announce_wallet(event: WebhookEvent, wallet: Wallet, *, now: datetime) -> None:
    """Tell what became of a wallet that is saved, with its balance as it stands now."""

    def told() -> Told:
        from billing.api.serializers.wallets import WalletOut, wallet_out, wallets

        return [(wallet.public_id, WalletOut(wallet_out(wallets().get(pk=wallet.pk))).data)]

    emit(event, "wallet", told, at=now)


def announce_movements(entries: Sequence[WalletEntry], *, now: datetime) -> None:
    """Tell of movements of credit that are saved, a message each. The same queries for any number of them."""

    def told() -> Told:
        from billing.api.serializers.wallets import entries_out, movements

        shown = entries_out(movements().filter(pk__in=[entry.pk for entry in entries]).order_by("pk"))
        return [(row["id"], row) for row in shown]

    if entries:
        emit(WebhookEvent.WALLET_MOVED, "transaction", told, at=now)
