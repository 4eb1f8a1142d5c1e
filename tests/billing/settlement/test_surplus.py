"""What a payment has beyond the amount due becomes credit, or stays unapplied until it is used."""

import pytest
from django.db import Error, transaction

from billing.lifecycle.void import void
from billing.models import Invoice, Payment, Wallet, WalletEntry
from billing.month_end.checklist import checklist
from billing.month_end.months import Month
from billing.refusals import CannotPay
from billing.settlement.aging import read_row, sum_by_customer
from billing.settlement.payments import Receipt, credit_surplus, record_payment, reverse_payment
from billing.settlement.surplus import apply_surplus, refund_surplus, sum_unapplied
from billing.settlement.wallets import CreditSpent, debit_wallet
from billing.statements.statement import build_statement
from tests.billing.invoices import at_once, later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
NOW = later()


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def invoice(customer):
    return make_finalized("100", customer=customer)


def pay(invoice, amount, **details):
    return record_payment(invoice, Receipt(D(amount), NOW.date(), **details), now=NOW, by=None)


def keep(invoice, amount, **details):
    return pay(invoice, amount, surplus_to="unapplied", **details)


def use(payment, invoice, amount=None):
    return apply_surplus(payment, invoice, amount=None if amount is None else D(amount), now=NOW, by=None)


def credit(payment, amount=None):
    return credit_surplus(payment, amount=None if amount is None else D(amount), now=NOW, by=None)


def refund(payment, amount):
    return refund_surplus(payment, Receipt(D(amount), NOW.date()), reason="Paid twice", now=NOW, by=None)


def unapplied(payment):
    return Payment.objects.with_unapplied().values_list("unapplied", flat=True).get(pk=payment.pk)


def reload(invoice):
    invoice.refresh_from_db()
    return invoice


def balance():
    return sum(Wallet.objects.values_list("balance", flat=True))


def test_a_payment_of_more_than_the_amount_due_becomes_prepaid_credit(invoice):
    payment = pay(invoice, "120", reference="wire 7")
    assert (reload(invoice).state, invoice.amount_paid, invoice.amount_remaining) == ("paid", 100, 0)
    assert (payment.amount, payment.applied, unapplied(payment), balance()) == (120, 100, 0, 20)
    assert pay(invoice, "120", reference="wire 7") == payment
    assert balance() == 20


def test_the_rest_of_a_payment_stays_unapplied_by_choice(invoice):
    payment = keep(invoice, "120")
    assert (reload(invoice).state, unapplied(payment), balance()) == ("paid", 20, 0)
    assert sum_unapplied() == {invoice.customer_id: {"USD": D(20)}}
    assert list(Payment.objects.with_money_left()) == [payment]


def test_a_payment_of_a_paid_invoice_is_all_surplus(invoice):
    pay(invoice, "100")
    again = keep(invoice, "100")
    assert (reload(invoice).amount_paid, unapplied(again)) == (100, 100)


def test_unapplied_money_pays_another_invoice_of_the_customer(invoice, customer):
    payment = keep(invoice, "120")
    other, third = make_finalized("15", customer=customer), make_finalized("30", customer=customer)
    row = use(payment, other)
    assert (row.amount, row.applied, reload(other).state, unapplied(payment)) == (0, 15, "paid", 5)
    use(payment, third, "4")
    assert (reload(third).amount_remaining, unapplied(payment)) == (26, 1)


def test_unapplied_money_becomes_credit_or_is_refunded(invoice):
    payment = keep(invoice, "120")
    credit(payment, "5")
    refund(payment, "8")
    assert (unapplied(payment), balance()) == (7, 5)
    credit(payment)
    assert (unapplied(payment), balance()) == (0, 12)
    with pytest.raises(CannotPay, match=r"Nothing of .* is unapplied"):
        credit(payment)


