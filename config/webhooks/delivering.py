"""Delivers waiting messages at least once, with growing waits while an endpoint fails."""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from config.webhooks.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from config.webhooks.posting import PostResult, post, sign

WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 2 * 60, 15 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60))
TRIES = len(WAITS) + 1
LEASE = timedelta(seconds=90)  # longer than an attempt can take; then the deliveries of a dead worker are due again
DISABLED_AFTER = timedelta(days=3)
THREADS, AT_ONCE = 16, 4
LONGEST_S = 20.0
CHUNK = 2_000
WEBHOOKS_LOCK = 7_301_101  # one process delivers at a time

CLAIM = """
    WITH due AS (
        SELECT delivery.id
        FROM config_webhookendpoint AS endpoint
        CROSS JOIN LATERAL (
            SELECT id FROM config_webhookdelivery
            WHERE endpoint_id = endpoint.id AND state = 'pending' AND next_try_at <= %(now)s
            ORDER BY next_try_at LIMIT %(at_once)s
            FOR UPDATE SKIP LOCKED
        ) AS delivery
        WHERE endpoint.is_enabled AND endpoint.id <> ALL(%(busy)s)
        LIMIT %(room)s
    )
    UPDATE config_webhookdelivery AS taken SET next_try_at = %(until)s FROM due WHERE taken.id = due.id
    RETURNING taken.id
"""


@dataclass(frozen=True)
class Clock:
    """The time in a run: its start plus the time elapsed."""

    began: datetime
    mark: float

    def now(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self.mark)


def deliver_due(*, now: datetime, longest_s: float = LONGEST_S) -> int:
    """Send due messages in parallel until none is due or the time is up; return the number of attempts.

    Safe to run concurrently: a delivery is claimed by one run, and is due again if that run dies. At most four
    messages are sent to an endpoint at a time, so an endpoint that hangs doesn't delay the others.
    """
    clock, tries = Clock(now, time.monotonic()), 0
    in_flight: dict[Future[PostResult], tuple[WebhookDelivery, datetime]] = {}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks") as pool:
        while True:
            if time.monotonic() - clock.mark < longest_s and len(in_flight) < THREADS:
                busy = {delivery.endpoint_id for delivery, _ in in_flight.values()}
                for delivery in claim(clock.now(), busy=busy, room=THREADS - len(in_flight)):
                    began = clock.now()
                    in_flight[pool.submit(send_message, delivery.message, delivery.endpoint, began)] = (delivery, began)
            if not in_flight:
                return tries
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                delivery, began = in_flight.pop(future)
                record(delivery, future.result(), began=began)
                tries += 1


def claim(now: datetime, *, busy: Collection[int] = (), room: int = THREADS) -> list[WebhookDelivery]:
    """Claim due deliveries, a few for each enabled endpoint that isn't busy. No other run gets them."""
    values: dict[str, Any] = {"now": now, "until": now + LEASE, "busy": list(busy), "room": room, "at_once": AT_ONCE}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    return list(WebhookDelivery.objects.filter(pk__in=ids).select_related("message", "endpoint").order_by("pk"))


def send_message(message: WebhookMessage, endpoint: WebhookEndpoint, at: datetime) -> PostResult:
    """Send a message, signed with the endpoint's secret and, for a while, the one that it replaced."""
    secrets = [endpoint.secret]
    if endpoint.old_secret and endpoint.old_secret_until and endpoint.old_secret_until > at:
        secrets.append(endpoint.old_secret)
    return post(endpoint.url, message.body, sign(message.public_id, message.body, secrets, at=at))


def record(delivery: WebhookDelivery, result: PostResult, *, began: datetime) -> None:
    """Record the result of an attempt and schedule the next: after 5 seconds, then longer, up to eight attempts.

    An endpoint that accepts nothing for three days, or responds with 410 (gone), is disabled.
    """
    ended = began + timedelta(milliseconds=result.duration_ms)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=delivery.endpoint_id).first()
        locked = WebhookDelivery.objects.select_for_update(no_key=True).filter(pk=delivery.pk).first()
        if endpoint is None or locked is None:
            return  # removed while the message was being sent
        WebhookAttempt.objects.create(
            delivery=locked,
            started_at=began,
            duration_ms=result.duration_ms,
            status=result.status,
            error=result.error,
            response=result.response,
        )
        if locked.state == DeliveryState.PENDING:
            _update_delivery(locked, result, ended)
        _update_endpoint(endpoint, result, ended)


def _update_delivery(delivery: WebhookDelivery, result: PostResult, ended: datetime) -> None:
    delivery.tries += 1
    delivery.last_status, delivery.last_error = result.status, result.error
    if result.is_accepted:
        delivery.state, delivery.next_try_at, delivery.delivered_at = DeliveryState.DELIVERED, None, ended
    elif delivery.tries >= TRIES:
        delivery.state, delivery.next_try_at = DeliveryState.FAILED, None
    else:
        delivery.next_try_at = ended + WAITS[delivery.tries - 1]
    delivery.save()


def _update_endpoint(endpoint: WebhookEndpoint, result: PostResult, ended: datetime) -> None:
    """Record whether the endpoint works. Only disabling it goes into the change log, which is for decisions."""
    if result.is_accepted:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=None, last_success_at=ended)
        return
    since = endpoint.failing_since or ended
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=since)
    is_gone = result.status == 410
    if endpoint.is_enabled and (is_gone or ended - since >= DISABLED_AFTER):
        endpoint.failing_since, endpoint.is_enabled, endpoint.disabled_at = since, False, ended
        reason = (
            "the endpoint responded with 410 (gone)"
            if is_gone
            else f"no message has been accepted since {since:%Y-%m-%d %H:%M} UTC"
        )
        endpoint.disabled_reason = f"Automatically disabled: {reason}."
        endpoint.save(update_fields=["is_enabled", "disabled_at", "disabled_reason", "updated_at"])


def prune_messages(*, now: datetime) -> int:
    """Delete messages older than LOG_DAYS with their deliveries, in small transactions. Return the number deleted."""
    before, removed = now - timedelta(days=settings.LOG_DAYS), 0
    while ids := list(WebhookMessage.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:CHUNK]):
        with transaction.atomic():
            WebhookAttempt.objects.filter(delivery__message__in=ids).delete()
            WebhookDelivery.objects.filter(message__in=ids).delete()
            WebhookMessage.objects.filter(pk__in=ids).delete()
        removed += len(ids)
    return removed
