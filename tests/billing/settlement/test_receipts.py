"""One payment of several invoices: applied, settled with small differences, credited, kept, and reversed."""

from datetime import timedelta

import pytest
from django.db import Error, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import CompanyProfile, Invoice, Payment, Wallet
from billing.month_end.months import Month
from billing.month_end.revenue import books
from billing.refusals import CannotPay
from billing.settlement.aging import read_row, sum_by_customer
from billing.settlement.differences import settle_difference
from billing.settlement.payments import Receipt, credit_surplus, reverse_payment
from billing.settlement.receipts import (
    Application,
    CustomerReceipt,
    apply_oldest_first,
    record_receipt,
    record_receipts,
)
from billing.settlement.surplus import apply_surplus, refund_surplus, sum_unapplied
from billing.statements.statement import build_statement
from config.refusals import ReasonRequired, Refused
from tests.billing.invoices import at_once, later, make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
NOW = later()


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def invoices(customer):
    return [make_finalized("100", customer=customer) for _ in range(3)]


@pytest.fixture
def limits():
    return CompanyProfile.objects.create(
        name="Larkspur",
        write_off_limit=D("1"),
        write_off_account="6300",
        bank_charge_limit=D("5"),
        bank_charge_account="6855",
    )


def receive(customer, amount, *applications, **details):
    receipt = Receipt(D(amount), NOW.date(), **{"surplus_to": "unapplied"} | details)
    return record_receipt(CustomerReceipt(customer, "USD", receipt, applications), now=NOW, by=None)


def pays(invoice, amount, charge="0", off="0"):
    return Application(invoice, D(amount), D(charge), D(off))


def unapplied(payment):
    return Payment.objects.with_unapplied().values_list("unapplied", flat=True).get(pk=payment.pk)


def remaining(invoices):
    for invoice in invoices:
        invoice.refresh_from_db()
    return [invoice.amount_remaining for invoice in invoices]


def owed(customer):
    statement = build_statement(customer, NOW.date() - timedelta(days=300), NOW.date() + timedelta(days=1))
    return sum(currency.owed.closing for currency in statement.currencies)


def test_one_payment_pays_several_invoices_and_the_rest_stays_unapplied(customer, invoices):
    first, second, third = invoices
    payment = receive(customer, "250", pays(first, "100"), pays(second, "30"), reference="wire 7")
    assert (payment.invoice, payment.amount, payment.applied, unapplied(payment)) == (None, 250, 0, 120)
    assert remaining(invoices) == [0, 70, 100]
    assert (first.state, second.state) == ("paid", "finalized")
    assert sum_unapplied() == {customer.pk: {"USD": D(120)}}
    # 300 invoiced − 250 received
    assert owed(customer) == D(50)
    assert [(use.kind, use.applied) for use in payment.uses.order_by("pk")] == [("applied", 100), ("applied", 30)]
    apply_surplus(payment, third, now=NOW, by=None)
    assert (remaining(invoices), unapplied(payment), owed(customer)) == ([0, 70, 0], 20, 50)


def test_a_payment_for_no_invoice_becomes_prepaid_credit_or_stays_unapplied(customer):
    kept = receive(customer, "50", reference="wire 1")
    receive(customer, "30", reference="wire 2", surplus_to="credit")
    assert (unapplied(kept), Wallet.objects.get().balance) == (50, 30)
    # What became credit no longer reduces what is owed: it is on the credit account.
    assert owed(customer) == D(-50)
    credit_surplus(kept, amount=D(20), now=NOW, by=None)
    refund_surplus(kept, Receipt(D(30), NOW.date()), reason="Sent by mistake", now=NOW, by=None)
    assert (unapplied(kept), Wallet.objects.get().balance, owed(customer)) == (0, 50, 0)


def test_a_repeated_payment_is_recorded_once(customer, invoices):
    first = invoices[0]
    payment = receive(customer, "100", pays(first, "100"), reference="wire 7")
    assert receive(customer, "100", pays(first, "100"), reference="wire 7") == payment
    keyed = receive(customer, "10", idempotency_key="order 7")
    assert receive(customer, "10", idempotency_key="order 7") == keyed
    with pytest.raises(CannotPay, match="wire 7 is already recorded with"):
        receive(customer, "90", reference="wire 7")
    with pytest.raises(CannotPay, match="key was already used for a payment of Acme"):
        receive(make_customer(external_id="other", name="Other"), "10", idempotency_key="order 7")
    assert Payment.objects.filter(kind="payment").count() == 2
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    again = receive(customer, "100", pays(first, "100"), reference="wire 7")
    assert (again.attempt, remaining([first])) == (2, [0])


