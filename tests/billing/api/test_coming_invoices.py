"""The coming invoices of a subscription, with terms that are agreed for later."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from billing.models import Invoice
from catalog.agreed import PriceEdit
from customers.subscriptions import agree_terms
from tests.api import Api
from tests.billing.adjusting import make_tax
from tests.billing.world import D
from tests.factories import make_subscription, make_version

pytestmark = pytest.mark.django_db


def first_of_month(now: datetime, later: int) -> datetime:
    months = now.year * 12 + now.month - 1 + later
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def test_coming_invoices_with_agreed_terms(api: Api):
    now = timezone.now()
    start, changed = first_of_month(now, 1), first_of_month(now, 4)
    plan = make_version({"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(100)})
    subscription = make_subscription(plan=plan, starts_at=start, now=now)
    make_tax(10, of=subscription.customer)
    agree_terms(subscription, [PriceEdit(plan.prices.get(), {"unit_amount": D(60)})], at=changed, now=now, by=None)
    path = f"subscriptions/{subscription.public_id}/coming-invoices"
    coming = api.get(path, periods=4)
    assert (coming["subscription_id"], coming["currency"], coming["problem"]) == (subscription.public_id, "USD", "")
    assert [invoice["total"] for invoice in coming["items"]] == ["110.00", "110.00", "110.00", "66.00", "66.00"]
    first, fourth = coming["items"][0], coming["items"][3]
    assert (first["billing_reason"], first["due_at"]) == ("SUBSCRIPTION_CREATE", f"{start:%Y-%m-%dT%H:%M:%SZ}")
    assert (fourth["subtotal"], fourth["total_tax"], fourth["due_at"]) == (
        "60.00",
        "6.00",
        f"{changed:%Y-%m-%dT%H:%M:%SZ}",
    )
    assert [(item["kind"], item["amount"]) for item in fourth["line_items"]] == [("fee", "60.00")]
    assert fourth["line_items"][0]["display_name"].startswith("Platform, ")
    assert not Invoice.objects.exists()

    assert api.get(path, 400, periods=13)["details"].keys() == {"periods"}
    assert len(api.get(path)["items"]) == 13
    api.get("subscriptions/subs_none/coming-invoices", 404)
