"""Invoices through the API: preview, read, finalize, void, payment."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Invoice
from billing.runs.billing_run import run_to_end
from customers.models import Subscription
from tests.api import Api
from tests.billing.world import use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
FEE = {
    "kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": Decimal(49), "name": "Platform",
    "feature": None,
}  # fmt: skip


@pytest.fixture
def acme(db: None) -> Subscription:
    """Subscribe Acme 40 days ago to $49 in advance and $0.50 a call with 10 free; 15 calls on the first day, 12 now."""
    now = timezone.now()
    calls = make_feature(name="Calls")
    customer = make_customer(external_id="acme", name="Acme")
    version = make_version(FEE, {"feature": calls, "unit_amount": Decimal("0.50")}, free_units={calls: 10}, name="P")
    start = now - timedelta(days=40)
    subscription = make_subscription(customer=customer, plan=version, starts_at=start, now=start)
    use(customer, calls, start + timedelta(hours=1), 15)
    use(customer, calls, now - timedelta(hours=1), 12)
    return subscription


@pytest.fixture
def invoices(acme: Subscription) -> list[Any]:
    """Run billing: the opening, and the first period."""
    run_to_end(as_of=timezone.now())
    return list(Invoice.objects.order_by("pk"))


def test_a_preview_charges_the_current_usage_and_the_next_fee(api, acme):
    shown = api.post("invoices/preview", {"subscription_id": acme.public_id, "hide_zero_charges_line_items": False})
    # 12 calls, 10 free: 2 × $0.50 = $1.00, and $49 for the next period
    assert (shown["total"], shown["amount_due"], shown["invoice_status"], shown["id"]) == (
        "50.00", "50.00", "DRAFT", None,
    )  # fmt: skip
    lines = {line["price_type"]: line for line in shown["line_items"]}
    assert lines["FIXED"]["amount"] == "49.00"
    usage = lines["USAGE"]
    assert (usage["quantity"], usage["adjusted_entitlement_quantity"], usage["usage_quantity"], usage["amount"]) == (
        "2", "10", "12", "1.00",
    )  # fmt: skip
    assert not Invoice.objects.exists()
    api.post("invoices/preview", {"subscription_id": "subs_none"}, status=404)
    assert "subscription_id" in api.post("invoices/preview", {}, status=400)["details"]


def test_an_invoice_is_retrieved_with_its_lines(api, invoices):
    opening, cycle = (api.get(f"invoices/{one.public_id}") for one in invoices)
    assert (opening["billing_reason"], opening["total"]) == ("SUBSCRIPTION_CREATE", "49.00")
    # 15 calls, 10 free: 5 × $0.50 = $2.50, and $49
    assert (cycle["billing_reason"], cycle["total"]) == ("SUBSCRIPTION_CYCLE", "51.50")
    assert sorted(line["amount"] for line in cycle["line_items"]) == ["2.50", "49.00"]
    assert cycle["customer"]["external_id"] == "acme"
    assert (cycle["due_date"], cycle["paid_at"], cycle["invoice_number"]) == (None, None, None)
    api.get("invoices/inv_none", status=404)


def test_a_draft_is_finalized_once_then_paid(api, invoices):
    path = f"invoices/{invoices[0].public_id}"
    assert api.post(f"{path}/finalize")["message"] == "Invoice finalized: INV-000001"
    assert api.post(f"{path}/finalize", status=400)["code"] == "invalid_operation"
    assert api.get(path)["invoice_status"] == "FINALIZED"
    assert "payment_status" in api.put(f"{path}/payment", {"payment_status": "REFUNDED"}, 400)["details"]
    paid = api.put(f"{path}/payment", {"payment_status": "SUCCEEDED", "amount": "49.00"})
    assert (paid["payment_status"], paid["amount_paid"], paid["amount_remaining"]) == ("SUCCEEDED", "49.00", "0.00")
    assert api.post(f"{path}/void", status=400)["message"].endswith("Refund it first, or create a credit note.")


def test_a_finalized_invoice_is_voided_with_a_reason(api, invoices):
    path = f"invoices/{invoices[1].public_id}"
    assert api.post(f"{path}/void", status=400)["code"] == "invalid_operation"  # a draft
    api.post(f"{path}/finalize")
    assert api.post(f"{path}/void") == {"message": "Invoice voided"}
    assert api.get(path)["void_reason"] == "Voided through the API"
    assert api.post(f"{path}/void", {"reason": "Again"}, status=400)["code"] == "invalid_operation"


def test_invoices_are_listed_newest_first_and_searched(api, invoices):
    opening, cycle = invoices
    assert [one["id"] for one in api.get("invoices")["items"]] == [cycle.public_id, opening.public_id]
    api.post(f"invoices/{opening.public_id}/finalize")
    for asked, expected in (
        ({"external_customer_id": "acme"}, 2),
        ({"customer_id": "cust_none"}, 0),
        ({"subscription_id": opening.subscription.public_id, "invoice_status": ["FINALIZED"]}, 1),
        ({"invoice_status": ["DRAFT", "VOIDED"]}, 1),
        ({"payment_status": ["SUCCEEDED"]}, 0),
        ({"amount_due_gt": 49, "invoice_type": "SUBSCRIPTION"}, 1),
        ({"amount_remaining_gt": 1, "invoice_ids": [opening.public_id]}, 1),
        ({"invoice_type": "ONE_OFF"}, 0),
    ):
        assert api.post("invoices/search", asked)["pagination"]["total"] == expected, asked
    assert api.post("invoices/search", {"skip_line_items": True})["items"][0]["line_items"] == []
    assert "amount_due_gt" in api.post("invoices/search", {"amount_due_gt": "much"}, status=400)["details"]


def test_the_number_of_invoices_does_not_change_query_count(api, invoices, django_assert_num_queries):
    api.get("plans")
    for limit in (1, 2):
        # the count, the invoices, their lines
        with django_assert_num_queries(3):
            api.get("invoices", limit=limit)


def test_changing_invoices_requires_the_billing_scope(api, invoices):
    reader = Api("read", "customers:write")
    path = f"invoices/{invoices[0].public_id}"
    assert "billing:write" in reader.post(f"{path}/finalize", status=403)["message"]
    assert reader.get(path)["id"] == invoices[0].public_id


def test_voiding_a_one_off_draft_deletes_it(api):
    customer = make_customer()
    body = {"customer_id": customer.public_id, "currency": "USD", "amount_due": "5", "subtotal": "5", "total": "5"}
    items = [{"display_name": "Setup", "amount": "5", "quantity": "1"}]
    draft = api.post("invoices", body | {"line_items": items}, status=201)
    assert draft["invoice_status"] == "DRAFT"
    assert api.post(f"invoices/{draft['id']}/void")["message"] == "Draft deleted"
    api.get(f"invoices/{draft['id']}", 404)
    api.post(f"invoices/{draft['id']}/void", status=404)


def test_a_subscriptions_draft_is_kept_because_its_period_must_be_invoiced(api):
    make_subscription(starts_at=utc(2026, 9, 1))
    run_to_end(as_of=utc(2026, 9, 1))
    (draft,) = api.get("invoices")["items"]
    assert "can't be deleted" in api.post(f"invoices/{draft['id']}/void", status=400)["message"]
