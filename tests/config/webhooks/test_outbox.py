"""Webhooks are written in the transaction of the change, for the endpoints that receive the event."""

import pytest
from django.db import transaction

from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import mark_paid, reissue, void
from billing.models import Invoice
from billing.notifications import notify
from billing.runs.billing_run import run_to_end
from config.webhooks.models import WebhookDelivery, WebhookMessage
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import NotInTransaction, emit, register_renderer
from customers.subscriptions import (
    SubscriptionEnded,
    cancel,
    change_plan,
    pause,
    resume,
    withdraw_scheduled_change,
)
from tests.config.webhooks.messages import last_body, make_endpoint, sent_messages
from tests.factories import NOW, START, make_plan, make_subscription

pytestmark = pytest.mark.django_db


def test_an_invoice_sends_webhooks_from_draft_to_payment():
    subscription = make_subscription()
    make_endpoint()
    run_to_end(as_of=START)
    invoice = Invoice.objects.get()
    recompute(invoice, now=START)
    finalize(invoice, now=START)
    finalize(invoice, now=START)  # changes nothing, tells nothing
    mark_paid(invoice, now=NOW)
    mark_paid(invoice, now=NOW)
    names = ["invoice.create.drafted", "invoice.update", "invoice.update.finalized", "invoice.update.payment"]
    assert [each for each in sent_messages() if each[0].startswith("invoice.")] == [
        (name, invoice.public_id) for name in names
    ]
    body = last_body("invoice.update.payment")
    assert (body["event_type"], body["timestamp"]) == ("invoice.update.payment", "2026-03-10T12:00:00Z")
    shown = body["invoice"]
    assert (shown["id"], shown["invoice_number"], shown["total"]) == (invoice.public_id, "INV-000001", "10.00")
    assert (shown["payment_status"], shown["subscription_id"]) == ("SUCCEEDED", subscription.public_id)
    assert last_body("invoice.create.drafted")["invoice"]["invoice_status"] == "DRAFT"


def test_voiding_and_reissuing_send_webhooks():
    make_subscription()
    run_to_end(as_of=START)
    invoice = finalize(Invoice.objects.get(), now=START)
    make_endpoint()
    void(invoice, reason="Wrong plan", by=None, now=NOW)
    replacement = reissue(invoice, reason="Wrong plan", by=None, now=NOW)
    assert sent_messages() == [
        ("invoice.update.voided", invoice.public_id),
        ("invoice.create.drafted", replacement.public_id),
    ]


@pytest.mark.parametrize("many", [1, 12])
def test_the_number_of_invoices_does_not_change_query_count(many, django_assert_num_queries):
    for _ in range(many):
        make_subscription()
    run_to_end(as_of=START)
    make_endpoint()
    make_endpoint()
    invoices = list(Invoice.objects.all())
    with django_assert_num_queries(4):  # who wants it, the invoices, the messages, the deliveries
        notify(WebhookEvent.INVOICE_FINALIZED, invoices, now=NOW)
    assert WebhookDelivery.objects.count() == 2 * many


def test_auto_finalizing_drafts_sends_webhooks():
    make_subscription()
    make_subscription()
    run_to_end(as_of=START)
    make_endpoint()
    finalize_due(now=NOW)
    assert [name for name, _ in sent_messages()] == ["invoice.update.finalized"] * 2


def test_a_subscription_sends_webhooks_throughout_its_life():
    make_endpoint()
    subscription = make_subscription()
    other = make_plan()
    pause(subscription, at=NOW, now=NOW, by=None)
    resume(subscription, at=NOW, now=NOW, by=None)
    change_plan(subscription, other, at=NOW, now=NOW, by=None)
    change_plan(subscription, other, at=NOW, now=NOW, by=None)  # on it already
    cancel(subscription, at=NOW.replace(month=4), now=NOW, by=None)
    withdraw_scheduled_change(subscription, now=NOW, by=None)
    cancel(subscription, at=NOW, now=NOW, by=None)
    names = ["created", "paused", "resumed", "plan_changed", "cancelled", "updated", "cancelled"]
    assert sent_messages() == [(f"subscription.{name}", subscription.public_id) for name in names]
    assert last_body("subscription.plan_changed")["subscription"]["plan"]["id"] == other.public_id
    assert last_body("subscription.paused")["subscription"]["subscription_status"] == "paused"
    with pytest.raises(SubscriptionEnded):
        cancel(subscription, at=NOW.replace(month=5), now=NOW, by=None)
    assert len(sent_messages()) == 7


def test_only_endpoints_with_the_event_receive_it():
    everything = make_endpoint()
    payments = make_endpoint(event_types=[WebhookEvent.INVOICE_PAYMENT])
    make_endpoint(is_enabled=False)
    make_subscription()
    run_to_end(as_of=START)
    mark_paid(finalize(Invoice.objects.get(), now=START), now=NOW)
    assert everything.deliveries.count() == 5
    assert [one.message.event_type for one in payments.deliveries.all()] == ["invoice.update.payment"]


def test_without_endpoints_nothing_is_written_or_rendered():
    def render(objects, at):
        raise AssertionError

    register_renderer("test", render)
    assert emit(WebhookEvent.TEST, "test", [1], at=NOW) == 0
    make_subscription()
    assert not WebhookMessage.objects.exists()


def test_a_rolled_back_change_sends_nothing():
    make_endpoint()
    with transaction.atomic():
        make_subscription()
        transaction.set_rollback(True)
    assert not WebhookMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_message_needs_the_transaction_of_its_change():
    with pytest.raises(NotInTransaction):
        emit(WebhookEvent.TEST, "test", [1], at=NOW)
