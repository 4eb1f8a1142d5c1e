"""Webhook messages: how the objects of this app are shown in them, and what the OpenAPI schema says of all of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema, inline_serializer
from rest_framework import serializers

from billing.api.serializers.credit_notes import CreditNoteOut, credit_notes, serialize_credit_notes
from billing.api.serializers.invoices import InvoiceOut, serialize_invoices
from billing.api.serializers.payments import PaymentOut, payments, serialize_payments
from billing.api.serializers.wallets import (
    EntryOut,
    WalletOut,
    movements,
    serialize_wallet_entries,
    wallet_values,
    wallets,
)
from billing.models import Invoice
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import Payload, register_renderer
from customers.api.serializers import SubscriptionOut
from events.api.serializers import CauseOut

TAKEN = OpenApiResponse(description="Any 2xx: taken. Anything else, or no answer in 15 seconds, is tried again.")


class ReachedOut(serializers.Serializer[Any]):
    """A subscription's usage of a feature that reached an alert's quantity in a billing period."""

    alert_id = serializers.CharField()
    subscription_id = serializers.CharField()
    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField()
    feature_id = serializers.CharField()
    threshold = serializers.CharField()
    quantity = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()


class TestedOut(serializers.Serializer[Any]):
    """The endpoint that a test message is sent to."""

    id = serializers.CharField()
    url = serializers.CharField()


# What a message is about, by what its name begins with: the first that fits.
CARRIED: dict[str, tuple[str, type[serializers.Serializer[Any]]]] = {
    "invoice": ("invoice", InvoiceOut),
    "payment": ("payment", PaymentOut),
    "refund": ("refund", PaymentOut),
    "credit_note": ("credit_note", CreditNoteOut),
    "wallet.transaction": ("transaction", EntryOut),
    "wallet": ("wallet", WalletOut),
    "subscription": ("subscription", SubscriptionOut),
    "usage": ("usage", ReachedOut),
    "problem": ("problem", CauseOut),
    "webhook": ("webhook", TestedOut),
}


def _body(begins: str, entity: str, carried: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    names = [(event.value, event.label) for event in WebhookEvent if _begin_of(event) == begins]
    return inline_serializer(
        f"{entity.title().replace('_', '')}Message",
        {
            "event_type": serializers.ChoiceField(names),
            "timestamp": serializers.DateTimeField(help_text="When it happened."),
            entity: carried(),
        },
    )


def _begin_of(name: str) -> str:
    return next(begins for begins in CARRIED if name.startswith(f"{begins}."))


BODIES = {begins: _body(begins, entity, carried) for begins, (entity, carried) in CARRIED.items()}
MESSAGES = [
    OpenApiWebhook(
        event.value,
        extend_schema(
            summary=event.label, tags=["Messages"], request=BODIES[_begin_of(event)], responses={"2XX": TAKEN}
        ),
    )
    for event in WebhookEvent
]


def render_invoices(ids: Sequence[int], at: datetime) -> Payload:
    """Show invoices as the API does, without their lines."""
    rows = Invoice.objects.filter(pk__in=ids).order_by("pk").select_related("customer", "subscription")
    return [(invoice["id"], invoice) for invoice in serialize_invoices(rows, with_lines=False)]


def render_payments(ids: Sequence[int], at: datetime) -> Payload:
    """Show payments and refunds as the API does."""
    return [(payment["id"], payment) for payment in serialize_payments(payments().filter(pk__in=ids))]


def render_credit_notes(ids: Sequence[int], at: datetime) -> Payload:
    """Show credit notes as the API does."""
    return [(note["id"], note) for note in serialize_credit_notes(credit_notes().filter(pk__in=ids))]


def render_wallets(ids: Sequence[int], at: datetime) -> Payload:
    """Show wallets as the API does, with their current balance."""
    return [(wallet.public_id, WalletOut(wallet_values(wallet)).data) for wallet in wallets().filter(pk__in=ids)]


def render_wallet_entries(ids: Sequence[int], at: datetime) -> Payload:
    """Show movements of prepaid credit as the API does, in the order in which they were written."""
    return [(entry["id"], entry) for entry in serialize_wallet_entries(movements().filter(pk__in=ids).order_by("pk"))]


def register() -> None:
    """Register the renderers of this app's objects."""
    register_renderer("invoice", render_invoices)
    register_renderer("payment", render_payments)
    register_renderer("refund", render_payments)
    register_renderer("credit_note", render_credit_notes)
    register_renderer("wallet", render_wallets)
    register_renderer("transaction", render_wallet_entries)