def test_no_more_than_is_unapplied_or_due_is_used(invoice, customer):
    payment = keep(invoice, "120")
    other = make_finalized("15", customer=customer)
    with pytest.raises(CannotPay, match=r"\$20\.01 is more than the unapplied \$20\.00"):
        credit(payment, "20.01")
    with pytest.raises(CannotPay, match=r"\$16\.00 is more than the \$15\.00 due"):
        use(payment, other, "16")
    for wrong, message in (
        (make_finalized("15"), "another customer's invoice"),
        (make_finalized("15", customer=customer, currency="EUR"), "is in EUR; the payment is in USD"),
        (make_draft("15", customer=customer), "Only finalized invoices can be paid"),
        (reload(invoice), "Nothing is left to pay"),
    ):
        with pytest.raises(CannotPay, match=message):
            use(payment, wrong)
    assert unapplied(payment) == 20


def test_reversing_a_payment_takes_back_its_credit_and_what_it_paid(invoice, customer):
    payment = keep(invoice, "150")
    other = make_finalized("15", customer=customer)
    use(payment, other)
    credit(payment, "10")
    reversal = reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    assert (reversal.amount, reversal.applied) == (-150, -100)
    assert (reload(invoice).amount_remaining, reload(other).amount_remaining) == (100, 15)
    assert (balance(), unapplied(payment), sum_unapplied()) == (0, 0, {})
    assert reverse_payment(payment, reason="Again", now=NOW, by=None) == reversal


def test_a_payment_whose_surplus_was_refunded_or_spent_is_not_reversed(invoice):
    payment = keep(invoice, "120")
    refund(payment, "5")
    with pytest.raises(CannotPay, match=r"\$5\.00 of .* was refunded\. Reverse that refund first"):
        reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    reverse_payment(payment.uses.get(), reason="Returned by the bank", now=NOW, by=None)
    assert unapplied(payment) == 20
    credit(payment)
    debit_wallet(Wallet.objects.get(), D(1), reason="Spent", now=NOW, by=None)
    with pytest.raises(CreditSpent):
        reverse_payment(payment, reason="Bounced", now=NOW, by=None)


def test_reversing_an_application_makes_the_money_unapplied_again(invoice, customer):
    payment = keep(invoice, "120")
    other = make_finalized("15", customer=customer)
    reverse_payment(use(payment, other), reason="Wrong invoice", now=NOW, by=None)
    assert (reload(other).amount_remaining, unapplied(payment)) == (15, 20)


def test_the_surplus_of_a_void_invoice_can_still_be_refunded(customer):
    invoice = make_finalized("0", customer=customer)
    payment = keep(invoice, "20")
    void(reload(invoice), reason="Wrong", by=None, now=NOW)
    refund(payment, "20")
    assert unapplied(payment) == 0


@pytest.mark.django_db(transaction=True)
def test_two_uses_at_the_same_time_use_a_surplus_once():
    invoice = make_finalized("100")
    payment = keep(invoice, "120")
    other = make_finalized("20", customer=invoice.customer)
    outcomes = at_once(lambda: credit(payment), lambda: use(payment, other))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CannotPay", "Payment"]
    assert unapplied(payment) == 0


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_use_more_than_a_surplus():
    invoice = make_finalized("100")
    payment = keep(invoice, "120")
    with pytest.raises(Error, match="more than the surplus of payment"), transaction.atomic():
        Payment.objects.create(
            invoice=invoice, kind="refund", amount=-21, surplus=-21, source=payment, currency="USD",
            received_on=NOW.date(), reason="x", recorded_at=NOW,
        )  # fmt: skip


def test_statement_receivables_and_checklist_agree_with_unapplied_money(invoice, customer):
    payment = keep(invoice, "120")
    other = make_finalized("50", customer=customer)
    use(payment, other, "15")
    credit(payment, "2")
    row = read_row(sum_by_customer(NOW).get())
    assert (row.total, row.unapplied) == (35, 3)
    [statement] = build_statement(customer, NOW.date(), NOW.date()).currencies
    assert statement.owed.closing == row.total - row.unapplied == 32
    [task] = [task for task in checklist(Month.named("2026-10"), now=NOW) if task.name == "Unapplied payments"]
    assert (task.count, task.money) == (1, [("USD", D(3))])
    assert Invoice.objects.count() == 2
    assert WalletEntry.objects.get().amount == 2


