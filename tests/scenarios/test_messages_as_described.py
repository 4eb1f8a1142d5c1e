"""Every kind of message arrives at a real receiver, signed, and is what the served OpenAPI schema says of it."""

from datetime import UTC, datetime, timedelta

import pytest
from jsonschema_rs import Draft202012Validator
from standardwebhooks.webhooks import Webhook

from billing.finalizing import finalize, recompute, void
from billing.models import Invoice
from config.tasks import deliver_webhooks
from config.webhooks.models import WebhookEndpoint
from config.webhooks.names import WebhookEvent
from customers.models import Subscription
from customers.subscriptions import withdraw_scheduled_change
from events.alerts import check_alerts
from events.processing import process_batch
from events.telling import tell_of_causes
from tests.config.webhooks.receiver import receiving
from tests.factories import make_plan
from tests.scenarios.described import JSON, described, make_one_of_everything

pytestmark = pytest.mark.django_db(transaction=True)


def messages():
    """Return what is said of every message, by its name."""
    return {name: methods["post"] for name, methods in described()["webhooks"].items()}


def problems_of(body):
    """Say where a body differs from what the schema says of it."""
    said = messages()[body["event_type"]]["requestBody"]["content"][JSON]["schema"]
    validator = Draft202012Validator(said | {"components": described()["components"]}, validate_formats=True)
    return [f"{body['event_type']}: {error.instance_path}: {error.message}" for error in validator.iter_errors(body)]


def settle(api, named):
    """Pay, credit and refund through the API, and move credit."""
    reason = {"reason": "Wrong"}
    api.post(f"payments/{named['payment_id'][0]}/reverse", reason)
    note = named["credit_note_id"][0]
    api.post(f"creditnotes/{note}/finalize")
    api.post(f"creditnotes/{note}/void", reason)
    invoice = named["invoice_id"][1]
    api.put(f"invoices/{invoice}/payment", {"payment_status": "SUCCEEDED"})
    line = {"invoice_line_item_id": named["line_id"][1], "amount": "10.00"}
    back = {"invoice_id": invoice, "reason": "BILLING_ERROR", "line_items": [line], "process_credit_note": True}
    api.post("creditnotes", back, 201)
    refund = next(one for one in api.get("payments")["items"] if one["kind"] == "refund")
    api.post(f"payments/{refund['id']}/reverse", reason)
    wallet = named["wallet_id"][0]
    api.put(f"wallets/{wallet}", {"name": "Prepaid 2026"})
    api.post(f"wallets/{wallet}/terminate")


def bill(named):
    """Work a draft out anew and finalize it; void it again."""
    draft = Invoice.objects.get(public_id=named["invoice_id"][0])
    now = datetime.now(UTC)
    recompute(draft, now=now)
    void(finalize(draft, now=now), reason="Wrong", by=None, now=now)


def use(api):
    """Use more than the alert is set to, in the period that holds now, and let problems and alerts be looked for."""
    now = datetime.now(UTC)
    for number in range(15):
        body = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": f"more-{number}"}
        api.post("events", body | {"timestamp": now.isoformat()}, 202)
    process_batch()
    check_alerts(now=now + timedelta(minutes=1))
    tell_of_causes(now=now)


def change_and_end(api, named):
    """Change a subscription in every way, and end it."""
    address = f"subscriptions/{named['subscription_id'][0]}"
    api.post(f"{address}/pause", {})
    api.post(f"{address}/resume", {})
    moved = {"target_plan_id": make_plan().public_id, "proration_behavior": "create_prorations"}
    api.post(f"{address}/change/execute", moved)
    api.post(f"{address}/cancel", {"cancellation_type": "end_of_period"})
    subscription = Subscription.objects.get(public_id=named["subscription_id"][0])
    withdraw_scheduled_change(subscription, now=datetime.now(UTC), by=None)
    api.post(f"{address}/cancel", {"cancellation_type": "immediate"})


def test_every_message_arrives_signed_and_as_the_schema_says(api, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        endpoint = api.post("webhooks", {"url": receiver.url}, 201)
        named = make_one_of_everything(api)
        WebhookEndpoint.objects.exclude(public_id=endpoint["id"]).update(is_enabled=False)
        api.post(f"webhooks/{endpoint['id']}/test", status=201)
        bill(named)
        settle(api, named)
        use(api)
        change_and_end(api, named)
        while deliver_webhooks():
            pass
    arrived = [Webhook(endpoint["secret"]).verify(one.body, one.headers) for one in receiver.received]
    assert {body["event_type"] for body in arrived} == set(WebhookEvent.values)
    assert [problem for body in arrived for problem in problems_of(body)] == []


def test_every_message_is_described_with_the_headers_that_sign_it():
    assert set(messages()) == set(WebhookEvent.values)
    for name, said in messages().items():
        headers = [parameter["name"] for parameter in said["parameters"]]
        assert headers == ["webhook-id", "webhook-timestamp", "webhook-signature"], name
        assert said["summary"] == WebhookEvent(name).label
