"""Approvals by API: followed, decided and withdrawn, with the rules behind them."""

import pytest
from django.utils import timezone

from billing.models import Invoice
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval, ApprovalRule
from config.approvals.people import Person
from config.approvals.requests import approve
from tests.api import Api
from tests.approving import colleague, require
from tests.billing.invoices import make_finalized

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(api):
    require(ApprovalKind.VOID)
    invoice = make_finalized("120")
    return api.post(f"invoices/{invoice.public_id}/void", {"reason": "Billed twice"}, 202)


def test_a_request_is_listed_and_retrieved_with_what_is_carried_out(api, waiting):
    assert (waiting["status"], waiting["operation"], waiting["rule"]) == ("requested", "invoice.void", "void")
    assert waiting["amounts"] == [{"currency": "USD", "amount": "120"}]
    assert waiting["inputs"] == {"reason": "Billed twice"}
    assert waiting["object_id"] == Invoice.objects.get().public_id
    assert (waiting["decided_by"], waiting["decided_at"], waiting["outcome"]) == (None, None, None)
    assert api.get(f"approvals/{waiting['id']}") == waiting
    assert api.get("approvals?status=requested")["items"] == [waiting]
    assert api.get("approvals", object_id=waiting["object_id"])["pagination"]["total"] == 1
    assert api.get("approvals?status=approved")["items"] == []
    api.get("approvals/appr_0", 404)


def test_repeating_the_request_answers_with_the_same_approval_and_then_with_the_result(api, waiting):
    invoice = Invoice.objects.get()
    again = api.post(f"invoices/{invoice.public_id}/void", {"reason": "Billed twice"}, 202)
    assert again["id"] == waiting["id"]
    approve(Approval.objects.get(), by=Person(colleague()[0]), now=timezone.now())
    decided = api.get(f"approvals/{waiting['id']}")
    assert (decided["status"], decided["result_id"]) == ("approved", invoice.public_id)
    assert "already void" in api.post(f"invoices/{invoice.public_id}/void", {"reason": "Twice"}, 400)["message"]


def test_an_idempotency_key_answers_with_the_stored_request(api):
    require(ApprovalKind.VOID)
    path = f"/v1/invoices/{make_finalized('120').public_id}/void"
    headers = {"Idempotency-Key": "void-1"}
    answers = [
        api.client.post(path, {"reason": "Twice"}, content_type="application/json", headers=headers) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert Approval.objects.count() == 1


def test_a_key_withdraws_its_own_request_only(api, waiting):
    other = Api()
    assert "can withdraw this request" in other.post(f"approvals/{waiting['id']}/withdraw", {}, 400)["message"]
    assert api.post(f"approvals/{waiting['id']}/withdraw", {"reason": "A mistake"})["status"] == "withdrawn"
    Api("billing:write").post("approvals/appr_0/withdraw", {}, 403)
    api.post("approvals/appr_0/withdraw", {}, 404)


def test_a_key_withdraws_with_the_scope_of_its_action(api):
    require(ApprovalKind.VOID)
    client = Api("billing:write")
    answer = client.post(f"invoices/{make_finalized('9').public_id}/void", {"reason": "Twice"}, 202)
    assert client.post(f"approvals/{answer['id']}/withdraw", {})["status"] == "withdrawn"


def test_rules_are_read_and_changed(api):
    assert {rule["mode"] for rule in api.get("approval-rules")["items"]} == {"off"}
    body = {"mode": "above", "limits": [{"currency": "USD", "amount": "1000"}], "expires_days": 3, "reason": "Agreed"}
    changed = api.put("approval-rules/refund", body)
    assert (changed["mode"], changed["limits"]) == ("above", [{"currency": "USD", "amount": "1000"}])
    assert api.get("approval-rules/refund")["expires_days"] == 3
    assert "limits" in api.put("approval-rules/refund", body | {"limits": []}, 400)["details"]
    assert "limits" in api.put("approval-rules/refund", body | {"limits": body["limits"] * 2}, 400)["details"]
    assert "mode" in api.put("approval-rules/prices", body, 400)["details"]
    api.put("approval-rules/rules", body, 404)
    assert ApprovalRule.objects.exclude(mode="off").count() == 1
