"""Actions on invoices through the API: reissue, recalculate, hold, finalize many, modify, delete, prove, explain."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from billing.models import Invoice
from billing.runs.billing_run import run_to_end
from catalog.models import Feature
from tests.billing.world import use
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(db) -> Feature:
    return make_feature(name="Calls")


@pytest.fixture
def draft(calls) -> Invoice:
    """Acme's draft for a month with 15 calls at $0.50, 10 of them free."""
    now = timezone.now()
    start = now - timedelta(days=40)
    customer = make_customer(external_id="acme", name="Acme")
    version = make_version({"feature": calls, "unit_amount": Decimal("0.50")}, free_units={calls: 10})
    make_subscription(customer=customer, plan=version, starts_at=start, now=start)
    use(customer, calls, start + timedelta(hours=1), 15)
    run_to_end(as_of=now)
    return Invoice.objects.get(kind="cycle")


@pytest.fixture
def one_off(api) -> Any:
    """A draft of two hours at $100."""
    customer = make_customer(external_id="shop")
    item = {"display_name": "Consulting", "quantity": "2", "unit_amount": "100"}
    body = {"customer_id": customer.public_id, "currency": "USD", "subtotal": "200.00", "line_items": [item]}
    return api.post("invoices", body, 201)


def use_more(draft: Invoice, calls: Feature, count: int, *, hour: int = 2) -> None:
    use(draft.customer, calls, draft.period_start + timedelta(hours=hour), count)


def test_a_reissued_invoice_is_void_and_its_replacement_charges_current_usage(api, draft, calls):
    api.post(f"invoices/{draft.public_id}/finalize")
    use_more(draft, calls, 2)
    assert "reason" in api.post(f"invoices/{draft.public_id}/reissue", {}, status=400)["details"]
    reason = {"reason": "Usage was missing"}
    replacement = api.post(f"invoices/{draft.public_id}/reissue", reason)
    # 17 calls, 10 free: 7 × $0.50
    assert (replacement["invoice_status"], replacement["total"]) == ("DRAFT", "3.50")
    voided = api.get(f"invoices/{draft.public_id}")
    assert (voided["invoice_status"], voided["void_reason"]) == ("VOIDED", "Usage was missing")
    assert voided["recalculated_invoice_id"] == replacement["id"]
    assert api.post(f"invoices/{draft.public_id}/reissue", reason)["id"] == replacement["id"]
    entry = LogEntry.objects.filter(object_pk=str(draft.pk)).latest("pk")
    assert entry.additional_data["api_key"].startswith("Test (sk_")


def test_a_paid_invoice_is_not_reissued(api, draft):
    api.post(f"invoices/{draft.public_id}/finalize")
    api.put(f"invoices/{draft.public_id}/payment", {"payment_status": "SUCCEEDED"})
    refusal = api.post(f"invoices/{draft.public_id}/reissue", {"reason": "Wrong"}, status=400)
    assert refusal["code"] == "invalid_operation"
    assert Invoice.objects.filter(kind="cycle").count() == 1


def test_a_draft_is_recalculated_in_place_and_finalized_if_requested(api, draft, calls):
    use_more(draft, calls, 1)
    assert api.post(f"invoices/{draft.public_id}/recalculate-v2")["total"] == "3.00"
    use_more(draft, calls, 1, hour=3)
    answer = api.post(f"invoices/{draft.public_id}/recalculate", status=202)
    assert (answer["invoice_id"], answer["workflow_id"]) == (draft.public_id, None)
    final = api.post(f"invoices/{draft.public_id}/recalculate-v2?finalize=true")
    assert (final["invoice_status"], final["total"]) == ("FINALIZED", "3.50")
    assert api.post(f"invoices/{draft.public_id}/recalculate", status=202)["invoice_id"] != draft.public_id


