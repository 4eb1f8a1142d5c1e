"""Every kind of webhook arrives at a real receiver, signed, and matches the served OpenAPI schema."""

import pytest
from standardwebhooks.webhooks import Webhook

from billing.models import Invoice
from config.api.schema import load_schema
from config.tasks import deliver_webhooks
from config.webhooks.models import WebhookEndpoint
from config.webhooks.names import WebhookEvent
from tests.config.webhooks.receiver import receiving
from tests.scenarios.schema import JSON, find_violations, make_sample_company
from tests.scenarios.webhook_triggers import trigger_all_webhooks

pytestmark = pytest.mark.django_db(transaction=True)


def list_webhooks():
    """Return the schema of every webhook by its name."""
    return {name: methods["post"] for name, methods in load_schema()["webhooks"].items()}


def test_every_webhook_arrives_signed_and_matches_the_schema(api, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        endpoint = api.post("webhooks", {"url": receiver.url}, 201)
        ids = make_sample_company(api)
        WebhookEndpoint.objects.exclude(public_id=endpoint["id"]).update(is_enabled=False)
        api.post(f"webhooks/{endpoint['id']}/test", status=201)
        trigger_all_webhooks(api, ids, Invoice.objects.get(public_id=ids["invoice_id"][0]))
        while deliver_webhooks():
            pass
    arrived = [Webhook(endpoint["secret"]).verify(request.body, request.headers) for request in receiver.received]
    assert {body["event_type"] for body in arrived} == set(WebhookEvent.values)
    for body in arrived:
        schema = list_webhooks()[body["event_type"]]["requestBody"]["content"][JSON]["schema"]
        assert find_violations(body, schema) == [], body["event_type"]


def test_every_webhook_is_described_with_its_signature_headers():
    assert set(list_webhooks()) == set(WebhookEvent.values)
    for name, webhook in list_webhooks().items():
        headers = [parameter["name"] for parameter in webhook["parameters"]]
        assert headers == ["webhook-id", "webhook-timestamp", "webhook-signature"], name
        assert webhook["summary"] == WebhookEvent(name).label
