"""Payments, refunds, credit notes and prepaid credit send webhooks in their transaction, each once."""

import pytest
from django.db import transaction

from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import mark_paid, void
from billing.models import CreditGrant, Wallet, WalletEntry
from billing.notifications import notify_wallet_entries
from billing.settlement.credit_expiry import expire_credits
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, void_credit_note
from billing.settlement.payments import Receipt, record_payment, reverse_payment
from billing.settlement.refunds import record_refund
from billing.settlement.wallets import (
    change_wallet,
    close_wallet,
    debit_wallet,
    get_or_open_wallet,
    grant_credit,
    open_wallet,
)
from config.webhooks.models import WebhookDelivery, WebhookMessage
from tests.billing.invoices import later, make_draft, make_finalized
from tests.billing.world import D
from tests.config.webhooks.messages import last_body, make_endpoint, sent_messages
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
NOW = later()
SAID = "2026-10-02T00:00:00Z"


def names():
    return [name for name, _ in sent_messages()]


def draft(invoice, amount, **given):
    return draft_credit_note(invoice, {invoice.lines.get().pk: D(amount)}, reason="billing_error", by=None, **given)


def put_in(wallet, amount, **given):
    return grant_credit(wallet, D(amount), **{"kind": "purchased", "reason": "Prepaid", "now": NOW, "by": None} | given)


def test_a_payment_and_its_reversal_send_webhooks_with_the_invoice():
    invoice = make_finalized()
    make_endpoint()
    payment = record_payment(invoice, Receipt(D(40), NOW.date(), reference="wire 7"), now=NOW, by=None)
    record_payment(invoice, Receipt(D(40), NOW.date(), reference="wire 7"), now=NOW, by=None)  # recorded already
    reversal = reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    assert sent_messages() == [
        ("payment.success", payment.public_id),
        ("invoice.update.payment", invoice.public_id),
        ("payment.reversed", reversal.public_id),
        ("invoice.update.payment", invoice.public_id),
    ]
    received = last_body("payment.success")
    assert (received["event_type"], received["timestamp"]) == ("payment.success", SAID)
    assert (received["payment"]["amount"], received["payment"]["payment_method_id"]) == ("40.00", "wire 7")
    assert received["payment"]["destination_id"] == invoice.public_id
    back = last_body("payment.reversed")["payment"]
    assert (back["amount"], back["reverses_id"], back["reason"]) == ("-40.00", payment.public_id, "Bounced")


def test_a_full_payment_sends_one_webhook():
    invoice = make_finalized()
    make_endpoint(event_types=["payment.success"])
    mark_paid(invoice, now=NOW)
    mark_paid(invoice, now=NOW)
    assert names() == ["payment.success"]
    assert last_body("payment.success")["payment"]["amount"] == "100.00"


def test_a_refund_and_its_reversal_send_webhooks():
    invoice = mark_paid(make_finalized(), now=NOW)
    note = finalize_credit_note(draft(invoice, 30), now=NOW, by=None)
    make_endpoint()
    given = {"reason": "Overcharged", "credit_note": note, "now": NOW, "by": None}
    row = record_refund(note.invoice, Receipt(D(30), NOW.date(), idempotency_key="r1"), **given)
    record_refund(note.invoice, Receipt(D(30), NOW.date(), idempotency_key="r1"), **given)
    reversal = reverse_payment(row, reason="The account is closed", now=NOW, by=None)
    assert [each for each in sent_messages() if each[0].startswith("refund.")] == [
        ("refund.succeeded", row.public_id),
        ("refund.reversed", reversal.public_id),
    ]
    shown = last_body("refund.succeeded")["refund"]
    assert (shown["kind"], shown["amount"], shown["credit_note_id"]) == ("refund", "-30.00", note.public_id)
    back = last_body("refund.reversed")["refund"]
    assert (back["kind"], back["amount"], back["reverses_id"]) == ("reversal", "30.00", row.public_id)


def test_a_credit_note_sends_webhooks_from_draft_to_void():
    invoice = make_finalized()
    make_endpoint()
    note = draft(invoice, 30, idempotency_key="n1")
    draft(invoice, 30, idempotency_key="n1")  # the same again
    assert sent_messages() == [("credit_note.created", note.public_id)]
    drafted = last_body("credit_note.created")["credit_note"]
    assert (drafted["credit_note_status"], drafted["total_amount"]) == ("DRAFT", "30.00")
    assert [line["amount"] for line in drafted["line_items"]] == ["30.00"]
    finalize_credit_note(note, now=NOW, by=None)
    finalize_credit_note(note, now=NOW, by=None)
    final = last_body("credit_note.updated")
    assert (final["timestamp"], final["credit_note"]["credit_note_number"]) == (SAID, "CN-000001")
    assert (final["credit_note"]["credit_note_status"], final["credit_note"]["refund_amount"]) == ("FINALIZED", "0.00")
    void_credit_note(note, reason="Credited twice", now=NOW, by=None)
    void_credit_note(note, reason="Credited twice", now=NOW, by=None)
    ended = last_body("credit_note.updated")["credit_note"]
    assert (ended["credit_note_status"], ended["void_reason"]) == ("VOIDED", "Credited twice")
    changed = ["credit_note.updated", "invoice.update.payment"]
    assert names() == ["credit_note.created", *changed, *changed]