# --- the API ---------------------------------------------------------------------------------------------


def body_of(invoice, amount, **fields):
    return {
        "amount": amount, "currency": "USD", "destination_type": "INVOICE", "destination_id": invoice.public_id,
        "payment_method_type": "CARD",
    } | fields  # fmt: skip


def test_the_api_records_a_payment_of_more_than_the_amount_due(api, invoice):
    made = api.post("payments", body_of(invoice, "120.00"), 201)
    assert [made[name] for name in ("amount", "applied_amount", "overpaid_amount", "unapplied_amount")] == [
        "120.00", "100.00", "20.00", "0.00",
    ]  # fmt: skip
    shown = api.get(f"invoices/{invoice.public_id}")
    assert [shown[name] for name in ("payment_status", "amount_paid", "amount_remaining", "overpaid_amount")] == [
        "SUCCEEDED", "100.00", "0.00", "20.00",
    ]  # fmt: skip
    wallets = api.get("customers/wallets", lookup_key="acme")
    assert [wallet["balance"] for wallet in wallets] == ["20.00"]
    [entry] = api.get(f"wallets/{wallets[0]['id']}/transactions")["items"]
    assert (entry["amount"], entry["transaction_reason"]) == ("20.00", "PURCHASED_CREDIT_DIRECT")
    balance = api.get(f"wallets/{wallets[0]['id']}/balance/real-time")
    assert balance["credits_available_breakdown"] == {"free": "0.00", "purchased": "20.00"}
    api.post(f"payments/{made['id']}/reverse", {"reason": "Bounced"})
    assert api.get(f"invoices/{invoice.public_id}")["overpaid_amount"] == "0.00"


def test_the_payment_of_an_invoice_may_be_more_than_the_amount_due(api, invoice):
    paid = {"payment_status": "SUCCEEDED", "amount": "120.00", "reference": "wire 7", "overpayment": "unapplied"}
    for _ in range(2):
        shown = api.put(f"invoices/{invoice.public_id}/payment", paid)
    assert (shown["amount_paid"], shown["overpaid_amount"]) == ("100.00", "20.00")
    [payment] = api.get("payments")["items"]
    assert payment["unapplied_amount"] == "20.00"


def test_a_pending_payment_with_an_amount_is_a_partial_payment(api, invoice):
    path = f"invoices/{invoice.public_id}/payment"
    shown = api.put(path, {"payment_status": "PENDING", "amount": "40.00"})
    assert [shown[name] for name in ("payment_status", "amount_paid", "amount_remaining")] == [
        "PENDING", "40.00", "60.00",
    ]  # fmt: skip
    assert "amount" in api.put(path, {"payment_status": "PENDING"}, status=400)["details"]


def test_the_api_applies_credits_and_refunds_an_unapplied_amount(api, invoice, customer):
    path = f"payments/{keep(invoice, '120').public_id}"
    other = make_finalized("15", customer=customer)
    applied = api.post(f"{path}/apply", {"invoice_id": other.public_id, "idempotency_key": "k1"})
    assert (applied["kind"], applied["amount"], applied["applied_amount"]) == ("applied", "0.00", "15.00")
    assert applied["source_id"] == path.partition("/")[2]
    assert api.post(f"{path}/apply", {"invoice_id": other.public_id, "idempotency_key": "k1"})["id"] == applied["id"]
    assert api.post(f"{path}/credit", {"amount": "2.00"})["amount"] == "-2.00"
    refunded = api.post(f"{path}/refund", {"amount": "3.00", "reason": "Paid twice"})
    assert (refunded["kind"], refunded["amount"], refunded["reason"]) == ("refund", "-3.00", "Paid twice")
    assert api.get(path)["unapplied_amount"] == "0.00"
    assert "unapplied" in api.post(f"{path}/credit", {}, status=400)["message"]
