"""The history on an invoice's page."""

from datetime import timedelta

import pytest

from billing.explanation.page import list_history
from tests.billing.world import bill, utc
from tests.factories import make_customer, make_subscription, make_version

pytestmark = pytest.mark.django_db


def test_history_leaves_out_saves_without_a_visible_change():
    start = utc(2026, 9, 1)
    fee = {"kind": "fixed", "name": "Base fee", "unit_amount": 10}
    make_subscription(customer=make_customer(), plan=make_version(fee), starts_at=start, now=start)
    [invoice] = [draft for draft in bill(utc(2026, 10, 1)) if draft.kind == "cycle"]
    before = len(list_history(invoice))

    invoice.computed_at += timedelta(seconds=1)
    invoice.save()
    assert len(list_history(invoice)) == before

    invoice.memo = "Thank you"
    invoice.save()
    assert len(list_history(invoice)) == before + 1
