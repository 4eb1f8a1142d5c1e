"""Personal data through the API: exported, previewed and erased with a scope of its own."""

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from billing.personal_data.erasing import continue_erasure
from config.approvals.kinds import ApprovalKind
from config.office.history import change_of
from config.webhooks.models import WebhookMessage
from customers.models import Customer
from tests.api import Api
from tests.approving import require
from tests.billing.personal_data.anna import NAME, REASON, make_anna
from tests.factories import make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def address():
    return f"customers/{make_anna().public_id}/personal-data"


def finish():
    while continue_erasure(now=timezone.now()):
        pass


def test_the_export_is_one_json_document(address):
    data = Api("personal_data").get(address)["data"]
    assert data["customers.customer"][0]["name"] == NAME


def test_the_change_log_notes_each_export_and_the_api_key(address):
    Api("personal_data").get(address)
    change = change_of(LogEntry.objects.get_for_object(Customer.objects.get()).latest("pk"))
    assert [(edit.field, edit.after) for edit in change.edits] == [("personal data", "exported")]
    assert change.who.startswith("API key Test")


@pytest.mark.parametrize("scopes", [("read",), ("customers:write", "billing:write", "read")])
def test_other_scopes_neither_export_nor_erase(address, scopes):
    api = Api(*scopes)
    assert "personal_data" in api.get(address, 403)["message"]
    api.get(f"{address}/erasure", 403)
    api.post(f"{address}/erasure", {"reason": REASON}, 403)


def test_the_preview_says_what_is_erased_and_kept_and_why(address):
    preview = Api("personal_data").get(f"{address}/erasure")
    assert (preview["status"], preview["blockers"], preview["finished_at"]) == ("none", [], None)
    erased = {part["title"]: part["count"] for part in preview["erased"]}
    assert (erased["Event properties"], erased["Aliases"]) == (3, 1)
    assert (
        erased["Webhook messages about the customer's objects"]
        == WebhookMessage.objects.exclude(event_type="api_key.created").count()
    )
    kept = {part["title"]: part for part in preview["kept"]}
    assert (kept["Payments and refunds"]["count"], kept["Payments and refunds"]["until"]) == (1, "2037-01-01")
    assert "tax law for 10 years" in kept["Issued invoices"]["why"]


def test_an_erasure_is_started_followed_and_safe_to_repeat(address):
    api = Api("personal_data")
    started = api.post(f"{address}/erasure", {"reason": REASON})
    assert (started["status"], started["reason"]) == ("running", REASON)
    finish()
    finished = api.get(f"{address}/erasure")
    assert (finished["status"], finished["erased"]) == ("finished", [])
    assert api.post(f"{address}/erasure", {"reason": "Again"}) == finished


def test_an_erasure_is_refused_while_a_subscription_runs(address):
    subscription = make_subscription(customer=Customer.objects.get())
    refusal = Api("personal_data").post(f"{address}/erasure", {"reason": REASON}, 400)
    assert subscription.public_id in refusal["message"]


def test_an_erasure_can_wait_for_approval(address):
    require(ApprovalKind.PERSONAL_DATA)
    waiting = Api("personal_data").post(f"{address}/erasure", {"reason": REASON}, 202)
    assert (waiting["status"], waiting["rule"]) == ("requested", "personal_data")


def test_an_unknown_customer_is_not_found(db):
    api = Api("personal_data")
    api.get("customers/cust_0/personal-data", 404)
    api.post("customers/cust_0/personal-data/erasure", {"reason": REASON}, 404)
