"""Webhooks in the API: the secret is shown once, and every delivery can be read and sent again."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from config.tasks import deliver_webhooks
from config.webhooks.delivering import deliver_due
from config.webhooks.models import MOST_ENDPOINTS, WebhookEndpoint
from events.models import Scope
from tests.api import Api
from tests.config.webhooks.receiver import receiving
from tests.factories import make_subscription

HOOKS = "https://example.com/hooks"


def test_an_endpoint_is_created_retrieved_updated_and_deleted(api):
    made = api.post("webhooks", {"url": HOOKS, "event_types": ["invoice.update.payment"]}, 201)
    assert made["secret"].startswith("whsec_")
    read = api.get(f"webhooks/{made['id']}")
    assert (read["url"], read["event_types"], read["is_enabled"]) == (HOOKS, ["invoice.update.payment"], True)
    assert "secret" not in read
    changed = api.put(f"webhooks/{made['id']}", {"description": "Accounting", "event_types": [], "is_enabled": False})
    assert (changed["description"], changed["event_types"], changed["is_enabled"]) == ("Accounting", [], False)
    assert changed["disabled_at"] is not None
    assert api.put(f"webhooks/{made['id']}", {"is_enabled": True})["disabled_at"] is None
    assert [one["id"] for one in api.get("webhooks")["items"]] == [made["id"]]
    api.delete(f"webhooks/{made['id']}", status=204)
    api.get(f"webhooks/{made['id']}", 404)


def test_rotating_returns_the_new_secret_once(api):
    made = api.post("webhooks", {"url": HOOKS}, 201)
    rotated = api.post(f"webhooks/{made['id']}/rotate-secret")
    assert rotated["secret"] != made["secret"]
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.secret, endpoint.old_secret) == (rotated["secret"], made["secret"])


@pytest.mark.parametrize("url", ["http://example.com/", "https://10.0.0.1/", "https://localhost/", "nonsense"])
def test_a_private_address_is_refused(api, url):
    assert "url" in api.post("webhooks", {"url": url}, 400)["details"]
    made = api.post("webhooks", {"url": HOOKS}, 201)
    assert "url" in api.put(f"webhooks/{made['id']}", {"url": url}, 400)["details"]


def test_an_unknown_event_type_is_refused(api):
    refused = api.post("webhooks", {"url": HOOKS, "event_types": ["invoice.update.payment", "no.such"]}, 400)
    assert list(refused["details"]) == ["event_types[1]"]


def test_the_number_of_endpoints_is_limited(api):
    for _ in range(MOST_ENDPOINTS):
        WebhookEndpoint.objects.create(url=HOOKS)
    assert api.post("webhooks", {"url": HOOKS}, 400)["code"] == "invalid_operation"


def test_changing_endpoints_requires_all_scopes(db):
    limited = Api(Scope.READ, Scope.BILLING_WRITE, Scope.CUSTOMERS_WRITE)
    assert limited.get("webhooks")["items"] == []
    for send, path in (("post", "webhooks"), ("put", "webhooks/we_1"), ("delete", "webhooks/we_1")):
        getattr(limited, send)(path, {"url": HOOKS}, 403)


@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_retrieved_and_resent(api, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        receiver.statuses, receiver.answer = [500, 200], b"no paper"
        endpoint = api.post("webhooks", {"url": receiver.url, "event_types": ["subscription.created"]}, 201)
        subscription = make_subscription()
        deliver_webhooks()
        found = api.get(f"webhook-deliveries?endpoint_id={endpoint['id']}&status=pending")
        (delivery,) = found["items"]
        assert (delivery["event_type"], delivery["object_id"]) == ("subscription.created", subscription.public_id)
        assert (delivery["tries"], delivery["last_status"], delivery["last_error"]) == (1, 500, "HTTP 500")
        whole = api.get(f"webhook-deliveries/{delivery['id']}")
        assert json.loads(whole["body"])["subscription"]["id"] == subscription.public_id
        assert [(one["status"], one["response"]) for one in whole["attempts"]] == [(500, "no paper")]

        assert api.post(f"webhook-deliveries/{delivery['id']}/resend")["tries"] == 0
        deliver_due(now=datetime.now(UTC) + timedelta(seconds=1))
        whole = api.get(f"webhook-deliveries/{delivery['id']}")
        assert (whole["status"], len(whole["attempts"])) == ("delivered", 2)
        assert {request.headers["webhook-id"] for request in receiver.received} == {delivery["message_id"]}

        tested = api.post(f"webhooks/{endpoint['id']}/test", status=201)
        assert (tested["event_type"], tested["status"]) == ("webhook.test", "pending")
        api.put(f"webhooks/{endpoint['id']}", {"is_enabled": False})
        assert api.post(f"webhooks/{endpoint['id']}/test", status=400)["code"] == "invalid_operation"
        assert api.post(f"webhook-deliveries/{delivery['id']}/resend", status=400)["code"] == "invalid_operation"


def test_the_number_of_deliveries_does_not_change_query_count(api, django_assert_max_num_queries):
    api.post("webhooks", {"url": HOOKS}, 201)
    for _ in range(5):
        make_subscription()
    with django_assert_max_num_queries(2):
        assert len(api.get("webhook-deliveries")["items"]) == 5
