"""The queue, the page of a request with its decisions, and the rules, as staff use them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing.lifecycle.void import void
from billing.models import CreditNote, Invoice, Wallet
from catalog.models import PlanVersion
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval, ApprovalRule
from config.approvals.requests import expire_due
from tests.admin_pages import submit, text_of, url
from tests.approving import colleague, reload, require
from tests.billing.invoices import make_finalized
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
LIST = "/admin/config/approval/"


@pytest.fixture
def mia():
    return colleague(username="mia", first_name="Mia")


@pytest.fixture
def ben():
    return colleague(username="ben", first_name="Ben")


def request_void(client, invoice=None):
    require(ApprovalKind.VOID)
    invoice = invoice or make_finalized("120", customer=make_customer(name="Acme"))
    return submit(client, url("billing_invoice_void_one", invoice.pk), reason="Billed twice")


def test_an_action_of_a_dialog_opens_its_request(mia, ben):
    response = request_void(mia[1])
    approval = Approval.objects.get()
    assert response.headers["HX-Redirect"] == approval.get_absolute_url()
    page = text_of(mia[1].get(approval.get_absolute_url()))
    assert "Approval requested. Nothing is done until someone else approves it." in page
    assert "You requested this, or your API key did. Someone else must decide." in page
    assert "Void invoice INV-000001 of Acme: $120.00" in page
    assert "$120.00 is no longer due." in page
    assert "Withdraw" in page
    assert "Approve" not in page.replace("Approval", "")
    page = text_of(ben[1].get(approval.get_absolute_url()))
    assert "Check what was requested, then approve or reject it." in page


def test_a_request_is_approved_in_two_clicks_and_says_so(mia, ben):
    request_void(mia[1])
    approval = Approval.objects.get()
    submit(ben[1], url("config_approval_approve_one", approval.pk), reason="Checked")
    assert Invoice.objects.get().state == "void"
    page = text_of(ben[1].get(approval.get_absolute_url()))
    assert "Approved and carried out." in page
    assert "Approved by Ben on" in page


def test_rejecting_needs_a_reason(mia, ben):
    request_void(mia[1])
    approval = Approval.objects.get()
    assert "This field is required" in text_of(submit(ben[1], url("config_approval_reject_one", approval.pk)))
    submit(ben[1], url("config_approval_reject_one", approval.pk), reason="Credit it instead")
    assert "Rejected by Ben" in text_of(ben[1].get(approval.get_absolute_url()))
    assert reload(approval).decision_reason == "Credit it instead"


def test_what_couldnt_be_carried_out_says_why(mia, ben):
    request_void(mia[1])
    ApprovalRule.objects.update(mode="off")
    void(Invoice.objects.get(), reason="Now", by=ben[0], now=timezone.now())
    approval = Approval.objects.get()
    submit(ben[1], url("config_approval_approve_one", approval.pk), reason="")
    page = text_of(ben[1].get(approval.get_absolute_url()))
    assert "but not carried out: There is nothing left to do: it was done in the meantime." in page


def test_a_second_colleague_sees_the_waiting_request_instead_of_making_another(mia, ben):
    request_void(mia[1])
    request_void(ben[1], Invoice.objects.get())
    assert Approval.objects.count() == 1
    page = text_of(ben[1].get(Invoice.objects.get().get_absolute_url()))
    assert "requested by Mia on" in page
    assert "It can't be requested twice." in page


def test_the_queue_lists_waiting_requests_first_and_says_what_to_do_when_empty(mia, ben):
    assert "No requests for approval" in text_of(ben[1].get(LIST))
    request_void(mia[1])
    request_void(mia[1], make_finalized("10"))
    newest = Approval.objects.latest("pk")
    submit(mia[1], url("config_approval_withdraw_one", newest.pk), reason="")
    listed = text_of(ben[1].get(LIST))
    assert listed.index("INV-000001") < listed.index("INV-000002")


def test_an_expired_request_is_closed_when_it_is_looked_at(mia, ben):
    request_void(mia[1])
    approval = Approval.objects.get()
    later = timezone.now() + timedelta(days=8)
    assert expire_due(now=later) == 1
    assert "without a decision. Nothing was done." in text_of(ben[1].get(approval.get_absolute_url()))


def test_a_credit_note_that_waits_stays_a_draft(mia):
    require(ApprovalKind.CREDIT_NOTE)
    invoice = make_finalized("120")
    line = invoice.lines.get()
    form = {f"line-{line.pk}": "20", "reason": "billing_error", "refund_to": "outside", "token": "t", "finalize": "1"}
    response = mia[1].post(url("billing_credit_invoice", invoice.pk), form)
    assert response.status_code == 302
    note = CreditNote.objects.get()
    assert note.is_draft
    assert "Waiting for approval: Finalize Draft credit note" in text_of(mia[1].get(note.get_absolute_url()))


def test_credit_granted_on_a_customers_page_waits_in_the_wallet(mia):
    require(ApprovalKind.CREDIT)
    customer = make_customer(name="Acme")
    form = {"amount": "50", "currency": "USD", "kind": "promotional", "reason": "Sorry", "priority": "0"}
    submit(mia[1], url("customers_customer_grant_credit", customer.pk), **form)
    assert Approval.objects.get().title == "Grant $50.00 of prepaid credit to Acme"
    assert Wallet.objects.get().balance == 0


def test_a_plan_that_is_set_up_stays_a_draft_until_its_prices_are_approved(mia):
    require(ApprovalKind.PRICES)
    form = {
        "name": "Pro", "currency": "USD", "interval": "month", "fee": "49", "cadence": "advance", "trial_days": "0",
        "features-TOTAL_FORMS": "0", "features-INITIAL_FORMS": "0",
    }  # fmt: skip
    mia[1].post(url("billing_plan_setup"), form)
    version = PlanVersion.objects.get()
    assert version.state == "draft"
    page = text_of(mia[1].get(url("catalog_planversion_change", version.pk)))
    assert "Its publication waits for approval." in page
    assert "Waiting for approval: Publish Pro" in page


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("", "Enter at least one limit, for example USD 1000."),
        ("1000", "enter a currency and an amount"),
        ("USD 1_000", "enter a currency and an amount"),
        ("USD -5", "enter a currency and an amount"),
        ("USD 5\nUSD 6", "USD has two limits."),
    ],
)
def test_a_rule_needs_limits_that_can_be_read(mia, limits, problem):
    rule = ApprovalRule.objects.get(kind=ApprovalKind.REFUND)
    form = {"mode": "above", "limits_text": limits, "expires_days": "7", "reason": "Agreed"}
    assert problem in text_of(mia[1].post(url("config_approvalrule_change", rule.pk), form))
    assert reload(rule).mode == "off"


def test_a_rule_about_prices_has_no_limits(mia):
    rule = ApprovalRule.objects.get(kind=ApprovalKind.PRICES)
    page = mia[1].get(url("config_approvalrule_change", rule.pk))
    assert "Above an amount" not in text_of(page)
    form = {"mode": "above", "limits_text": "USD 5", "expires_days": "7", "reason": "Agreed"}
    mia[1].post(url("config_approvalrule_change", rule.pk), form)
    assert reload(rule).mode == "off"


def test_only_an_owner_changes_rules():
    rule = ApprovalRule.objects.get(kind=ApprovalKind.VOID)
    form = {"mode": "always", "limits_text": "", "expires_days": "7", "reason": "Agreed"}
    for role in ("Viewer", "Operations", "Finance"):
        assert colleague(role)[1].post(url("config_approvalrule_change", rule.pk), form).status_code == 403
    assert reload(rule).mode == "off"
    assert Client().get(LIST).status_code == 302


def test_a_request_tells_who_can_decide_and_who_cant(mia):
    request_void(mia[1])
    approval = Approval.objects.get()
    operations = colleague("Operations")[1]
    assert "You can only approve what you may do yourself." in text_of(operations.get(approval.get_absolute_url()))
    viewer = colleague("Viewer")[1]
    assert "You don't have the permission to decide" in text_of(viewer.get(approval.get_absolute_url()))