def test_a_draft_on_hold_is_not_finalized_until_it_is_released(api, draft):
    assert "reason" in api.post(f"invoices/{draft.public_id}/hold", {}, status=400)["details"]
    held = api.post(f"invoices/{draft.public_id}/hold", {"reason": "Order number missing"})
    assert (held["hold_reason"], held["held_at"] is None) == ("Order number missing", False)
    assert "on hold" in api.post(f"invoices/{draft.public_id}/finalize", status=400)["message"]
    assert api.get("invoices/drafts") == {"items": [{"currency": "USD", "drafts": 1, "held": 1, "total": "2.50"}]}
    skipped = api.post("invoices/finalize", {"invoice_ids": [draft.public_id]})["items"]
    assert skipped[0]["skipped"] == "on hold: Order number missing"
    released = api.post(f"invoices/{draft.public_id}/release")
    assert (released["held_at"], released["hold_reason"]) == (None, None)
    done = api.post("invoices/finalize", {"invoice_ids": [draft.public_id]})["items"]
    assert (done[0]["skipped"], done[0]["invoice_number"] is None) == ("", False)
    api.post("invoices/finalize", {"invoice_ids": ["inv_none"]}, status=404)


def test_line_items_of_a_one_off_draft_are_added_changed_and_removed(api, one_off):
    def modify(**params: Any) -> Any:
        body = {"type": "line_item", "line_item_params": params}
        return api.post(f"invoices/{one_off['id']}/modify/execute", body)["invoice"]

    added = modify(action="add", items=[{"display_name": "Travel", "quantity": "1", "amount": "120.50"}])
    assert [(line["display_name"], line["amount"]) for line in added["line_items"]] == [
        ("Consulting", "200.00"),
        ("Travel", "120.50"),
    ]
    assert added["total"] == "320.50"
    consulting, _ = (line["id"] for line in added["line_items"])
    changed = modify(action="update", line_item_id=consulting, update={"quantity": "3"})
    assert changed["total"] == "420.50"  # 3 × $100 and $120.50
    assert modify(action="remove", line_item_ids=[changed["line_items"][1]["id"]])["total"] == "300.00"
    body = {"type": "line_item", "line_item_params": {"action": "remove", "line_item_ids": ["line_none"]}}
    api.post(f"invoices/{one_off['id']}/modify/execute", body, status=404)


def test_a_subscriptions_draft_has_no_items_to_modify(api, draft):
    params = {"action": "add", "items": [{"display_name": "Travel", "quantity": "1", "amount": "1"}]}
    body = {"type": "line_item", "line_item_params": params}
    refusal = api.post(f"invoices/{draft.public_id}/modify/execute", body, status=400)
    assert refusal["message"] == "A subscription's invoice is calculated. Add extra lines to its draft instead."


def test_only_a_one_off_draft_is_deleted(api, one_off, draft):
    api.delete(f"invoices/{one_off['id']}", status=204)
    api.get(f"invoices/{one_off['id']}", status=404)
    assert "can't be deleted" in api.delete(f"invoices/{draft.public_id}", status=400)["message"]


def test_the_items_and_the_purchase_order_of_a_one_off_draft_are_replaced(api, one_off):
    items = [
        {"display_name": "Consulting", "quantity": "3", "unit_amount": "100"},
        {"display_name": "Travel", "amount": "45.50"},
    ]
    changed = api.put(f"invoices/{one_off['id']}", {"line_items": items, "po_number": "PO-77"})
    assert [(line["display_name"], line["quantity"], line["amount"]) for line in changed["line_items"]] == [
        ("Consulting", "3", "300.00"),
        ("Travel", "1", "45.50"),
    ]
    assert (changed["total"], changed["amount_due"], changed["po_number"]) == ("345.50", "345.50", "PO-77")
    # The purchase order alone leaves the items as they are, and the items alone leave the purchase order.
    assert api.put(f"invoices/{one_off['id']}", {"po_number": "PO-78"})["total"] == "345.50"
    assert api.put(f"invoices/{one_off['id']}", {"line_items": items[:1]})["po_number"] == "PO-78"
    assert api.put(f"invoices/{one_off['id']}", {"po_number": ""})["po_number"] in (None, "")
    refused = api.put(f"invoices/{one_off['id']}", {"line_items": []}, status=400)
    assert refused["details"] == {"line_items": ["A one-off invoice needs at least one line item."]}
    assert api.get(f"invoices/{one_off['id']}")["total"] == "300.00"


