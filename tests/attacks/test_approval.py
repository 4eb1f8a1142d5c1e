"""Attempts to do alone what two people must do, and to have something else carried out than was approved."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, transaction
from django.test import Client
from django.utils import timezone

from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.review import finalize_many, release
from billing.lifecycle.void import reissue, void
from billing.models import CreditGrant, Invoice, Payment
from billing.runs.billing_run import run_to_end
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, void_credit_note
from billing.settlement.payments import Receipt, record_payment
from billing.settlement.refunds import record_refund
from billing.settlement.surplus import refund_surplus
from billing.settlement.top_ups import Credit, top_up
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from catalog.publishing import PublishFirst, publish
from config.approvals.gate import ApprovalNeeded
from config.approvals.kinds import ApprovalKind, ApprovalStatus
from config.approvals.models import Approval, ApprovalRule
from config.approvals.people import Person
from config.approvals.requests import (
    AlreadyDecided,
    AlreadyRequested,
    NotYours,
    approve,
    expire_due,
    reject,
    request_approval,
    withdraw,
)
from config.office.history import history_of
from customers.models import Subscription
from events.access.grants import take_responsibility
from events.access.keys import KeyRefused, authenticate, clear_key_cache, make_key, rotate
from events.models import ApiKey
from tests.admin_pages import submit, text_of, url
from tests.api import Api
from tests.approving import NOW, colleague, reload, requested, require
from tests.billing.invoices import at_once, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_customer, make_fee, make_subscription, make_user
from tests.factories import make_draft as make_plan_draft

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]


@pytest.fixture
def mia():
    return colleague(username="mia", first_name="Mia")[0]


@pytest.fixture
def ben():
    return colleague(username="ben", first_name="Ben")[0]


def api_of(user, *scopes):
    client = Api(*scopes)
    key = ApiKey.objects.latest("pk")
    key.created_by = key.responsible = user
    key.save()
    return client


def requested_void(by, invoice=None):
    invoice = invoice or make_finalized("120")
    require(ApprovalKind.VOID)
    return requested(lambda: void(invoice, reason="Billed twice", by=by, now=NOW))


# --- Who ---------------------------------------------------------------------------------------------


def test_no_one_approves_their_own_request_not_even_as_superuser():
    chief = make_user(is_superuser=True)
    approval = requested_void(chief)
    with pytest.raises(NotYours, match="You requested this"):
        approve(approval, by=Person(chief), now=NOW)
    with pytest.raises(NotYours):
        reject(approval, by=Person(chief), reason="No", now=NOW)
    client = Client()
    client.force_login(chief)
    assert submit(client, url("config_approval_approve_one", approval.pk), reason="Mine").status_code == 403
    assert reload(approval).status == ApprovalStatus.REQUESTED
    assert Invoice.objects.get().state == "finalized"


def test_no_one_approves_their_own_request_with_a_key_they_are_responsible_for(mia, ben):
    approval = requested_void(mia)
    error = api_of(mia).post(f"approvals/{approval.public_id}/approve", {}, 400)
    assert error["message"] == "You requested this, or your API key did. Someone else must decide."
    assert Invoice.objects.get().state == "finalized"
    assert api_of(ben).post(f"approvals/{approval.public_id}/approve", {})["status"] == "approved"
    assert Invoice.objects.get().state == "void"


def test_no_one_approves_what_their_key_requested(mia, ben):
    require(ApprovalKind.VOID)
    invoice, client = make_finalized("120"), api_of(mia)
    answer = client.post(f"invoices/{invoice.public_id}/void", {"reason": "Billed twice"}, 202)
    approval = Approval.objects.get(public_id=answer["id"])
    assert answer["requested_by"].startswith("API key Test (sk_")
    with pytest.raises(NotYours):
        approve(approval, by=Person(mia), now=timezone.now())
    client.post(f"approvals/{answer['id']}/approve", {}, 400)
    another_key_of_mia = api_of(mia)
    another_key_of_mia.post(f"approvals/{answer['id']}/approve", {}, 400)
    take_responsibility(ApiKey.objects.earliest("pk"), by=ben)  # who takes the key over is behind its requests, too
    with pytest.raises(NotYours):
        approve(approval, by=Person(ben), now=timezone.now())
    third = colleague()[0]
    assert approve(approval, by=Person(third), now=timezone.now()).status == "approved"


TAKEN_OVER = (
    "Others may know the secret of this API key, so it can't decide about approvals. Its responsible colleague must "
    "rotate it in the admin first."
)


def test_no_one_decides_with_a_key_that_a_colleague_took_over(mia, ben):
    """Mia still knows the secret of the key for which Ben is responsible."""
    approval, client = requested_void(mia), api_of(mia)
    key = ApiKey.objects.get()
    take_responsibility(key, by=ben)
    clear_key_cache()
    for decision in ("approve", "reject"):
        error = client.post(f"approvals/{approval.public_id}/{decision}", {"reason": "Mine"}, 400)
        assert error["message"] == TAKEN_OVER
    assert reload(approval).status == ApprovalStatus.REQUESTED
    third_request = requested_void(colleague(username="cleo")[0], make_finalized("50"))
    new_secret = rotate(key, now=timezone.now(), by=ben)[1]
    client.client = Client(headers={"x-api-key": new_secret})  # which only Ben was shown
    assert client.post(f"approvals/{third_request.public_id}/approve", {})["status"] == "approved"
    client.post(f"approvals/{approval.public_id}/approve", {}, 400)  # it is still of the family of Mia's key


def test_a_key_made_with_a_key_that_was_taken_over_decides_nothing_either(mia, ben):
    approval, client = requested_void(mia), api_of(mia)
    key = ApiKey.objects.get()
    take_responsibility(key, by=ben)
    clear_key_cache()
    secrets = [
        client.post("secrets/api/keys", {"name": "Child"}, 201)["api_key"],
        client.post(f"secrets/api/keys/{key.public_id}/rotate", {"overlap_hours": 1}, 201)["api_key"],
    ]
    for secret in secrets:
        client.client = Client(headers={"x-api-key": secret})
        error = client.post(f"approvals/{approval.public_id}/approve", {}, 400)
        assert error["message"] == TAKEN_OVER
    assert Invoice.objects.get().state == "finalized"


def test_no_one_decides_with_a_colleagues_key_that_they_rotated_by_api(mia, ben):
    approval, client = requested_void(mia), api_of(mia)
    key_of_ben = make_key("Ben's", created_by=ben)[0]
    answer = client.post(f"secrets/api/keys/{key_of_ben.public_id}/rotate", {}, 201)
    client.client = Client(headers={"x-api-key": answer["api_key"]})
    assert client.post(f"approvals/{approval.public_id}/approve", {}, 400)["message"] == TAKEN_OVER


@pytest.mark.parametrize("way", ["the key", "a key that it creates", "a key that it rotates"])
def test_no_one_approves_in_the_admin_what_they_requested_with_a_key_that_was_taken_over(mia, ben, way):
    client = api_of(mia)
    key = ApiKey.objects.get()
    take_responsibility(key, by=ben)
    clear_key_cache()
    if way != "the key":
        another = make_key("Ben's", created_by=ben)[0]
        path = "secrets/api/keys" if "creates" in way else f"secrets/api/keys/{another.public_id}/rotate"
        body = {"name": "Child"} if "creates" in way else {}
        client.client = Client(headers={"x-api-key": client.post(path, body, 201)["api_key"]})
    require(ApprovalKind.VOID)
    client.post(f"invoices/{make_finalized('120').public_id}/void", {"reason": "Billed twice"}, 202)
    approval = Approval.objects.get()
    for person in (mia, ben):
        with pytest.raises(NotYours, match="or your API key did"):
            approve(approval, by=Person(person), now=timezone.now())


def test_a_key_that_its_colleagues_own_key_creates_decides_in_their_name(mia, ben):
    approval, client = requested_void(mia), api_of(ben)
    answer = client.post("secrets/api/keys", {"name": "Child"}, 201)
    assert answer["secret"]["created_by"] == "ben"
    client.client = Client(headers={"x-api-key": answer["api_key"]})
    assert client.post(f"approvals/{approval.public_id}/approve", {})["status"] == "approved"


def test_a_key_without_a_responsible_colleague_cant_decide(api, mia):
    approval = requested_void(mia)
    error = api.post(f"approvals/{approval.public_id}/approve", {}, 400)
    assert error["message"] == "No colleague is responsible for this API key, so it can't decide about approvals."


def test_a_key_needs_the_scope_to_decide_and_the_scope_of_the_action(mia, ben):
    approval = requested_void(mia)
    path = f"approvals/{approval.public_id}/approve"
    assert "approvals:write" in api_of(ben, "billing:write").post(path, {}, 403)["message"]
    assert "billing:write" in api_of(ben, "approvals:write").post(path, {}, 403)["message"]
    assert api_of(ben, "approvals:write", "billing:write", "read").post(path, {})["status"] == "approved"


@pytest.mark.parametrize("role", ["Operations", "Viewer"])
def test_no_one_approves_what_they_may_not_do_themselves(mia, role):
    approval = requested_void(mia)
    other, client = colleague(role)
    with pytest.raises(NotYours):
        approve(approval, by=Person(other), now=NOW)
    assert submit(client, url("config_approval_approve_one", approval.pk), reason="Fine").status_code == 403


def test_a_colleague_who_lost_permissions_approves_nothing_with_their_key(mia, ben):
    approval, client = requested_void(mia), api_of(ben)
    ben.groups.clear()
    client.post(f"approvals/{approval.public_id}/approve", {}, 400)
    assert Invoice.objects.get().state == "finalized"


def test_only_the_requester_withdraws(mia, ben):
    approval = requested_void(mia)
    with pytest.raises(NotYours, match="Only Mia can withdraw"):
        withdraw(approval, by=Person(ben), now=NOW)
    assert withdraw(approval, by=Person(mia), now=NOW).status == "withdrawn"


def test_the_database_refuses_a_decision_by_the_requester_and_changes_of_a_request(mia, ben):
    approval = requested_void(mia)
    rows = Approval.objects.filter(pk=approval.pk)
    decided: dict[str, Any] = {"status": "approved", "decided_at": NOW}
    others: list[dict[str, Any]] = [{"inputs": {"reason": "Other"}}, {"amounts": {}}]
    for values in (decided, decided | {"decided_by": mia}, *others):
        with pytest.raises(Error), transaction.atomic():
            rows.update(**values)
    with pytest.raises(Error), transaction.atomic():
        rows.delete()
    reject(approval, by=Person(ben), reason="No", now=NOW)
    with pytest.raises(Error), transaction.atomic():
        rows.update(status="requested")


# --- How often ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_at_the_same_instant_carry_it_out_once(mia, ben):
    require(ApprovalKind.CREDIT)
    wallet = get_or_open_wallet(make_customer(), "USD", by=None)
    terms = {"kind": "promotional", "reason": "Sorry", "now": NOW}
    approval = requested(lambda: grant_credit(wallet, D(500), by=mia, **terms))
    third = colleague()[0]
    results = at_once(*[lambda user=user: approve(approval, by=Person(user), now=NOW) for user in (ben, third)])
    assert sorted(type(result).__name__ for result in results) == ["AlreadyDecided", "Approval"]
    assert CreditGrant.objects.count() == 1
    assert reload(wallet).balance == D(500)


@pytest.mark.django_db(transaction=True)
def test_a_request_is_either_approved_or_expires(mia, ben):
    approval = requested_void(mia)
    in_time, too_late = approval.expires_at - timedelta(seconds=1), approval.expires_at
    results = at_once(
        lambda: approve(approval, by=Person(ben), now=in_time),
        lambda: expire_due(now=too_late),
        lambda: expire_due(now=too_late),
    )
    status, state = reload(approval).status, Invoice.objects.get().state
    assert (status, state) in (("approved", "void"), ("expired", "finalized"))
    assert isinstance(results[0], AlreadyDecided if status == "expired" else Approval)


@pytest.mark.django_db(transaction=True)
def test_the_same_request_at_the_same_instant_is_one_request(mia):
    require(ApprovalKind.VOID)
    invoice = make_finalized("120")
    results = at_once(
        *[lambda: requested(lambda: void(invoice, reason="Billed twice", by=mia, now=NOW)) for _ in range(2)]
    )
    assert {result.pk for result in results} == {Approval.objects.get().pk}


def test_an_approval_cant_be_replayed(mia, ben):
    approval, client = requested_void(mia), api_of(ben)
    client.post(f"approvals/{approval.public_id}/approve", {})
    error = client.post(f"approvals/{approval.public_id}/approve", {}, 400)
    assert "This request was decided before: approved on" in error["message"]
    with pytest.raises(AlreadyDecided):
        reject(approval, by=Person(ben), reason="Too late", now=timezone.now())


def test_an_approval_is_good_for_one_time_only(mia, ben):
    require(ApprovalKind.CREDIT)
    wallet = get_or_open_wallet(make_customer(), "USD", by=None)

    def grant():
        return grant_credit(wallet, D(500), kind="promotional", reason="Sorry", now=NOW, by=mia)

    approve(requested(grant), by=Person(ben), now=NOW)
    with pytest.raises(ApprovalNeeded):
        grant()
    assert CreditGrant.objects.count() == 1


def test_a_rejected_request_is_carried_out_neither_then_nor_by_asking_again(mia, ben):
    approval = requested_void(mia)
    reject(approval, by=Person(ben), reason="Credit it instead", now=NOW)
    with pytest.raises(AlreadyDecided):
        approve(approval, by=Person(ben), now=NOW)
    again = requested_void(mia, Invoice.objects.get())
    assert (again.status, again.pk != approval.pk) == ("requested", True)
    assert reload(approval).status == "rejected"
    assert Invoice.objects.get().state == "finalized"


def test_an_expired_request_cant_be_approved_even_before_the_task_closes_it(mia, ben):
    approval = requested_void(mia)
    with pytest.raises(AlreadyDecided, match="expired"):
        approve(approval, by=Person(ben), now=approval.expires_at)
    assert reload(approval).status == "expired"
    assert Invoice.objects.get().state == "finalized"


def test_an_equal_request_waits_once(mia, ben):
    approval = requested_void(mia)
    invoice = Invoice.objects.get()
    assert requested(lambda: void(invoice, reason="Another reason", by=mia, now=NOW)).pk == approval.pk
    with pytest.raises(AlreadyRequested, match="requested by Mia"):
        requested(lambda: void(invoice, reason="Billed twice", by=ben, now=NOW))


# --- Exactly what was requested ----------------------------------------------------------------------


def test_drafts_that_changed_since_the_request_arent_finalized(mia, ben):
    require(ApprovalKind.BULK_FINALIZE)
    first, second = make_draft("100"), make_draft("50")
    approval = requested(lambda: finalize_many([first, second], now=NOW, by=mia))
    assert approval.amounts == {"USD": "150"}
    Invoice.objects.filter(pk=second.pk).update(subtotal=D(60), total=D(60), amount_due=D(60))
    decided = approve(approval, by=Person(ben), now=NOW)
    assert decided.status == "failed"
    assert decided.outcome == (
        "The amount has changed since it was requested: $150.00 was requested, and now it would be $160.00."
    )
    assert {reload(draft).state for draft in (first, second)} == {"draft"}


def test_changes_that_cancel_out_are_noticed(mia, ben):
    require(ApprovalKind.BULK_FINALIZE)
    first, second = make_draft("100"), make_draft("50")
    approval = requested(lambda: finalize_many([first, second], now=NOW, by=mia))
    Invoice.objects.filter(pk=first.pk).update(subtotal=D(50), total=D(50), amount_due=D(50))
    Invoice.objects.filter(pk=second.pk).update(subtotal=D(100), total=D(100), amount_due=D(100))
    decided = approve(approval, by=Person(ben), now=NOW)
    assert decided.outcome == "It has changed since it was requested. Request the approval of its current state."
    assert {reload(draft).state for draft in (first, second)} == {"draft"}


def test_prices_that_were_edited_after_the_request_arent_published(mia, ben):
    require(ApprovalKind.PRICES)
    draft = make_plan_draft()
    fee = make_fee(version=draft)
    approval = requested(lambda: publish(draft, now=NOW, by=mia))
    assert "$10" in approval.effect
    fee.unit_amount = D(99)
    fee.save()
    assert approve(approval, by=Person(ben), now=NOW).status == "failed"
    assert reload(draft).state == "draft"
    again = requested(lambda: publish(draft, now=NOW, by=mia))
    assert approve(again, by=Person(ben), now=NOW).status == "approved"
    assert reload(draft).published_by == mia


def test_what_was_done_in_the_meantime_isnt_reported_as_done_by_the_approval(mia, ben):
    approval = requested_void(mia)
    ApprovalRule.objects.update(mode="off")
    void(Invoice.objects.get(), reason="Now", by=ben, now=NOW)
    decided = approve(approval, by=Person(ben), now=NOW)
    assert (decided.status, decided.outcome) == ("failed", "There is nothing left to do: it was done in the meantime.")
    assert Invoice.objects.get().void_reason == "Now"


def test_what_is_refused_by_now_is_not_carried_out_and_says_why(mia, ben):
    approval = requested_void(mia)
    record_payment(Invoice.objects.get(), Receipt(D(20), NOW.date()), now=NOW, by=None)
    decided = approve(approval, by=Person(ben), now=NOW)
    assert decided.status == "failed"
    assert decided.outcome == "INV-000001 has a payment. Refund it first, or create a credit note."


def test_what_would_be_refused_isnt_requested(mia):
    require(ApprovalKind.VOID)
    invoice = make_finalized("120")
    record_payment(invoice, Receipt(D(20), NOW.date()), now=NOW, by=None)
    _, client = colleague()
    assert "has a payment" in text_of(submit(client, url("billing_invoice_void_one", invoice.pk), reason="Twice"))
    assert not Approval.objects.exists()


# --- Limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "currency", "needs"),
    [("100", "USD", False), ("100.01", "USD", True), ("99.99", "USD", False), ("0.01", "EUR", True)],
)
def test_an_amount_at_the_limit_passes_and_one_above_needs_approval(mia, amount, currency, needs):
    require(ApprovalKind.CREDIT, USD="100")
    wallet = get_or_open_wallet(make_customer(), currency, by=None)
    terms = {"kind": "promotional", "reason": "Sorry", "now": NOW, "by": mia}
    if needs:
        with pytest.raises(ApprovalNeeded):
            grant_credit(wallet, D(amount), **terms)
    else:
        grant_credit(wallet, D(amount), **terms)
    assert CreditGrant.objects.exists() is not needs


def test_a_bonus_counts_toward_the_limit(mia, ben):
    require(ApprovalKind.CREDIT, USD="100")
    wallet = get_or_open_wallet(make_customer(), "USD", by=None)
    terms = {"kind": "purchased", "reference": None, "reason": "Deal", "now": NOW, "by": mia}
    approval = requested(lambda: top_up(wallet, Credit(D(60)), bonus=Credit(D(50)), **terms))
    assert approval.amounts == {"USD": "110"}
    approve(approval, by=Person(ben), now=NOW)
    assert sorted(CreditGrant.objects.values_list("amount", flat=True)) == [D(50), D(60)]


# --- Every way ---------------------------------------------------------------------------------------


def paid_credit_note():
    invoice = make_finalized("100")
    record_payment(invoice, Receipt(D(100), NOW.date()), now=NOW, by=None)
    line = invoice.lines.get()
    note = draft_credit_note(invoice, {line.pk: D(40)}, reason="billing_error", by=None)
    return finalize_credit_note(note, now=NOW, by=None)


def draft_note(**options):
    invoice = make_finalized("100")
    return draft_credit_note(invoice, {invoice.lines.get().pk: D(40)}, reason="billing_error", by=None, **options)


def overpayment():
    return record_payment(make_finalized("100"), Receipt(D(130), NOW.date(), surplus_to="unapplied"), now=NOW, by=None)


def void_by_api(client):
    client.post(f"invoices/{make_finalized('120').public_id}/void", {"reason": "Twice"}, 202)


def refund_by_api(client):
    body = {"amount": "40.00", "reason": "Billed twice"}
    client.post(f"creditnotes/{paid_credit_note().public_id}/refund", body, 202)


def top_up_by_api(client):
    wallet = get_or_open_wallet(make_customer(), "USD", by=None)
    body = {"transaction_reason": "FREE_CREDIT_GRANT", "amount": "10"}
    client.post(f"wallets/{wallet.public_id}/top-up", body, 202)


def open_wallet_by_api(client):
    body = {"external_customer_id": make_customer().external_id, "currency": "USD", "initial_credits_to_load": "10"}
    assert client.post("wallets", body, 202)["object_id"].startswith("wallet")


def one_off_credit_by_api(client):
    body = {
        "customer_id": make_customer().public_id, "currency": "USD", "invoice_type": "CREDIT", "amount_due": "-10",
        "total": "-10", "subtotal": "-10", "invoice_status": "FINALIZED",
        "line_items": [{"display_name": "Gift", "quantity": "1", "amount": "-10"}],
    }  # fmt: skip
    answer = client.post("invoices", body, 202)
    assert Invoice.objects.get(public_id=answer["object_id"]).state == "draft"


def credit_note_by_api(client):
    body = {"invoice_id": make_finalized("100").public_id, "reason": "BILLING_ERROR", "process_credit_note": True}
    client.post("creditnotes", body, 202)


def finalize_note_by_api(client):
    client.post(f"creditnotes/{draft_note().public_id}/finalize", {}, 202)


def finalize_many_by_api(client):
    client.post("invoices/finalize", {"invoice_ids": [make_draft("10").public_id, make_draft("20").public_id]}, 202)


WAYS_OF_THE_API = [
    (ApprovalKind.VOID, void_by_api),
    (ApprovalKind.REFUND, refund_by_api),
    (ApprovalKind.CREDIT, top_up_by_api),
    (ApprovalKind.CREDIT, open_wallet_by_api),
    (ApprovalKind.CREDIT, one_off_credit_by_api),
    (ApprovalKind.CREDIT_NOTE, credit_note_by_api),
    (ApprovalKind.CREDIT_NOTE, finalize_note_by_api),
    (ApprovalKind.BULK_FINALIZE, finalize_many_by_api),
]


@pytest.mark.parametrize(("kind", "way"), WAYS_OF_THE_API)
def test_each_way_of_the_api_waits_and_is_carried_out_by_the_approval(mia, ben, kind, way):
    require(kind)
    way(api_of(mia))
    approval = Approval.objects.get()
    assert (approval.kind, approval.status, approval.responsible) == (kind, "requested", mia)
    decided = approve(approval, by=Person(ben), now=timezone.now())
    assert (decided.status, decided.outcome) in [("approved", "Carried out."), ("approved", "2 finalized.")]


def paid_credit_note_unpaid():
    return finalize_credit_note(draft_note(), now=NOW, by=None)


WAYS = [
    (ApprovalKind.VOID, lambda: make_finalized("120"), lambda row, by: void(row, reason="Twice", by=by, now=NOW)),
    (
        ApprovalKind.VOID,
        paid_credit_note_unpaid,
        lambda row, by: void_credit_note(row, reason="Wrong", by=by, now=NOW),
    ),
    (
        ApprovalKind.REFUND,
        paid_credit_note,
        lambda row, by: record_refund(
            row.invoice, Receipt(D(40), NOW.date(), reference="R 1"), reason="Paid", credit_note=row, now=NOW, by=by
        ),
    ),
    (
        ApprovalKind.REFUND,
        overpayment,
        lambda row, by: refund_surplus(row, Receipt(D(30), NOW.date()), reason="Paid", now=NOW, by=by),
    ),
    (ApprovalKind.CREDIT_NOTE, draft_note, lambda row, by: finalize_credit_note(row, now=NOW, by=by)),
    (ApprovalKind.CREDIT, lambda: make_draft("-10"), lambda row, by: finalize(row, now=NOW, by=by)),
]


@pytest.mark.parametrize(("kind", "make", "act"), WAYS)
def test_each_action_waits_and_is_carried_out_by_the_approval(mia, ben, kind, make, act):
    row = make()
    require(kind)
    before = type(row).objects.filter(pk=row.pk).values().get()
    payments = Payment.objects.count()
    approval = requested(lambda: act(row, mia))
    assert type(row).objects.filter(pk=row.pk).values().get() == before
    assert Payment.objects.count() == payments
    assert approve(approval, by=Person(ben), now=NOW).status == "approved"
    with_approval = type(row).objects.filter(pk=row.pk).values().get()
    assert with_approval != before or Payment.objects.count() == payments + 1


def test_reissuing_voids_and_so_waits(mia, ben):
    make_subscription()
    run_to_end(as_of=NOW)
    invoice = finalize(Invoice.objects.earliest("pk"), now=NOW)
    count = Invoice.objects.count()
    require(ApprovalKind.VOID)
    approval = requested(lambda: reissue(invoice, reason="Wrong price", by=mia, now=NOW))
    assert (reload(invoice).state, Invoice.objects.count()) == ("finalized", count)
    assert approve(approval, by=Person(ben), now=NOW).status == "approved"
    assert (reload(invoice).state, Invoice.objects.count()) == ("void", count + 1)


def test_credit_hidden_in_an_extra_line_isnt_granted_by_the_schedule(mia):
    require(ApprovalKind.CREDIT)
    draft = make_draft("-500", finalize_at=NOW)
    with pytest.raises(ApprovalNeeded):
        finalize(draft, now=NOW, by=mia)
    assert finalize_due(now=NOW) == 0
    assert "its negative items need approval" in reload(draft).hold_reason
    outcome = finalize_many([release(draft, now=NOW, by=mia)], now=NOW, by=mia)[0]
    assert outcome.skipped == "its negative items need approval: finalize it on its page"
    assert not CreditGrant.objects.exists()


def test_a_negative_item_needs_approval_by_what_it_takes_off_and_not_only_below_zero(mia, ben):
    """An item of -$9,999.00 on a draft of $10,000.00 is as good as credit of $9,999.00."""
    require(ApprovalKind.CREDIT, USD="100")
    drafts = [make_draft("10000", "-9000", "-999") for _ in range(2)]
    approval = requested(lambda: finalize(drafts[0], now=NOW, by=mia))
    assert approval.amounts == {"USD": "9999"}
    assert approval.title.endswith("with $9,999.00 in negative items")
    assert approval.effect == "Negative items reduce the invoice by $9,999.00, to $1.00."
    assert "its negative items need approval" in finalize_many([drafts[1]], now=NOW, by=mia)[0].skipped
    answer = api_of(mia).post(f"invoices/{drafts[1].public_id}/finalize", {}, 202)
    assert (answer["rule"], answer["amounts"]) == ("credit", [{"currency": "USD", "amount": "9999"}])
    _, client = colleague()
    submit(client, url("billing_invoice_finalize_one", make_draft("10000", "-9999").pk))
    assert Approval.objects.count() == 3
    assert not Invoice.objects.exclude(state="draft").exists()
    approve(approval, by=Person(ben), now=NOW)
    assert reload(drafts[0]).state == "finalized"


def test_negative_items_are_put_on_hold_by_the_schedule_and_small_ones_are_not(mia):
    require(ApprovalKind.CREDIT, USD="100")
    large, small = make_draft("500", "-100.01", finalize_at=NOW), make_draft("500", "-60", "-40", finalize_at=NOW)
    assert finalize_due(now=NOW) == 1
    assert "its negative items need approval" in reload(large).hold_reason
    assert reload(small).state == "finalized"


def test_credit_that_grew_since_the_request_isnt_granted(mia, ben):
    require(ApprovalKind.CREDIT)
    draft = make_draft("100", "-600")
    approval = requested(lambda: finalize(draft, now=NOW, by=mia))
    assert (approval.amounts, approval.inputs) == ({"USD": "600"}, {"credit": "500.0000"})
    Invoice.objects.filter(pk=draft.pk).update(subtotal=D(-550), total=D(-550), amount_due=D(-550))
    assert approve(approval, by=Person(ben), now=NOW).status == "failed"
    assert not CreditGrant.objects.exists()


def test_a_subscription_doesnt_publish_prices_that_need_approval(mia):
    draft = make_plan_draft()
    make_fee(version=draft)
    require(ApprovalKind.PRICES)
    with pytest.raises(PublishFirst, match="Publish it first"):
        make_subscription(plan=draft.plan)
    assert reload(draft).state == "draft"
    assert not Subscription.objects.exists()


# Who calls what isn't gated. Every other way goes through the functions that ask the gate.
UNGATED = {
    "add_credit": {
        "billing/settlement/invoice_credit.py",  # a negative invoice: `finalize` asks
        "billing/settlement/payments.py",  # the customer's own money: a payment of too much
        "billing/settlement/refunds.py",  # a credit note: `finalize_credit_note` asks
        "billing/settlement/top_ups.py",  # asks for both credits together
        "billing/settlement/wallets.py",  # asks
    },
    "apply_credit_note": {"billing/runs/late_usage.py"},  # refunds that the late usage policy calculates
    "_save_refund": {"billing/settlement/refunds.py"},
    "_void": {"billing/lifecycle/void.py"},
    "without_approval": {
        "billing/demo/access.py",
        "billing/invoicing/forecast.py",  # is rolled back
        "billing/invoicing/previews.py",  # is rolled back
        "billing/self_test/running.py",  # is rolled back
        "customers/subscriptions/terms.py",  # `agree_phases` asks once for all its phases
        "events/management/commands/create_api_key.py",
    },
}


@pytest.mark.parametrize("name", UNGATED)
def test_only_known_callers_act_without_asking_the_gate(name):
    callers = set()
    for app in ("billing", "catalog", "config", "customers", "events"):
        for path in (ROOT / app).rglob("*.py"):
            if re.search(rf"(?<!def )(?<![\w.]){name}\(", path.read_text()):
                callers.add(str(path.relative_to(ROOT)))
    assert callers == UNGATED[name]


@pytest.mark.parametrize(
    ("table", "owner"),
    [
        ("CreditGrant.objects.create", {"billing/settlement/wallets.py"}),
        ("InvoiceState.VOID, now", {"billing/lifecycle/void.py"}),
        ("VersionState.PUBLISHED, now", {"catalog/publishing.py", "catalog/agreed/agree.py"}),
        ("CreditNoteState.FINALIZED, now", {"billing/settlement/credit_notes.py"}),
        ("ApiKey(", {"events/access/keys.py"}),
    ],
)
def test_one_function_writes_what_needs_approval(table, owner):
    writers = {
        str(path.relative_to(ROOT))
        for app in ("billing", "catalog", "config", "customers", "events")
        for path in (ROOT / app).rglob("*.py")
        if table in path.read_text() and "/models/" not in str(path)
    }
    assert writers == owner


# --- API keys ----------------------------------------------------------------------------------------


def test_a_key_that_can_move_money_is_refused_until_someone_else_approves_it(mia, ben):
    require(ApprovalKind.API_KEY)
    key, secret = make_key("Sync", scopes=["billing:write"], created_by=mia)
    with pytest.raises(KeyRefused, match="waits for approval"):
        authenticate(secret, now=timezone.now())
    approval = Approval.objects.get()
    with pytest.raises(NotYours):
        approve(approval, by=Person(mia), now=timezone.now())
    approve(approval, by=Person(ben), now=timezone.now())
    assert authenticate(secret, now=timezone.now()).key_id == key.pk
    make_key("Reader", scopes=["read"], created_by=mia)
    assert Approval.objects.count() == 1


def test_a_rejected_key_is_revoked(mia, ben):
    require(ApprovalKind.API_KEY)
    key, secret = make_key("Sync", created_by=mia)
    reject(Approval.objects.get(), by=Person(ben), reason="Not needed", now=timezone.now())
    assert reload(key).revoked_at is not None
    with pytest.raises(KeyRefused):
        authenticate(secret, now=timezone.now())


def test_a_key_that_a_key_makes_waits_too(mia):
    client = api_of(mia)
    require(ApprovalKind.API_KEY)
    answer = client.post("secrets/api/keys", {"name": "Child", "scopes": ["all"]}, 202)
    child = Client(headers={"x-api-key": answer["api_key"]})
    assert child.get("/v1/customers").status_code == 401
    assert answer["approval_id"] == Approval.objects.get().public_id
    assert answer["secret"]["awaits_approval"] is True


def test_rotating_a_key_doesnt_hand_out_a_working_secret(mia, ben):
    key, old_secret = make_key("Sync", created_by=ben)
    require(ApprovalKind.API_KEY)
    successor, new_secret = rotate(key, now=timezone.now(), overlap=timedelta(hours=1), by=mia)
    with pytest.raises(KeyRefused):
        authenticate(new_secret, now=timezone.now())
    assert authenticate(old_secret, now=timezone.now()).key_id == key.pk
    assert reload(key).expires_at is None
    now = timezone.now()
    third = colleague()[0]
    with pytest.raises(NotYours):
        approve(Approval.objects.get(), by=Person(mia), now=now)
    approve(Approval.objects.get(), by=Person(third), now=now)
    assert reload(key).expires_at == now + timedelta(hours=1)
    assert authenticate(new_secret, now=timezone.now()).key_id == successor.pk


# --- The rules themselves ----------------------------------------------------------------------------


def rule_form(mode, limits="", days="7"):
    return {"mode": mode, "limits_text": limits, "expires_days": days, "reason": "Agreed"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"mode": "always"}, rule_form("off")),
        ({"mode": "always"}, rule_form("above", "USD 1000000")),
        ({"mode": "above", "limits": {"USD": "100"}}, rule_form("above", "USD 200")),
        ({"mode": "above", "limits": {"USD": "100"}}, rule_form("above", "USD 100\nEUR 5000")),
        ({"mode": "above", "limits": {"USD": "100"}}, rule_form("off")),
    ],
)
def test_relaxing_a_rule_needs_someone_else(before, after):
    rule = ApprovalRule.objects.get(kind=ApprovalKind.VOID)
    ApprovalRule.objects.filter(pk=rule.pk).update(**before)
    mia, client = colleague()
    ben, _ = colleague()
    response = client.post(url("config_approvalrule_change", rule.pk), after)
    assert response.status_code == 302
    assert reload(rule).mode == before["mode"]
    approval = Approval.objects.get()
    with pytest.raises(NotYours):
        approve(approval, by=Person(mia), now=timezone.now())
    approve(approval, by=Person(ben), now=timezone.now())
    assert reload(rule).mode == after["mode"]


def test_stricter_rules_apply_at_once():
    rule = ApprovalRule.objects.get(kind=ApprovalKind.REFUND)
    _, client = colleague()
    colleague()
    for form, described in (
        (rule_form("above", "USD 100"), "Above $100.00; always in other currencies"),
        (rule_form("above", "USD 50"), "Above $50.00; always in other currencies"),
        (rule_form("always"), "Always"),
    ):
        assert client.post(url("config_approvalrule_change", rule.pk), form).status_code == 302
        assert reload(rule).describe() == described
    assert not Approval.objects.exists()


def test_the_only_owner_relaxes_rules_alone_and_the_page_says_so():
    require(ApprovalKind.VOID)
    rule = ApprovalRule.objects.get(kind=ApprovalKind.VOID)
    _, client = colleague()
    assert "no one could approve them" in text_of(client.get(url("config_approvalrule_change", rule.pk)))
    client.post(url("config_approvalrule_change", rule.pk), rule_form("off"))
    assert reload(rule).mode == "off"


def test_a_key_relaxes_no_rule_without_someone_else(mia, ben):
    require(ApprovalKind.VOID)
    answer = api_of(mia).put("approval-rules/void", {"mode": "off", "reason": "Simpler"}, 202)
    assert answer["effect"] == "Needs approval: Always → Never."
    assert ApprovalRule.objects.get(kind="void").mode == "always"
    api_of(mia, "billing:write", "approvals:write").put("approval-rules/void", {"mode": "off", "reason": "x"}, 403)


# --- Who did it --------------------------------------------------------------------------------------


def test_the_change_log_names_who_requested_and_who_approved(mia, ben):
    approval = requested_void(mia)
    approver = Client()
    approver.force_login(ben)
    response = submit(approver, url("config_approval_approve_one", approval.pk), reason="Checked")
    assert response.status_code == 200
    invoice = Invoice.objects.get()
    assert invoice.voided_by == mia
    change = history_of(invoice)[0]
    assert (change.who, change.reason) == ("Mia, approved by Ben", "Billed twice")


def test_the_change_log_names_the_key_that_requested_and_who_approved(mia, ben):
    require(ApprovalKind.VOID)
    invoice = make_finalized("120")
    api_of(mia).post(f"invoices/{invoice.public_id}/void", {"reason": "Billed twice"}, 202)
    approver = Client()
    approver.force_login(ben)
    submit(approver, url("config_approval_approve_one", Approval.objects.get().pk), reason="")
    assert re.fullmatch(r"API key Test \(sk_\S+…\), approved by Ben", history_of(invoice)[0].who)


def test_the_object_and_home_say_what_is_waiting(mia, ben):
    approval = requested_void(mia)
    client = Client()
    client.force_login(ben)
    page = text_of(client.get(Invoice.objects.get().get_absolute_url()))
    assert "Waiting for approval: Void invoice INV-000001 of" in page
    assert "requested by Mia" in page
    assert "Approvals waiting 1" in text_of(client.get("/admin/"))
    reject(approval, by=Person(ben), reason="No", now=timezone.now())
    assert "Waiting for approval" not in text_of(client.get(Invoice.objects.get().get_absolute_url()))


def test_a_task_that_needs_approval_requests_nothing_in_no_ones_name():
    require(ApprovalKind.CREDIT)
    with pytest.raises(ApprovalNeeded) as needed:
        finalize(make_draft("-5"), now=NOW, by=None)
    with pytest.raises(Exception, match="Finalize Draft"):
        request_approval(needed.value, now=NOW)
    assert not Approval.objects.exists()
