"""What the OpenAPI schema says of webhooks: every message, with the object that it carries."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema, inline_serializer
from rest_framework import serializers

from billing.api.serializers.credit_notes import CreditNoteOut
from billing.api.serializers.invoices import InvoiceOut
from billing.api.serializers.payments import PaymentOut
from billing.api.serializers.wallets import EntryOut, WalletOut
from config.webhooks.names import WebhookEvent
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