def test_the_items_of_a_subscriptions_draft_are_its_extra_lines(api, draft):
    path = f"invoices/{draft.public_id}"
    changed = api.put(path, {"line_items": [{"display_name": "Setup", "amount": "20.00"}], "po_number": "PO-1"})
    # 15 calls, 10 free: 5 × $0.50, and the extra line.
    assert (sorted(line["amount"] for line in changed["line_items"]), changed["total"]) == (["2.50", "20.00"], "22.50")
    assert changed["po_number"] == "PO-1"
    assert api.post(f"{path}/recalculate-v2")["total"] == "22.50"
    assert api.put(path, {"line_items": []})["total"] == "2.50"
    api.post(f"{path}/finalize")
    for body in ({"po_number": "PO-2"}, {"line_items": [{"display_name": "Setup", "amount": "20.00"}]}):
        assert api.put(path, body, status=400)["code"] == "invalid_operation"


def test_many_drafts_are_put_on_hold_with_a_reason(api, one_off, draft):
    finalized = api.post(
        "invoices", {"customer_id": one_off["customer_id"], "currency": "USD", "subtotal": "5.00"}, 201
    )
    api.post(f"invoices/{finalized['id']}/finalize")
    ids = [one_off["id"], draft.public_id, finalized["id"]]
    assert "reason" in api.post("invoices/hold", {"invoice_ids": ids}, status=400)["details"]
    api.post("invoices/hold", {"invoice_ids": [*ids, "inv_none"], "reason": "Prices are checked"}, status=404)
    assert not Invoice.objects.filter(held_at__isnull=False).exists()
    outcomes = api.post("invoices/hold", {"invoice_ids": ids, "reason": "Prices are checked"})["items"]
    skipped = {outcome["invoice_id"]: outcome["skipped"] for outcome in outcomes}
    assert skipped[finalized["id"]].endswith("only a draft can be put on hold.")
    assert [skipped[one_off["id"]], skipped[draft.public_id]] == ["", ""]
    held = Invoice.objects.filter(held_at__isnull=False)
    assert {invoice.hold_reason for invoice in held} == {"Prices are checked"}
    assert held.count() == 2
    entry = LogEntry.objects.get_for_object(draft).first()
    assert "hold_reason" in entry.changes_dict
    assert "on hold" in api.post(f"invoices/{draft.public_id}/finalize", status=400)["message"]


def test_a_line_is_recounted_and_explained(api, draft, calls):
    [line] = api.get(f"invoices/{draft.public_id}")["line_items"]
    address = f"invoices/{draft.public_id}/lines/{line['id']}"
    proof = api.get(f"{address}/proof")
    assert (proof["agrees"], [finding["name"] for finding in proof["findings"]]) == (
        True,
        ["Quantity", "Events", "Checksum", "Amount"],
    )
    explanation = api.get(f"{address}/explanation")
    assert explanation["amount"] == "2.50"
    assert any("15 events" in step for step in explanation["steps"])
    use_more(draft, calls, 1)
    differing = {finding["name"]: finding for finding in api.get(f"{address}/proof")["findings"]}
    assert (differing["Quantity"]["on_invoice"], differing["Quantity"]["recounted"]) == ("15", "16")
    assert (differing["Amount"]["difference"], differing["Amount"]["agrees"]) == ("0.5", False)


def test_a_one_off_line_is_not_counted_from_events(api, one_off):
    address = f"invoices/{one_off['id']}/lines/{one_off['line_items'][0]['id']}"
    assert api.get(f"{address}/proof", status=400)["code"] == "invalid_operation"
    assert api.get(f"{address}/explanation")["display_name"] == "Consulting"
