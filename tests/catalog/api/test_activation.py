"""Archived features and plans are activated through the API."""

import pytest
from auditlog.models import LogEntry

from events.ledger.processing import process_batch
from tests.factories import make_customer, make_feature, make_plan

pytestmark = pytest.mark.django_db


def test_an_activated_feature_counts_again_and_its_reason_is_recorded(api):
    feature = make_feature()
    make_customer(external_id="acme")
    api.delete(f"features/{feature.public_id}")
    event = {"event_name": "api.calls", "external_customer_id": "acme"}
    api.post("events", event, 202)
    process_batch()
    for _ in range(2):
        activated = api.post(f"features/{feature.public_id}/activate", {"reason": "Sold again"})
        assert activated["status"] == "published"
    entry = LogEntry.objects.filter(object_pk=str(feature.pk)).latest("pk")
    assert entry.additional_data["reason"] == "Sold again"
    api.post("events", event, 202)
    process_batch()
    usage = api.post("events/usage/meter", {"meter_id": feature.public_id, "external_customer_id": "acme"})
    assert usage["value"] >= 1
    api.post("features/feat_none/activate", status=404)


def test_an_activated_plan_accepts_subscriptions_again(api):
    plan, customer = make_plan(), make_customer()
    body = {
        "customer_id": customer.public_id,
        "plan_id": plan.public_id,
        "currency": "USD",
        "billing_period": "MONTHLY",
    }
    api.delete(f"plans/{plan.public_id}")
    api.post("subscriptions", body, 400)
    assert api.post(f"plans/{plan.public_id}/activate")["status"] == "published"
    api.post("subscriptions", body, 201)