def test_a_void_draft_changes_no_invoice():
    invoice = make_finalized()
    note = draft(invoice, 30)
    make_endpoint()
    void_credit_note(note, reason="Not needed", now=NOW, by=None)
    assert sent_messages() == [("credit_note.updated", note.public_id)]


def test_a_refund_as_prepaid_credit_sends_a_webhook_for_the_new_wallet():
    invoice = mark_paid(make_finalized(), now=NOW)
    note = draft(invoice, 30, refund_to="wallet")
    make_endpoint()
    finalize_credit_note(note, now=NOW, by=None)
    assert names() == [
        "credit_note.updated", "invoice.update.payment", "refund.succeeded", "invoice.update.payment", "wallet.created",
        "wallet.transaction.created",
    ]  # fmt: skip
    moved = last_body("wallet.transaction.created")["transaction"]
    assert (moved["type"], moved["amount"], moved["credit_balance_after"]) == ("credit", "30.00", "30.00")
    assert moved["wallet_id"] == last_body("wallet.created")["wallet"]["id"]


def test_a_wallet_sends_webhooks_from_creation_to_closing():
    make_endpoint()
    customer = make_customer()
    wallet = open_wallet(customer, "USD", by=None, name="Prepaid")
    assert get_or_open_wallet(customer, "USD", by=None) == wallet
    put_in(wallet, 50, reference="order 1")
    put_in(wallet, 50, reference="order 1")  # granted already
    change_wallet(wallet, now=NOW, by=None, name="Prepaid 2026")
    change_wallet(wallet, now=NOW, by=None, name="Prepaid 2026")  # called so already
    debit_wallet(wallet, D(20), reason="Granted too much", now=NOW, by=None)
    close_wallet(wallet, reason="Left", now=NOW, by=None)
    close_wallet(wallet, reason="Left", now=NOW, by=None)
    moved = "wallet.transaction.created"
    assert names() == ["wallet.created", moved, "wallet.updated", moved, moved, "wallet.terminated"]
    assert {object_id for name, object_id in sent_messages() if name != moved} == {wallet.public_id}
    assert [each.public_id for each in WalletEntry.objects.order_by("pk")] == [
        one for name, one in sent_messages() if name == moved
    ]
    assert last_body("wallet.created")["wallet"]["balance"] == "0.00"
    shown = last_body("wallet.updated")["wallet"]
    assert (shown["name"], shown["balance"]) == ("Prepaid 2026", "50.00")
    assert last_body("wallet.terminated")["wallet"]["wallet_status"] == "closed"
    last = last_body(moved)["transaction"]
    assert (last["type"], last["amount"], last["transaction_reason"]) == ("debit", "30.00", "MANUAL_BALANCE_DEBIT")


def test_credit_used_and_returned_by_an_invoice_sends_webhooks():
    customer = make_customer()
    put_in(get_or_open_wallet(customer, "USD", by=None), 60)
    invoice = make_draft(customer=customer)
    make_endpoint()
    finalize(invoice, now=NOW)
    used = last_body("wallet.transaction.created")["transaction"]
    assert (used["amount"], used["transaction_reason"]) == ("60.00", "INVOICE_PAYMENT")
    assert (used["reference_id"], used["credit_balance_after"]) == (invoice.public_id, "0.00")
    void(invoice, reason="Wrong", by=None, now=NOW)
    void(invoice, reason="Wrong", by=None, now=NOW)
    back = last_body("wallet.transaction.created")["transaction"]
    assert (back["amount"], back["transaction_reason"]) == ("60.00", "INVOICE_VOID_REFUND")
    assert names() == [
        "wallet.transaction.created", "invoice.update.finalized", "wallet.transaction.created", "invoice.update.voided",
    ]  # fmt: skip


def test_expired_credit_sends_one_webhook():
    wallet = get_or_open_wallet(make_customer(), "USD", by=None)
    put_in(wallet, 60, expires_at=later(9))
    make_endpoint()
    assert expire_credits(now=later(9)) == 1
    assert expire_credits(now=later(9)) == 0
    assert names() == ["wallet.transaction.created"]
    lapsed = last_body("wallet.transaction.created")["transaction"]
    assert (lapsed["amount"], lapsed["transaction_reason"]) == ("60.00", "CREDIT_EXPIRED")


def test_a_rolled_back_change_sends_no_webhook():
    invoice = make_finalized()
    make_endpoint()
    with transaction.atomic():
        mark_paid(invoice, now=NOW)
        transaction.set_rollback(True)
    assert not WebhookMessage.objects.exists()


@pytest.mark.parametrize("many", [1, 12])
def test_the_number_of_transactions_does_not_change_query_count(many, django_assert_num_queries):
    for _ in range(many):
        put_in(get_or_open_wallet(make_customer(), "USD", by=None), 5)
    make_endpoint()
    make_endpoint()
    assert Wallet.objects.count() == CreditGrant.objects.count() == many
    entries = list(WalletEntry.objects.all())
    with django_assert_num_queries(4):  # who wants it, the movements, the messages, the deliveries
        notify_wallet_entries(entries, now=NOW)
    assert WebhookDelivery.objects.count() == 2 * many