def test_bank_charges_and_write_offs_settle_what_the_money_does_not(customer, invoices, limits):
    first, second, _ = invoices
    payment = receive(customer, "197.50", pays(first, "98", charge="2"), pays(second, "99.50", off="0.50"))
    assert (remaining(invoices), unapplied(payment)) == ([0, 0, 100], 0)
    rows = payment.uses.filter(kind="adjusted").order_by("pk")
    assert [(row.method, row.amount, row.account, row.reason) for row in rows] == [
        ("bank_charge", D(2), "6855", "Deducted by the bank"),
        ("write_off", D("0.50"), "6300", "Small difference"),
    ]
    assert owed(customer) == D(100)
    (usd,) = books(Month.named("2026-10"))
    # 300 invoiced, 197.50 in money, 2.50 without
    assert (usd.paid, usd.adjusted, usd.closing) == (D("197.50"), D("2.50"), D(100))
    assert all(check.agrees for check in usd.checks())


def test_differences_have_a_limit_for_each_invoice_and_a_reason(customer, invoices, limits):
    first = invoices[0]
    off = Receipt(D("0.60"), NOW.date(), "write_off")
    settle_difference(first, off, reason="Rounded", now=NOW, by=None)
    with pytest.raises(CannotPay, match=r"write-off of \$0\.60 exceeds the limit of \$1\.00 for INV-000001"):
        settle_difference(first, off, reason="Rounded", now=NOW, by=None)
    with pytest.raises(CannotPay, match=r"bank charge of \$5\.01 exceeds the limit of \$5\.00"):
        settle_difference(first, Receipt(D("5.01"), NOW.date(), "bank_charge"), reason="Fee", now=NOW, by=None)
    with pytest.raises(CannotPay, match="Choose a write-off or a bank charge"):
        settle_difference(first, Receipt(D("0.01"), NOW.date(), "cash"), reason="Fee", now=NOW, by=None)
    with pytest.raises(ReasonRequired):
        settle_difference(first, off, reason=" ", now=NOW, by=None)
    reverse_payment(Payment.objects.get(), reason="The rest was paid", now=NOW, by=None)
    settle_difference(first, off, reason="Rounded", now=NOW, by=None)
    assert remaining([first]) == [D("99.40")]


def test_without_limits_nothing_is_written_off(customer, invoices):
    with pytest.raises(CannotPay, match=r"exceeds the limit of \$0\.00"):
        receive(customer, "99.99", pays(invoices[0], "99.99", off="0.01"))
    assert not Payment.objects.exists()


def test_reversing_a_payment_reverses_all_that_it_paid(customer, invoices, limits):
    payment = receive(customer, "208", *(pays(invoice, "98", charge="2") for invoice in invoices[:2]))
    credit_surplus(payment, amount=D(5), now=NOW, by=None)
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    assert remaining(invoices) == [100, 100, 100]
    assert (unapplied(payment), Wallet.objects.get().balance, owed(customer)) == (0, 0, 300)
    assert sum(Payment.objects.values_list("amount", flat=True)) == 0
    count = Payment.objects.count()
    reverse_payment(payment, reason="Bounced", now=NOW, by=None)
    assert Payment.objects.count() == count


def test_one_application_can_be_reversed_and_the_money_is_unapplied_again(customer, invoices):
    payment = receive(customer, "150", pays(invoices[0], "100"), pays(invoices[1], "50"))
    reverse_payment(payment.uses.order_by("pk")[0], reason="Wrong invoice", now=NOW, by=None)
    assert (remaining(invoices), unapplied(payment), owed(customer)) == ([100, 50, 100], 100, 150)


@pytest.mark.parametrize(
    ("amount", "parts", "message"),
    [
        ("100", ["60", "50"], r"\$110\.00 for the invoices is more than the \$100\.00 received"),
        ("500", ["100.01"], r"\$100\.01 is more than the \$100\.00 due on INV-000001"),
        ("100", ["0"], "Enter an amount for INV-000001"),
        ("100.001", [], "no more decimals than USD"),
        ("0", [], "Enter a positive amount"),
    ],
)
def test_a_refused_payment_writes_nothing(customer, invoices, amount, parts, message):
    applications = [pays(invoice, part) for invoice, part in zip(invoices, parts, strict=False)]
    with pytest.raises(CannotPay, match=message):
        receive(customer, amount, *applications)
    assert (Payment.objects.count(), remaining(invoices)) == (0, [100, 100, 100])


def test_a_payment_pays_only_invoices_of_its_customer_and_currency(customer, invoices):
    with pytest.raises(CannotPay, match="another customer's invoice"):
        receive(make_customer(external_id="other"), "100", pays(invoices[0], "100"))
    euro = make_finalized("100", customer=customer, currency="EUR")
    with pytest.raises(CannotPay, match="is in EUR; the payment is in USD"):
        receive(customer, "100", pays(euro, "100"))
    with pytest.raises(CannotPay, match="Name each invoice once"):
        receive(customer, "100", pays(invoices[0], "10"), pays(invoices[0], "10"))


def test_the_oldest_invoices_are_paid_first(customer, invoices):
    parts = apply_oldest_first(customer, "USD", D(150))
    assert [(part.invoice, part.amount) for part in parts] == [(invoices[0], 100), (invoices[1], 50)]


