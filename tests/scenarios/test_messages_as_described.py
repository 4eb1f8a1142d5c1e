"""Every kind of message arrives at a real receiver, signed, and is what the served OpenAPI schema says of it."""

import pytest
from standardwebhooks.webhooks import Webhook

from billing.models import Invoice
from config.tasks import deliver_webhooks
from config.webhooks.models import WebhookEndpoint
from config.webhooks.names import WebhookEvent
from tests.config.webhooks.receiver import receiving
from tests.scenarios.described import JSON, described, make_one_of_everything, problems_of
from tests.scenarios.happening import let_all_happen

pytestmark = pytest.mark.django_db(transaction=True)


def messages():
    """Return what is said of every message, by its name."""
    return {name: methods["post"] for name, methods in described()["webhooks"].items()}


def test_every_message_arrives_signed_and_as_the_schema_says(api, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        endpoint = api.post("webhooks", {"url": receiver.url}, 201)
        named = make_one_of_everything(api)
        WebhookEndpoint.objects.exclude(public_id=endpoint["id"]).update(is_enabled=False)
        api.post(f"webhooks/{endpoint['id']}/test", status=201)
        let_all_happen(api, named, Invoice.objects.get(public_id=named["invoice_id"][0]))
        while deliver_webhooks():
            pass
    arrived = [Webhook(endpoint["secret"]).verify(one.body, one.headers) for one in receiver.received]
    assert {body["event_type"] for body in arrived} == set(WebhookEvent.values)
    for body in arrived:
        said = messages()[body["event_type"]]["requestBody"]["content"][JSON]["schema"]
        assert problems_of(body, said) == [], body["event_type"]


def test_every_message_is_described_with_the_headers_that_sign_it():
    assert set(messages()) == set(WebhookEvent.values)
    for name, said in messages().items():
        headers = [parameter["name"] for parameter in said["parameters"]]
        assert headers == ["webhook-id", "webhook-timestamp", "webhook-signature"], name
        assert said["summary"] == WebhookEvent(name).label
