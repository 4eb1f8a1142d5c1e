"""Create, change and remove endpoints, rotate their secrets, and send messages again."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from config.audit import recorded
from config.refusals import Refused
from config.webhooks.models import (
    MOST_ENDPOINTS,
    DeliveryState,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    make_secret,
)
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import message_of, send_to
from config.webhooks.targets import check_url

OLD_SECRET_FOR = timedelta(hours=24)


class TooManyEndpoints(Refused):
    """No more endpoints are allowed."""


class EndpointDisabled(Refused):
    """Nothing is sent to a disabled endpoint."""


def create_endpoint(
    url: str, *, description: str = "", event_types: Iterable[str] = (), is_enabled: bool = True, by: User | None
) -> WebhookEndpoint:
    """Create an endpoint with a new secret. Every call creates another one. Raises TargetRefused, TooManyEndpoints."""
    check_url(url)
    if WebhookEndpoint.objects.count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints(f"You can have at most {MOST_ENDPOINTS} endpoints. Remove an endpoint first.")
    endpoint = WebhookEndpoint(
        url=url,
        description=description,
        event_types=sorted(set(event_types)),
        is_enabled=is_enabled,
        created_by=by,
    )
    with recorded(by=by):
        endpoint.save()
    return endpoint


def change_endpoint(endpoint: WebhookEndpoint, *, by: User | None, now: datetime, **changes: Any) -> WebhookEndpoint:
    """Set these fields. Enabling an endpoint clears its failures and sends waiting messages. Raises TargetRefused."""
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if "url" in changes:
            check_url(changes["url"])
        was_enabled = locked.is_enabled
        for name, value in changes.items():
            setattr(locked, name, value)
        if locked.is_enabled and not was_enabled:
            locked.disabled_at, locked.disabled_reason, locked.failing_since = None, "", None
        if was_enabled and not locked.is_enabled:
            locked.disabled_at = now
        with recorded(by=by):
            locked.save()
        return locked


def remove_endpoint(endpoint: WebhookEndpoint) -> None:
    """Remove an endpoint and the record of its deliveries. Deliveries to other endpoints stay."""
    with transaction.atomic():
        WebhookAttempt.objects.filter(delivery__endpoint=endpoint).delete()
        WebhookDelivery.objects.filter(endpoint=endpoint).delete()
        endpoint.delete()


def rotate_secret(endpoint: WebhookEndpoint, *, now: datetime) -> WebhookEndpoint:
    """Create a new secret. For 24 hours messages are signed with both, so that receivers accept them all."""
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        locked.old_secret, locked.old_secret_until = locked.secret, now + OLD_SECRET_FOR
        locked.secret = make_secret()
        locked.save(update_fields=["secret", "old_secret", "old_secret_until", "updated_at"])
        return locked


def send_again(delivery: WebhookDelivery, *, now: datetime) -> WebhookDelivery:
    """Send a message again with the same ID, starting with the first attempt. Raises EndpointDisabled."""
    with transaction.atomic():
        locked = (
            WebhookDelivery.objects.select_for_update(no_key=True, of=("self",))
            .select_related("endpoint")
            .get(pk=delivery.pk)
        )
        if not locked.endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled. Enable it first.")
        locked.state, locked.tries, locked.next_try_at, locked.delivered_at = DeliveryState.PENDING, 0, now, None
        locked.save()
        return locked


def send_test(endpoint: WebhookEndpoint, *, now: datetime) -> WebhookDelivery:
    """Send a test message, whatever events the endpoint receives. Raises EndpointDisabled."""
    if not endpoint.is_enabled:
        raise EndpointDisabled("The endpoint is disabled. Enable it first.")
    payload = {"id": endpoint.public_id, "url": endpoint.url}
    message = message_of(WebhookEvent.TEST, "webhook", endpoint.public_id, payload, at=now)
    with transaction.atomic():
        return send_to([endpoint], [message])[0]
