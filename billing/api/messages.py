"""Webhook messages: rendering billing's objects, and the OpenAPI schema of all messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema, inline_serializer
from rest_framework import serializers

from billing.api import personal_data
from billing.api.emails import emails
from billing.api.late_usage import LateAdjustmentOut, late_adjustments
from billing.api.personal_data import ErasedOut
from billing.api.reminders import reminders
from billing.api.serializers.credit_notes import CreditNoteOut, credit_notes
from billing.api.serializers.emails import EmailOut
from billing.api.serializers.invoices import InvoiceOut, invoice_headers
from billing.api.serializers.month_ends import MonthClosingOut
from billing.api.serializers.payments import PaymentOut, payments
from billing.api.serializers.reminders import ReminderOut
from billing.api.serializers.wallet_transactions import EntryOut, movements
from billing.api.serializers.wallets import WalletOut, wallets
from billing.api.simulations import SimulationOut, simulations
from billing.models import MonthClosing
from config.alarms.serializers import AlarmOut
from config.approvals.serializers import ApprovalOut
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import Payload, register_renderer
from customers.api.serializers.subscriptions import SubscriptionOut
from events.api.keys import KeyOut
from events.api.serializers.conflicts import ConflictOut
from events.api.serializers.problems import CauseOut

ACKNOWLEDGED = OpenApiResponse(
    description="Any 2xx acknowledges the message. Any other status, or no response within 15 seconds, is retried."
)


class ReachedOut(serializers.Serializer[Any]):
    """A subscription's usage of a feature that reached an alert's threshold in a billing period."""

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
    """The endpoint that receives a test message."""

    id = serializers.CharField()
    url = serializers.CharField()


# The object in a message, by the prefix of the event type: the first match.
CARRIED: dict[str, tuple[str, type[serializers.Serializer[Any]]]] = {
    "invoice": ("invoice", InvoiceOut),
    "payment": ("payment", PaymentOut),
    "refund": ("refund", PaymentOut),
    "credit_note": ("credit_note", CreditNoteOut),
    "wallet.transaction": ("transaction", EntryOut),
    "wallet": ("wallet", WalletOut),
    "subscription": ("subscription", SubscriptionOut),
    "email": ("email", EmailOut),
    "reminder": ("reminder", ReminderOut),
    "usage": ("usage", ReachedOut),
    "late_adjustment": ("late_adjustment", LateAdjustmentOut),
    "api_key": ("api_key", KeyOut),
    "customer": ("customer", ErasedOut),
    "approval": ("approval", ApprovalOut),
    "alarm": ("alarm", AlarmOut),
    "month": ("month", MonthClosingOut),
    "simulation": ("simulation", SimulationOut),
    "problem": ("problem", CauseOut),
    "conflict": ("conflict", ConflictOut),
    "webhook": ("webhook", TestedOut),
}


def _message_schema(
    prefix: str, entity: str, carried: type[serializers.Serializer[Any]]
) -> serializers.Serializer[Any]:
    names = [(event.value, event.label) for event in WebhookEvent if _prefix_of(event) == prefix]
    return inline_serializer(
        f"{entity.title().replace('_', '')}Message",
        {
            "event_type": serializers.ChoiceField(names),
            "timestamp": serializers.DateTimeField(help_text="When the event happened."),
            entity: carried(),
        },
    )


def _prefix_of(name: str) -> str:
    return next(prefix for prefix in CARRIED if name.startswith(f"{prefix}."))


BODIES = {prefix: _message_schema(prefix, entity, carried) for prefix, (entity, carried) in CARRIED.items()}
MESSAGES = [
    OpenApiWebhook(
        event.value,
        extend_schema(
            summary=event.label, tags=["Messages"], request=BODIES[_prefix_of(event)], responses={"2XX": ACKNOWLEDGED}
        ),
    )
    for event in WebhookEvent
]


def _render(
    rows: QuerySet[Any], serializer: type[serializers.Serializer[Any]], context: Mapping[str, Any] | None = None
) -> Payload:
    items = serializer(rows, many=True, context=dict(context or {})).data
    return [(item["id"], item) for item in items]


def render_invoices(ids: Sequence[int], at: datetime) -> Payload:
    """Render invoices as the API does, without their lines."""
    return _render(invoice_headers().filter(pk__in=ids).order_by("pk"), InvoiceOut, {"lines": ()})


def render_payments(ids: Sequence[int], at: datetime) -> Payload:
    """Render payments and refunds as the API does."""
    return _render(payments().filter(pk__in=ids), PaymentOut)


def render_credit_notes(ids: Sequence[int], at: datetime) -> Payload:
    """Render credit notes as the API does."""
    return _render(credit_notes().filter(pk__in=ids), CreditNoteOut)


def render_wallets(ids: Sequence[int], at: datetime) -> Payload:
    """Render wallets as the API does, with their current balance."""
    return _render(wallets().filter(pk__in=ids), WalletOut)


def render_wallet_entries(ids: Sequence[int], at: datetime) -> Payload:
    """Render wallet transactions as the API does, in the order in which they were written."""
    return _render(movements().filter(pk__in=ids).order_by("pk"), EntryOut)


def render_months(ids: Sequence[int], at: datetime) -> Payload:
    """Render closed and reopened months as the API does, without their later changes."""
    return _render(MonthClosing.objects.filter(pk__in=ids), MonthClosingOut)


def render_simulations(ids: Sequence[int], at: datetime) -> Payload:
    """Render simulations as the API does, with their results by currency."""
    return _render(simulations().filter(pk__in=ids).order_by("pk"), SimulationOut)


def render_late_adjustments(ids: Sequence[int], at: datetime) -> Payload:
    """Render late adjustments as the API does."""
    return _render(late_adjustments().filter(pk__in=ids).order_by("pk"), LateAdjustmentOut)


def render_emails(ids: Sequence[int], at: datetime) -> Payload:
    """Render emails as the API does, without their text."""
    return _render(emails().filter(pk__in=ids), EmailOut)


def render_reminders(ids: Sequence[int], at: datetime) -> Payload:
    """Render reminders as the API does."""
    return _render(reminders().filter(pk__in=ids), ReminderOut)


def register() -> None:
    """Register the renderers of this app's objects."""
    register_renderer("invoice", render_invoices)
    register_renderer("payment", render_payments)
    register_renderer("refund", render_payments)
    register_renderer("credit_note", render_credit_notes)
    register_renderer("late_adjustment", render_late_adjustments)
    register_renderer("wallet", render_wallets)
    register_renderer("transaction", render_wallet_entries)
    register_renderer("email", render_emails)
    register_renderer("reminder", render_reminders)
    register_renderer("month", render_months)
    register_renderer("simulation", render_simulations)
    personal_data.register()
