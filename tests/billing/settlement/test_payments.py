"""Payments are recorded once, in full or in part, reversed and refunded."""

import pytest
from auditlog.models import LogEntry
from django.db import Error, IntegrityError, connection, transaction

from billing.lifecycle.void import mark_paid, void
from billing.models import Invoice, Payment, Wallet
from billing.refusals import CannotPay, MoneyAttached
from billing.settlement.payments import Receipt, record_payment, reverse_payment
from billing.settlement.refunds import calculate_refund_due, record_refund
from config.refusals import ReasonRequired
from tests.billing.invoices import at_once, later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_user
from tests.owner import as_owner

pytestmark = pytest.mark.django_db
NOW = later()
IN_ANOTHER_CURRENCY = """
    INSERT INTO billing_payment (public_id, invoice_id, kind, amount, currency, received_on, method, reference,
        attempt, note, reason, recorded_at)
    SELECT 'x', id, 'payment', 1, 'EUR', now(), 'cash', '', 1, '', '', now() FROM billing_invoice
"""


def pay(invoice, amount, reference="", *, now=NOW, by=None, **options):
    return record_payment(invoice, Receipt(D(amount), now.date(), reference=reference, **options), now=now, by=by)


def reload(invoice):
    invoice.refresh_from_db()
    return invoice


def test_partial_payments_add_up_until_the_invoice_is_paid():
    invoice = make_finalized("100")
    pay(invoice, "40")
    assert (reload(invoice).state, invoice.amount_paid, invoice.amount_remaining) == ("finalized", D(40), D(60))
    pay(invoice, "59.99")
    assert (reload(invoice).state, invoice.amount_remaining, invoice.paid_at) == ("finalized", D("0.01"), None)
    pay(invoice, "0.01", now=later(2))
    assert (reload(invoice).state, invoice.amount_remaining, invoice.paid_at) == ("paid", D(0), later(2))


def test_a_payment_names_its_recorder_and_is_in_the_history_of_its_invoice():
    invoice, by = make_finalized("100"), make_user()
    payment = pay(invoice, "40", "wire 7", by=by)
    assert (payment.recorded_by, payment.currency, payment.received_on) == (by, "USD", NOW.date())
    entry = LogEntry.objects.get_for_object(invoice).first()
    assert (entry.actor, entry.changes["amount_paid"][1]) == (by, "40.0000")


@pytest.mark.parametrize(("amount", "currency"), [("0", "USD"), ("-1", "USD"), ("1.005", "USD"), ("0.5", "JPY")])
def test_a_payment_is_positive_with_the_decimals_of_its_currency(amount, currency):
    with pytest.raises(CannotPay, match="Enter a positive amount"):
        pay(make_finalized("100", currency=currency), amount)


def test_draft_and_void_invoices_cannot_be_paid():
    void_invoice = make_finalized("100")
    void(void_invoice, reason="Wrong", by=None, now=NOW)
    for invoice in (make_draft("100"), void_invoice):
        with pytest.raises(CannotPay, match="Only finalized invoices can be paid"):
            pay(invoice, "1")


def test_a_payment_reference_is_recorded_once_per_invoice():
    invoice = make_finalized("100")
    assert pay(invoice, "40", "wire 7") == pay(invoice, "40", " wire 7 ")
    with pytest.raises(CannotPay, match=r"wire 7 is already recorded with \$40\.00"):
        pay(invoice, "50", "wire 7")
    other = make_finalized("100")
    pay(other, "40", "wire 7")
    assert (reload(invoice).amount_paid, reload(other).amount_paid) == (D(40), D(40))


def test_an_idempotency_key_is_used_once_and_for_one_invoice():
    invoice = make_finalized("100")
    assert pay(invoice, "40", idempotency_key="k1") == pay(invoice, "40", idempotency_key="k1")
    with pytest.raises(CannotPay, match="used for a payment of INV-000001"):
        pay(make_finalized("100"), "40", idempotency_key="k1")


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_requests_with_the_same_reference_make_one_payment():
    invoice = make_finalized("100")
    first, second = at_once(*[lambda: pay(invoice, "40", "wire 7")] * 2)
    assert first == second
    assert (Payment.objects.count(), reload(invoice).amount_paid) == (1, D(40))


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_payments_pay_no_more_than_the_amount_due():
    invoice = make_finalized("100")
    payments = at_once(lambda: pay(invoice, "60", "wire 7"), lambda: pay(invoice, "60", "wire 8"))
    assert sorted(payment.surplus for payment in payments) == [0, D(20)]
    assert (reload(invoice).amount_paid, Wallet.objects.get().balance) == (D(100), D(20))


