"""Telling other systems of a subscription's changes, in the transaction that makes them."""

from datetime import datetime

from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import Told, emit
from customers.models import Subscription


def announce(event: WebhookEvent, subscription: Subscription, *, now: datetime) -> None:
    """Tell what became of a subscription that is saved, phases and all, as it stands now."""

    def told() -> Told:
        from customers.api.serializers import shown  # it reads phases by this package, which isn't whole yet

        return [(subscription.public_id, shown([subscription], now=now)[0])]

    emit(event, "subscription", told, at=now)
