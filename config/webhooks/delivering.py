"""Deliver webhook messages at least once. A failed delivery is retried after increasing waits."""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from config.webhooks.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from config.webhooks.posting import AttemptResult, make_headers, post_message

WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 2 * 60, 15 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60))
TRIES = len(WAITS) + 1
LEASE = timedelta(seconds=90)  # longer than any attempt; the deliveries of a killed worker are due again after it
DISABLED_AFTER = timedelta(days=3)
THREADS, MAX_PER_ENDPOINT = 16, 4
MAX_DURATION_S = 20.0
PRUNE_CHUNK = 2_000

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
        LIMIT %(limit)s
    )
    UPDATE config_webhookdelivery AS taken SET next_try_at = %(until)s FROM due WHERE taken.id = due.id
    RETURNING taken.id
"""


@dataclass(frozen=True)
class Clock:
    """The clock of one run, which continues from the `now` that it was given."""

    started_at: datetime
    started_monotonic: float

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_monotonic

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=self.elapsed_s)


def deliver_due(*, now: datetime, max_duration_s: float = MAX_DURATION_S) -> int:
    """Send due messages concurrently until none is due or the time is up. Return the number of attempts.

    Safe to run twice or concurrently: each delivery is claimed by one run, and is due again if that run is killed. At
    most four messages are sent to an endpoint at a time, so that a slow endpoint doesn't delay the others.
    """
    clock, tries = Clock(now, time.monotonic()), 0
    running: dict[Future[AttemptResult], tuple[WebhookDelivery, datetime]] = {}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks") as pool:
        while True:
            if clock.elapsed_s < max_duration_s and len(running) < THREADS:
                busy = {delivery.endpoint_id for delivery, _ in running.values()}
                for delivery in claim_deliveries(clock.now(), busy=busy, limit=THREADS - len(running)):
                    started_at = clock.now()
                    running[pool.submit(_send, delivery, started_at)] = (delivery, started_at)
            if not running:
                return tries
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                delivery, started_at = running.pop(future)
                record_attempt(delivery, future.result(), started_at=started_at)
                tries += 1


def claim_deliveries(now: datetime, *, busy: Collection[int] = (), limit: int = THREADS) -> list[WebhookDelivery]:
    """Claim due deliveries, up to four of each enabled endpoint that isn't busy. No other run gets them."""
    values: dict[str, Any] = {
        "now": now,
        "until": now + LEASE,
        "busy": list(busy),
        "limit": limit,
        "at_once": MAX_PER_ENDPOINT,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    return list(WebhookDelivery.objects.filter(pk__in=ids).select_related("message", "endpoint").order_by("pk"))


def _send(delivery: WebhookDelivery, at: datetime) -> AttemptResult:
    message, endpoint = delivery.message, delivery.endpoint
    secrets = [endpoint.secret]
    if endpoint.old_secret and endpoint.old_secret_until and endpoint.old_secret_until > at:
        secrets.append(endpoint.old_secret)
    headers = make_headers(message.public_id, message.body, secrets, at=at)
    return post_message(endpoint.url, message.body, headers)


def record_attempt(delivery: WebhookDelivery, result: AttemptResult, *, started_at: datetime) -> None:
    """Save the result of an attempt and the time of the next: 5 seconds later at first, at most eight attempts in all.

    An endpoint that accepted nothing for three days, or responds that it is gone (410), is disabled.
    """
    ended_at = started_at + timedelta(milliseconds=result.duration_ms)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=delivery.endpoint_id).first()
        locked = WebhookDelivery.objects.select_for_update(no_key=True).filter(pk=delivery.pk).first()
        if endpoint is None or locked is None:
            return  # the endpoint was removed during the attempt
        WebhookAttempt.objects.create(
            delivery=locked,
            started_at=started_at,
            duration_ms=result.duration_ms,
            status=result.status,
            error=result.error,
            response=result.response,
        )
        if locked.state == DeliveryState.PENDING:
            _update_delivery(locked, result, ended_at)
        _update_endpoint(endpoint, result, ended_at)


def _update_delivery(delivery: WebhookDelivery, result: AttemptResult, ended_at: datetime) -> None:
    delivery.tries += 1
    delivery.last_status, delivery.last_error = result.status, result.error
    if result.is_accepted:
        delivery.state, delivery.next_try_at, delivery.delivered_at = DeliveryState.DELIVERED, None, ended_at
    elif delivery.tries >= TRIES:
        delivery.state, delivery.next_try_at = DeliveryState.FAILED, None
    else:
        delivery.next_try_at = ended_at + WAITS[delivery.tries - 1]
    delivery.save()


def _update_endpoint(endpoint: WebhookEndpoint, result: AttemptResult, ended_at: datetime) -> None:
    """Save whether the endpoint works. Only disabling it is recorded in the change log."""
    if result.is_accepted:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=None, last_success_at=ended_at)
        return
    since = endpoint.failing_since or ended_at
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=since)
    is_gone = result.status == 410
    if endpoint.is_enabled and (is_gone or ended_at - since >= DISABLED_AFTER):
        endpoint.failing_since, endpoint.is_enabled, endpoint.disabled_at = since, False, ended_at
        if is_gone:
            reason = "the endpoint responded that it is gone (410)"
        else:
            reason = f"no message was accepted since {since:%Y-%m-%d %H:%M} UTC"
        endpoint.disabled_reason = f"Disabled automatically: {reason}."
        endpoint.save(update_fields=["is_enabled", "disabled_at", "disabled_reason", "updated_at"])


def prune_messages(*, now: datetime) -> int:
    """Delete messages older than LOG_DAYS, with their deliveries, in small transactions. Return how many."""
    before, count = now - timedelta(days=settings.LOG_DAYS), 0
    while ids := list(WebhookMessage.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:PRUNE_CHUNK]):
        with transaction.atomic():
            WebhookAttempt.objects.filter(delivery__message__in=ids).delete()
            WebhookDelivery.objects.filter(message__in=ids).delete()
            WebhookMessage.objects.filter(pk__in=ids).delete()
        count += len(ids)
    return count
