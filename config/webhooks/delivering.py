"""Delivering what waits: at least once, each endpoint at its own pace, later and later while it fails."""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from config.webhooks.models import DeliveryState, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from config.webhooks.posting import Answer, post, signed

WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 2 * 60, 15 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60))
TRIES = len(WAITS) + 1
LEASE = timedelta(seconds=90)  # longer than a try can take: a worker that dies gives its deliveries back after it
DISABLED_AFTER = timedelta(days=3)
THREADS, AT_ONCE = 16, 4
LONGEST_S = 20.0
CHUNK = 2_000

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
    """The time of a run: where it began, and how far it has come since."""

    began: datetime
    mark: float

    def now(self) -> datetime:
        return self.began + timedelta(seconds=time.monotonic() - self.mark)


def deliver_due(*, now: datetime, longest_s: float = LONGEST_S) -> int:
    """Send what is due, many at once, until nothing is or the time is up; return how many tries were made.

    Safe to run twice or side by side: a delivery is claimed by one, and is due again if that one dies. An endpoint
    that hangs holds only its own: at most four messages are on their way to each.
    """
    clock, tries = Clock(now, time.monotonic()), 0
    going: dict[Future[Answer], tuple[WebhookDelivery, datetime]] = {}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks") as pool:
        while True:
            if time.monotonic() - clock.mark < longest_s and len(going) < THREADS:
                busy = {delivery.endpoint_id for delivery, _ in going.values()}
                for delivery in claim(clock.now(), busy=busy, room=THREADS - len(going)):
                    began = clock.now()
                    going[pool.submit(_send, delivery, began)] = (delivery, began)
            if not going:
                return tries
            done, _ = wait(going, return_when=FIRST_COMPLETED)
            for future in done:
                delivery, began = going.pop(future)
                record(delivery, future.result(), began=began)
                tries += 1


def claim(now: datetime, *, busy: Collection[int] = (), room: int = THREADS) -> list[WebhookDelivery]:
    """Take deliveries that are due, a few of each enabled endpoint that isn't busy. No other gets them."""
    values: dict[str, Any] = {"now": now, "until": now + LEASE, "busy": list(busy), "room": room, "at_once": AT_ONCE}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    return list(WebhookDelivery.objects.filter(pk__in=ids).select_related("message", "endpoint").order_by("pk"))


def _send(delivery: WebhookDelivery, at: datetime) -> Answer:
    message, endpoint = delivery.message, delivery.endpoint
    secrets = [endpoint.secret]
    if endpoint.old_secret and endpoint.old_secret_until and endpoint.old_secret_until > at:
        secrets.append(endpoint.old_secret)
    return post(endpoint.url, message.body, signed(message.public_id, message.body, secrets, at=at))


def record(delivery: WebhookDelivery, answer: Answer, *, began: datetime) -> None:
    """Write down what came of a try, and when the next is: after 5 seconds, later and later, until the eighth.

    An endpoint that took nothing for three days, or says that it is gone (410), is disabled.
    """
    ended = began + timedelta(milliseconds=answer.duration_ms)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=delivery.endpoint_id).first()
        locked = WebhookDelivery.objects.select_for_update(no_key=True).filter(pk=delivery.pk).first()
        if endpoint is None or locked is None:
            return  # removed while it was on its way
        WebhookAttempt.objects.create(
            delivery=locked, started_at=began, duration_ms=answer.duration_ms,
            status=answer.status, error=answer.error, response=answer.response,
        )  # fmt: skip
        if locked.state == DeliveryState.PENDING:
            _move_on(locked, answer, ended)
        _note(endpoint, answer, ended)


def _move_on(delivery: WebhookDelivery, answer: Answer, ended: datetime) -> None:
    delivery.tries += 1
    delivery.last_status, delivery.last_error = answer.status, answer.error
    if answer.is_taken:
        delivery.state, delivery.next_try_at, delivery.delivered_at = DeliveryState.DELIVERED, None, ended
    elif delivery.tries >= TRIES:
        delivery.state, delivery.next_try_at = DeliveryState.FAILED, None
    else:
        delivery.next_try_at = ended + WAITS[delivery.tries - 1]
    delivery.save()


def _note(endpoint: WebhookEndpoint, answer: Answer, ended: datetime) -> None:
    """Keep how the endpoint does. Saved past the change log, which is for what people change, unless it is disabled."""
    if answer.is_taken:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=None, last_success_at=ended)
        return
    since = endpoint.failing_since or ended
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=since)
    is_gone = answer.status == 410
    if endpoint.is_enabled and (is_gone or ended - since >= DISABLED_AFTER):
        endpoint.failing_since, endpoint.is_enabled, endpoint.disabled_at = since, False, ended
        why = "it answered that it is gone (410)" if is_gone else f"nothing was taken since {since:%Y-%m-%d %H:%M} UTC"
        endpoint.disabled_reason = f"Disabled by itself: {why}."
        endpoint.save(update_fields=["is_enabled", "disabled_at", "disabled_reason", "updated_at"])


def prune_messages(*, now: datetime) -> int:
    """Remove messages, their deliveries and tries after LOG_DAYS; return how many messages. In small transactions."""
    before, removed = now - timedelta(days=settings.LOG_DAYS), 0
    while ids := list(WebhookMessage.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:CHUNK]):
        with transaction.atomic():
            WebhookAttempt.objects.filter(delivery__message__in=ids).delete()
            WebhookDelivery.objects.filter(message__in=ids).delete()
            WebhookMessage.objects.filter(pk__in=ids).delete()
        removed += len(ids)
    return removed
