"""What remains to be paid is one amount, wherever it is shown."""

import pytest
from django.db.models import Sum

from billing.models import Invoice
from billing.models.invoices import REMAINING
from billing.settlement.aging import sum_by_currency
from billing.settlement.balances import calculate_balance
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import Receipt, record_payment
from billing.settlement.wallets import get_or_open_wallet
from tests.billing.invoices import later, make_finalized
from tests.billing.world import D

pytestmark = pytest.mark.django_db


def credit(invoice, amount):
    line = invoice.lines.get()
    note = draft_credit_note(invoice, {line.pk: D(amount)}, reason="billing_error", by=None)
    finalize_credit_note(note, now=later(), by=None)


def pay(invoice, amount):
    record_payment(invoice, Receipt(D(amount), later().date()), now=later(), by=None)
    invoice.refresh_from_db()


def test_the_real_time_balance_deducts_what_credit_notes_leave_to_pay(api):
    invoice = make_finalized("100")
    credit(invoice, 40)
    pay(invoice, 10)
    wallet = get_or_open_wallet(invoice.customer, "USD", by=None)
    balance = calculate_balance(wallet, now=later(2))
    assert (invoice.amount_remaining, balance.unpaid, balance.real_time) == (50, 50, -50)
    assert sum(sum_by_currency(later(2))["USD"].values()) == 50
    assert Invoice.objects.aggregate(sum=Sum(REMAINING))["sum"] == 50
    assert api.get(f"wallets/{wallet.public_id}/balance/real-time")["unpaid_invoices_amount"] == "50.00"


def test_a_refund_due_does_not_reduce_what_other_invoices_leave_to_pay():
    paid = make_finalized("100")
    pay(paid, 100)
    credit(paid, 30)
    make_finalized("20", customer=paid.customer)
    wallet = get_or_open_wallet(paid.customer, "USD", by=None)
    assert calculate_balance(wallet, now=later(2)).unpaid == 20
