"""Create, change and remove webhook endpoints, rotate their secrets, and send messages again."""

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
from config.webhooks.outbox import make_message, save_messages
from config.webhooks.targets import check_url

OLD_SECRET_FOR = timedelta(hours=24)


class TooManyEndpoints(Refused):
    """The number of endpoints has reached its limit."""


class EndpointDisabled(Refused):
    """No messages can be sent to a disabled endpoint."""


def make_endpoint(
    url: str, *, description: str = "", event_types: Iterable[str] = (), is_enabled: bool = True, by: User | None
) -> WebhookEndpoint:
    """Create an endpoint with a new secret. Raises TargetRefused, TooManyEndpoints."""
    check_url(url)
    if WebhookEndpoint.objects.count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints(f"There can be at most {MOST_ENDPOINTS} endpoints. Remove an endpoint first.")
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


def change_endpoint(endpoint: WebhookEndpoint, *, by: User | None, now: datetime, **values: Any) -> WebhookEndpoint:
    """Change an endpoint's fields. Enabling it clears its failures and sends waiting messages. Raises TargetRefused."""
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if "url" in values:
            check_url(values["url"])
        was_enabled = locked.is_enabled
        for name, value in values.items():
            setattr(locked, name, value)
        if locked.is_enabled and not was_enabled:
            locked.disabled_at, locked.disabled_reason, locked.failing_since = None, "", None
        if was_enabled and not locked.is_enabled:
            locked.disabled_at = now
        with recorded(by=by):
            locked.save()
        return locked


def remove_endpoint(endpoint: WebhookEndpoint) -> None:
    """Remove an endpoint with its deliveries. Messages and their deliveries to other endpoints stay."""
    with transaction.atomic():
        WebhookAttempt.objects.filter(delivery__endpoint=endpoint).delete()
        WebhookDelivery.objects.filter(endpoint=endpoint).delete()
        endpoint.delete()


def rotate_secret(endpoint: WebhookEndpoint, *, now: datetime) -> WebhookEndpoint:
    """Replace the endpoint's secret. For 24 hours, messages are signed with both secrets, so that none is refused."""
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        locked.old_secret, locked.old_secret_until = locked.secret, now + OLD_SECRET_FOR
        locked.secret = make_secret()
        locked.save(update_fields=["secret", "old_secret", "old_secret_until", "updated_at"])
        return locked


def send_again(delivery: WebhookDelivery, *, now: datetime) -> WebhookDelivery:
    """Send a message again with the same id and a new count of attempts. Raises EndpointDisabled."""
    with transaction.atomic():
        locked = (
            WebhookDelivery.objects.select_for_update(no_key=True, of=("self",))
            .select_related("endpoint")
            .get(pk=delivery.pk)
        )
        if not locked.endpoint.is_enabled:
            raise EndpointDisabled("The endpoint is disabled: enable it first.")
        locked.state, locked.tries, locked.next_try_at, locked.delivered_at = DeliveryState.PENDING, 0, now, None
        locked.save()
        return locked


def send_test(endpoint: WebhookEndpoint, *, now: datetime) -> WebhookDelivery:
    """Send a test message to an endpoint, regardless of its event types. Raises EndpointDisabled."""
    if not endpoint.is_enabled:
        raise EndpointDisabled("The endpoint is disabled: enable it first.")
    payload = {"id": endpoint.public_id, "url": endpoint.url}
    message = make_message(WebhookEvent.TEST, "webhook", endpoint.public_id, payload, at=now)
    with transaction.atomic():
        return save_messages([endpoint], [message])[0]