def test_a_batch_is_recorded_whole_or_not_at_all(customer, invoices):
    good = CustomerReceipt(customer, "USD", Receipt(D(100), NOW.date(), reference="c1"), [pays(invoices[0], "100")])
    bad = CustomerReceipt(customer, "USD", Receipt(D(100), NOW.date(), reference="c2"), [pays(invoices[1], "101")])
    with pytest.raises(CannotPay, match="Payment 1: "):
        record_receipts([good, bad], now=NOW, by=None)
    assert not Payment.objects.exists()
    assert len(record_receipts([good], now=NOW, by=None)) == 1
    assert record_receipts([good], now=NOW, by=None)[0].reference == "c1"
    assert Payment.objects.filter(kind="payment").count() == 1


def test_receivables_deduct_nothing_for_unapplied_money_but_show_it(customer, invoices):
    receive(customer, "40")
    row = read_row(sum_by_customer(NOW)[0])
    assert (row.total, row.unapplied) == (300, 40)


def test_the_database_keeps_payments_and_invoices_in_agreement(customer, invoices):
    payment = receive(customer, "100")
    columns = {"customer": customer, "currency": "USD", "received_on": NOW.date(), "recorded_at": NOW}
    for row in (
        Payment(kind="payment", amount=D(5), surplus=D(4), **columns),
        Payment(kind="applied", amount=0, surplus=D(-5), source=payment, **columns),
        Payment(kind="adjusted", amount=D(5), method="write_off", reason="x", **columns),
        Payment(kind="adjusted", amount=D(5), method="cash", reason="x", invoice=invoices[0], **columns),
        Payment(kind="payment", amount=D(5), surplus=D(5), method="write_off", **columns),
        Payment(
            kind="applied",
            surplus=D(-5),
            source=payment,
            invoice=invoices[0],
            **columns | {"customer": make_customer(external_id="other")},
        ),
    ):
        with pytest.raises(Error), transaction.atomic():
            row.save()


def test_two_payments_at_once_pay_an_invoice_once(transactional_db):
    customer = make_customer(external_id="acme", name="Acme")
    invoice = make_finalized("100", customer=customer)
    payment = receive(customer, "150")
    second = receive(customer, "150", reference="wire 8")
    outcomes = at_once(
        lambda: apply_surplus(payment, invoice, amount=D(100), now=NOW, by=None),
        lambda: apply_surplus(second, invoice, amount=D(100), now=NOW, by=None),
        lambda: refund_surplus(payment, Receipt(D(150), NOW.date()), reason="Back", now=NOW, by=None),
    )
    assert remaining([invoice]) == [0]
    assert len(outcomes) == 3
    assert min(unapplied(payment), unapplied(second)) >= 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["receive", "apply", "credit", "settle", "reverse", "batch"]), st.integers(0, 4),
              st.integers(1, 12_000)),
    max_size=12,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_any_order_leaves_invoices_credit_and_money_in_agreement(steps):
    with transaction.atomic():
        customer = make_customer(external_id="acme", name="Acme")
        CompanyProfile.objects.update_or_create(
            pk=1, defaults={"name": "L", "write_off_limit": D(3), "bank_charge_limit": D(3)}
        )
        invoices = [make_finalized("100", customer=customer) for _ in range(3)]
        for kind, index, cents in steps:
            try:
                with transaction.atomic():
                    take_step(kind, index, D(cents) / 100, customer, invoices)
            except Refused:
                continue
        check_agreement(customer, invoices)
        transaction.set_rollback(True)


def take_step(kind, index, amount, customer, invoices):
    payments = list(Payment.objects.order_by("pk"))
    receipts = [payment for payment in payments if payment.kind == "payment"]
    invoice = Invoice.objects.get(pk=invoices[index % 3].pk)
    if kind == "receive":
        receive(customer, amount, *apply_oldest_first(customer, "USD", amount))
    elif kind == "batch":
        receive(customer, amount, surplus_to=("credit", "unapplied")[index % 2])
    elif kind == "settle":
        receipt = Receipt(min(amount, D("1.50")), NOW.date(), ("write_off", "bank_charge")[index % 2])
        settle_difference(invoice, receipt, reason="Small", now=NOW, by=None)
    elif kind == "apply" and receipts:
        apply_surplus(receipts[index % len(receipts)], invoice, now=NOW, by=None)
    elif kind == "credit" and receipts:
        credit_surplus(receipts[index % len(receipts)], now=NOW, by=None)
    elif kind == "reverse" and payments:
        reverse_payment(payments[index % len(payments)], reason="Wrong", now=NOW, by=None)


def check_agreement(customer, invoices):
    """What was invoiced, less money and differences, is what is open, less unapplied money; credit apart."""
    rows = list(Payment.objects.select_related("reverses"))
    money = sum(row.amount for row in rows if row.method not in ("wallet", "write_off", "bank_charge"))
    settled = sum(row.amount for row in rows if row.method in ("write_off", "bank_charge"))
    credit = sum(wallet.balance for wallet in Wallet.objects.all())
    assert credit == -sum(row.amount for row in rows if row.method == "wallet")
    left = sum(sum_unapplied().get(customer.pk, {}).values())
    assert sum(remaining(invoices)) == 300 - (money - credit - left) - settled
    assert owed(customer) == sum(remaining(invoices)) - left
    assert left >= 0