def test_a_reversal_makes_the_amount_due_again_and_keeps_the_payment():
    invoice = make_finalized("100")
    payment = pay(invoice, "100", "wire 7")
    with pytest.raises(ReasonRequired):
        reverse_payment(payment, reason=" ", now=later(3), by=None)
    reversal = reverse_payment(payment, reason="Bounced", now=later(3), by=None)
    assert (reversal.amount, reversal.reverses, reversal.reason, reversal.reference) == (
        D(-100),
        payment,
        "Bounced",
        "wire 7",
    )
    assert (reload(invoice).state, invoice.amount_paid, invoice.paid_at) == ("finalized", D(0), None)
    assert reverse_payment(payment, reason="Again", now=later(4), by=None) == reversal
    assert Payment.objects.count() == 2
    with pytest.raises(CannotPay, match="A reversal can't be reversed"):
        reverse_payment(reversal, reason="No", now=later(4), by=None)


def test_a_reference_can_be_recorded_again_after_its_payment_was_reversed():
    invoice = make_finalized("100")
    reverse_payment(pay(invoice, "10", "wire 7"), reason="Wrong amount", now=NOW, by=None)
    again = pay(invoice, "100", "wire 7")
    assert (again.attempt, reload(invoice).state) == (2, "paid")


def test_an_invoice_with_a_payment_can_be_voided_only_after_the_reversal():
    invoice = make_finalized("100")
    payment = pay(invoice, "1")
    with pytest.raises(MoneyAttached, match="has a payment"):
        void(invoice, reason="Wrong", by=None, now=NOW)
    reverse_payment(payment, reason="Sent back", now=NOW, by=None)
    assert void(invoice, reason="Wrong", by=None, now=NOW).state == "void"


def test_marking_an_invoice_as_paid_records_a_payment_of_the_amount_due():
    invoice = make_finalized("100")
    pay(invoice, "40")
    mark_paid(invoice, now=NOW)
    mark_paid(invoice, now=NOW)
    assert [payment.amount for payment in invoice.payments.order_by("pk")] == [D(40), D(60)]
    assert reload(invoice).state == "paid"


def test_an_older_negative_invoice_is_settled_by_a_refund():
    invoice = make_draft("-30")
    # Negative invoices become prepaid credit when they are finalized; those of earlier releases stayed open.
    Invoice.objects.filter(pk=invoice.pk).update(state="finalized", number="INV-0", finalized_at=NOW)
    assert calculate_refund_due(reload(invoice)) == D(30)
    with pytest.raises(CannotPay, match=r"\$30\.01 is more than the refund of \$30\.00 due on INV-0"):
        record_refund(invoice, Receipt(D("30.01"), NOW.date()), reason="Final credit", now=NOW, by=None)
    row = record_refund(invoice, Receipt(D(30), NOW.date()), reason="Final credit", now=NOW, by=None)
    assert (row.amount, reload(invoice).state, invoice.amount_remaining) == (D(-30), "paid", 0)


def test_a_paid_invoice_without_credit_note_cannot_be_refunded():
    invoice = make_finalized("100")
    pay(invoice, "100")
    with pytest.raises(CannotPay, match=r"\$1\.00 is more than the refund of \$0\.00 due on INV-000001"):
        record_refund(invoice, Receipt(D(1), NOW.date()), reason="Goodwill", now=NOW, by=None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_payment SET amount = 50",
        "UPDATE billing_payment SET note = 'x'",
        "DELETE FROM billing_payment",
        "UPDATE billing_invoice SET amount_paid = 99, state = 'finalized', paid_at = NULL",
        "UPDATE billing_invoice SET state = 'finalized'",
        "UPDATE billing_invoice SET total = 99, subtotal = 99, amount_due = 99",
        IN_ANOTHER_CURRENCY,
    ],
)
def test_postgresql_refuses_to_change_payments_or_their_sum(statement):
    pay(make_finalized("100"), "100")
    with as_owner(), pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_postgresql_refuses_a_payment_that_is_not_in_its_invoices_totals():
    invoice = make_finalized("100")
    row = Payment(invoice=invoice, amount=D(1), currency="USD", received_on=NOW.date(), recorded_at=NOW)
    with pytest.raises(IntegrityError, match="don't add up"), transaction.atomic():
        row.save()


def test_earlier_payments_do_not_change_the_query_count(django_assert_max_num_queries):
    invoice = make_finalized("100")
    pay(invoice, "1", "wire 0")
    for number in range(1, 6):
        # One reads the webhooks for payments, one those for invoices, two the key of the customer's personal data, and
        # one whether receipts are emailed.
        with django_assert_max_num_queries(16):
            pay(invoice, "1", f"wire {number}")
