"""An `Idempotency-Key` makes a write run once: for concurrent threads, after a crash, and for a day."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import psutil
import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from billing.models import Invoice
from billing.runs.billing_run import run_to_end
from config.api.idempotency import forget_old_answers
from config.api.models import KeptAnswer
from customers.models import Customer, Subscription
from events.access.keys import make_key
from events.models import Scope
from events.tasks import prune
from tests.factories import make_customer, make_plan, make_subscription
from tests.locks import is_someone_waiting
from tests.web_server import database_url, granian

ACME = {"external_id": "acme", "name": "Acme Ltd"}


class Sender:
    """Send with an Idempotency-Key, and give the raw answer."""

    def __init__(self, *scopes: str) -> None:
        self.secret = make_key("Sender", scopes=scopes or (Scope.ALL,))[1]
        self.client = Client(headers={"x-api-key": self.secret})

    def send(self, path, body=None, *, key="k-1", method="POST"):
        sent = body if isinstance(body, (str, bytes)) else json.dumps(body)
        given = {"content_type": "application/json"} if body is not None else {"content_type": ""}
        data = sent if body is not None else ""
        return self.client.generic(method, f"/v1/{path}", data, headers={"Idempotency-Key": key}, **given)


@pytest.fixture
def sender(db):
    return Sender()


def test_a_repeated_request_runs_once_with_the_same_answer(sender):
    first, second = sender.send("customers", ACME), sender.send("customers", ACME)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["content-type"] == "application/json"
    assert ("Idempotent-Replayed" in first.headers, second.headers["Idempotent-Replayed"]) == (False, "true")
    assert Customer.objects.count() == 1


def test_whitespace_and_key_order_do_not_make_a_different_request(sender):
    sender.send("customers", '{"external_id": "acme", "name": "Acme Ltd"}')
    again = sender.send("customers", b'{ "name":"Acme Ltd",\n "external_id":"acme" }')
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")


@pytest.mark.parametrize(
    ("path", "body", "method"),
    [
        ("customers", ACME | {"name": "Acme SE"}, "POST"),
        ("customers?external_customer_id=acme", ACME, "PUT"),
        ("plans", ACME, "POST"),
    ],
)
def test_a_key_used_for_a_different_request_is_refused(sender, path, body, method):
    sender.send("customers", ACME)
    refused = sender.send(path, body, method=method)
    assert refused.status_code == 409
    assert refused.json()["code"] == "idempotency_key_reused"


def test_numbers_are_compared_as_written(sender):
    sender.send("plans", '{"name": "A", "display_order": 1}')
    assert sender.send("plans", '{"name": "A", "display_order": 2}').status_code == 409


def test_the_same_key_of_two_callers_is_independent(sender):
    sender.send("customers", ACME)
    other = Sender().send("customers", ACME | {"external_id": "other"})
    assert (other.status_code, other.json()["external_id"]) == (201, "other")


def test_a_refused_request_can_be_sent_again_once_the_cause_is_fixed(sender):
    plan = make_plan()
    body = {
        "external_customer_id": "acme", "plan_id": plan.public_id, "currency": "USD", "billing_period": "MONTHLY",
    }  # fmt: skip
    assert sender.send("subscriptions", body).status_code == 404
    make_customer(external_id="acme")
    assert sender.send("subscriptions", body).status_code == 201
    assert Subscription.objects.count() == 1


def test_an_action_without_a_body_is_repeated_too(sender):
    subscription = make_subscription()
    run_to_end(as_of=subscription.started_at)
    invoice = Invoice.objects.get()
    first = sender.send(f"invoices/{invoice.public_id}/finalize")
    again = sender.send(f"invoices/{invoice.public_id}/finalize")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json() == {"message": "Invoice finalized: INV-000001"}
    assert sender.send(f"invoices/{invoice.public_id}/finalize", key="k-2").status_code == 400  # finalized already


def test_an_answer_without_a_body_is_repeated(sender):
    customer = make_customer()
    answers = [sender.send(f"customers/{customer.public_id}", method="DELETE") for _ in range(2)]
    assert [(one.status_code, one.content) for one in answers] == [(204, b""), (204, b"")]


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "two\tparts"])
def test_a_malformed_key_is_refused(sender, key):
    refused = sender.send("customers", ACME, key=key)
    assert (refused.status_code, list(refused.json()["details"])) == (400, ["Idempotency-Key"])


def test_reads_and_events_ignore_the_key(sender):
    sender.send("customers/search", {"limit": 1})
    event = {"event_name": "api.calls", "external_customer_id": "acme"}
    assert sender.send("events", event).status_code == 202
    assert sender.send("events", event | {"event_name": "other"}).status_code == 202
    assert not KeptAnswer.objects.exists()


def test_an_answer_is_stored_for_a_day(sender):
    sender.send("customers", ACME)
    later = timezone.now() + timedelta(hours=24, seconds=1)
    assert forget_old_answers(now=later - timedelta(minutes=1)) == 0
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert sender.send("customers", ACME | {"external_id": "other"}).status_code == 201
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    prune()
    assert not KeptAnswer.objects.exists()


def test_a_failure_leaves_neither_the_effect_nor_the_answer(sender, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("out of paper")

    sender.client.raise_request_exception = False
    with monkeypatch.context() as patch:
        patch.setattr("config.api.idempotency.KeptAnswer.objects.create", fail)  # after the customer is made
        assert sender.send("customers", ACME).status_code == 500
    assert not Customer.objects.exists()
    assert sender.send("customers", ACME).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_gone_the_answer_is_503(transactional_db, monkeypatch):
    sender = Sender()
    sender.send("customers", {})  # the key is remembered from now on
    with monkeypatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        refused = sender.send("customers", ACME)
    connection.close()
    assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
    assert refused.headers["Retry-After"] == "2"
    assert sender.send("customers", ACME).status_code == 201


# --- At once, and killed ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_one_of_many_concurrent_requests_runs(transactional_db):
    sender = Sender()
    ready = threading.Barrier(6)

    def send():
        try:
            ready.wait(10)
            return sender.send("customers", ACME).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = [future.result(60) for future in [pool.submit(send) for _ in range(6)]]
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert Customer.objects.count() == KeptAnswer.objects.count() == 1


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_request_killed_halfway_runs_with_the_next_attempt(transactional_db):
    secret = make_key("Sender")[1]
    run_to_end(as_of=make_subscription().started_at)
    path = f"/v1/invoices/{Invoice.objects.get().public_id}/finalize"
    headers = {"x-api-key": secret, "Idempotency-Key": "pay-day"}

    def send(base_url):
        try:
            return httpx.post(base_url + path, headers=headers, timeout=60).status_code
        except httpx.TransportError:
            return None

    with ThreadPoolExecutor(1) as pool, granian(database_url()) as base_url, transaction.atomic():
        Invoice.objects.select_for_update().get()  # holds the request in its middle
        sent = pool.submit(send, base_url)
        until(is_someone_waiting)
        for process in psutil.Process().children(recursive=True):
            if "granian" in " ".join(process.cmdline()):
                process.kill()
        assert sent.result(60) is None
    assert (Invoice.objects.get().number, KeptAnswer.objects.count()) == (None, 0)
    with granian(database_url()) as base_url:
        until(lambda: send(base_url) == 200)
        assert send(base_url) == 200
    assert (Invoice.objects.get().number, KeptAnswer.objects.count()) == ("INV-000001", 1)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_second_request_is_told_that_the_first_is_in_progress(transactional_db):
    secret = make_key("Sender")[1]
    run_to_end(as_of=make_subscription().started_at)
    path = f"/v1/invoices/{Invoice.objects.get().public_id}/finalize"
    headers = {"x-api-key": secret, "Idempotency-Key": "pay-day"}
    with ThreadPoolExecutor(1) as pool, granian(database_url()) as base_url:
        with transaction.atomic():
            Invoice.objects.select_for_update().get()
            first = pool.submit(httpx.post, base_url + path, headers=headers, timeout=60)
            until(is_someone_waiting)
            second = httpx.post(base_url + path, headers=headers, timeout=60)
        assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
        assert second.headers["Retry-After"] == "1"
        assert first.result(60).status_code == 200
