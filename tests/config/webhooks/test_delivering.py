"""Signed messages are delivered at least once, with growing waits while an endpoint fails."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from standardwebhooks.webhooks import Webhook

from config.tasks import deliver_webhooks
from config.webhooks import delivering
from config.webhooks.delivering import LEASE, claim, deliver_due, prune_messages
from config.webhooks.endpoints import (
    EndpointDisabled,
    change_endpoint,
    create_endpoint,
    remove_endpoint,
    rotate_secret,
    send_again,
    send_test,
)
from config.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage
from events.tasks import prune
from tests.config.webhooks.receiver import receiving

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = timedelta(seconds=1)


def utc_now():
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def receivers_on_this_machine(settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture
def endpoint(receiver):
    return create_endpoint(receiver.url, by=None)


def test_a_message_is_delivered_and_its_signature_verifies(receiver, endpoint):
    delivery = send_test(endpoint, now=utc_now())
    assert deliver_webhooks() == 1
    (request,) = receiver.received
    said = Webhook(endpoint.secret).verify(request.body, request.headers)
    assert (said["event_type"], said["webhook"]["id"]) == ("webhook.test", endpoint.public_id)
    assert request.headers["webhook-id"] == request.headers["svix-id"] == delivery.message.public_id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == receiver.url.split("/")[2]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.last_status) == ("delivered", 1, 200)
    attempt = WebhookAttempt.objects.get()
    assert (attempt.status, attempt.error, attempt.response) == (200, "", "thank you")
    assert deliver_webhooks() == 0


def test_a_rejected_message_is_retried_with_growing_waits_and_then_fails(receiver, endpoint):
    receiver.statuses = [500]
    delivery = send_test(endpoint, now=utc_now())
    now, waits = utc_now() + SECOND, []
    for _ in range(8):
        assert deliver_due(now=now) == 1
        delivery.refresh_from_db()
        if delivery.next_try_at:
            waits.append(round((delivery.next_try_at - now).total_seconds()))
            now = delivery.next_try_at
    assert waits == [5, 30, 120, 900, 3600, 21600, 86400]
    assert (delivery.state, delivery.tries, delivery.last_error) == ("failed", 8, "HTTP 500")
    assert deliver_due(now=now + timedelta(days=9)) == 0
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1


def test_staff_send_a_failed_message_again_with_the_same_id(receiver, endpoint):
    delivery = send_test(endpoint, now=utc_now())
    deliver_webhooks()
    send_again(delivery, now=utc_now())
    assert deliver_webhooks() == 1
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert ids == [delivery.message.public_id] * 2
    assert delivery.attempts.count() == 2


def test_an_unreachable_endpoint_is_retried(endpoint):
    change_endpoint(endpoint, by=None, now=utc_now(), url="http://127.0.0.1:9/hooks")
    delivery = send_test(endpoint, now=utc_now())
    deliver_webhooks()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_status) == ("pending", None)
    assert "ConnectError" in delivery.last_error


def test_a_redirect_is_not_followed(receiver, endpoint):
    receiver.statuses, receiver.headers = [302], {"Location": receiver.url + "/elsewhere"}
    delivery = send_test(endpoint, now=utc_now())
    deliver_webhooks()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_error, len(receiver.received)) == ("pending", "HTTP 302", 1)


def test_only_the_beginning_of_a_long_response_is_stored(receiver, endpoint):
    receiver.answer = b"\0" + b"x" * 5_000_000
    send_test(endpoint, now=utc_now())
    deliver_webhooks()
    assert WebhookAttempt.objects.get().response == "\ufffd" + "x" * 499


def test_an_endpoint_that_fails_for_three_days_is_disabled_and_can_be_enabled(receiver, endpoint):
    receiver.statuses = [503]
    first, now = send_test(endpoint, now=utc_now()), utc_now() + SECOND
    deliver_due(now=now)
    later = send_test(endpoint, now=utc_now())
    deliver_due(now=now + timedelta(days=3, minutes=1))
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason[:38]) == (False, "Automatically disabled: no message has")
    assert deliver_due(now=now + timedelta(days=9)) == 0  # what waits, waits
    with pytest.raises(EndpointDisabled):
        send_again(first, now=now)

    receiver.statuses = [200]
    endpoint = change_endpoint(endpoint, by=None, now=now, is_enabled=True)
    assert (endpoint.failing_since, endpoint.disabled_at, endpoint.disabled_reason) == (None, None, "")
    assert deliver_due(now=now + timedelta(days=9)) == 2
    later.refresh_from_db()
    assert later.state == "delivered"


def test_a_success_clears_the_failures(receiver, endpoint):
    receiver.statuses = [500, 200]
    send_test(endpoint, now=utc_now())
    now = utc_now() + SECOND
    deliver_due(now=now)
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None
    deliver_due(now=now + 6 * SECOND)
    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.last_success_at is not None) == (None, True)


def test_an_endpoint_that_responds_with_gone_is_disabled_immediately(receiver, endpoint):
    receiver.statuses = [410]
    send_test(endpoint, now=utc_now())
    deliver_webhooks()
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (
        False,
        "Automatically disabled: the endpoint responded with 410 (gone).",
    )


def test_after_a_rotation_both_secrets_verify_for_a_day(receiver, endpoint):
    rotated = rotate_secret(endpoint, now=utc_now())
    assert rotated.secret != endpoint.secret
    send_test(rotated, now=utc_now())
    deliver_webhooks()
    for secret in (endpoint.secret, rotated.secret):
        assert Webhook(secret).verify(receiver.received[0].body, receiver.received[0].headers)
    WebhookEndpoint.objects.update(old_secret_until=utc_now())
    send_test(rotated, now=utc_now())
    deliver_webhooks()
    assert len(receiver.received[1].headers["webhook-signature"].split()) == 1


def test_a_hanging_endpoint_delays_no_other(receiver, endpoint):
    receiver.hangs_s = 1.5
    with receiving() as quick:
        other = create_endpoint(quick.url, by=None)
        for _ in range(6):
            send_test(endpoint, now=utc_now())
        for _ in range(12):
            send_test(other, now=utc_now())
        done = threading.Event()

        def deliver():
            try:
                assert deliver_due(now=utc_now() + SECOND) == 18
            finally:
                connection.close()
                done.set()

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(deliver)
            while len(quick.received) < 12:
                assert not done.wait(0.02)
            assert len(receiver.received) <= 4
            sending.result(60)
        assert (len(receiver.received), receiver.most_at_once) == (6, 4)


def test_two_workers_share_the_deliveries(receiver, endpoint):
    for _ in range(20):
        send_test(endpoint, now=utc_now())

    def deliver():
        try:
            return deliver_due(now=utc_now() + SECOND)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sum(future.result(60) for future in [pool.submit(deliver) for _ in range(2)]) == 20
    assert len({request.headers["webhook-id"] for request in receiver.received}) == len(receiver.received) == 20


def test_claims_of_a_dead_worker_are_sent_by_the_next(receiver, endpoint):
    delivery, now = send_test(endpoint, now=utc_now()), utc_now() + SECOND
    assert [one.pk for one in claim(now)] == [delivery.pk]
    assert claim(now) == []
    assert deliver_due(now=now + LEASE) == 1
    assert len(receiver.received) == 1


def test_removing_an_endpoint_during_a_delivery_is_safe(receiver, endpoint):
    receiver.hangs_s = 0.5
    send_test(endpoint, now=utc_now())

    def deliver():
        try:
            return deliver_due(now=utc_now() + SECOND)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(deliver)
        while not receiver.arrived:
            assert not sending.done()
        remove_endpoint(endpoint)
        assert sending.result(30) == 1
    assert not WebhookDelivery.objects.exists()


def test_messages_are_deleted_after_log_days(endpoint, settings, monkeypatch):
    monkeypatch.setattr(delivering, "CHUNK", 1)
    for _ in range(3):
        send_test(endpoint, now=utc_now())
    deliver_webhooks()
    WebhookMessage.objects.filter(pk__in=WebhookMessage.objects.values("pk")[:2]).update(
        created_at=utc_now() - timedelta(days=settings.LOG_DAYS, minutes=1)
    )
    assert prune_messages(now=utc_now()) == 2
    prune()
    assert (WebhookMessage.objects.count(), WebhookDelivery.objects.count(), WebhookAttempt.objects.count()) == (
        1,
        1,
        1,
    )
