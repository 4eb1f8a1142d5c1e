"""The dialogs that agree and end a commitment, their preview, and its progress on the subscription's page."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.admin_pages import submit, text_of, url
from tests.billing.late import arrive_many
from tests.billing.world import D
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


def test_a_commitment_is_previewed_agreed_shown_and_ended(staff_client):
    plan = make_version({"feature": make_feature(name="Calls"), "unit_amount": D(1)})
    customer = make_customer(external_id="acme")
    subscription = make_subscription(customer=customer, plan=plan, starts_at=timezone.now() - timedelta(days=3))
    panel = url("billing_commitment", subscription.pk)
    assert "Commitment" not in text_of(staff_client.get(panel))
    form = {"amount": "20", "kind": "prepaid", "periods": "1", "overage_factor": "2", "starts": "current"}

    effect = text_of(staff_client.post(url("billing_change_effect", "commitment", subscription.pk), form))
    assert "Invoiced at once: $20.00" in effect

    submit(staff_client, url("customers_subscription_agree_commitment", subscription.pk), **form, reason="Order 7")
    arrive_many(25, timezone.now() - timedelta(hours=1))
    shown = text_of(staff_client.get(panel))
    assert "$25.00 of $20.00 used" in shown
    assert "$5.00 is above the amount" in shown
    assert 'value="100"' in staff_client.get(panel).content.decode()

    submit(staff_client, url("customers_subscription_end_commitment", subscription.pk), reason="Renegotiated")
    commitment = subscription.commitments.get()
    assert commitment.ends_at is not None
