"""Payments: in part, once, taken back, given back, and never more than is left."""

import pytest
from auditlog.models import LogEntry
from django.db import Error, IntegrityError, connection, transaction

from billing.lifecycle.finalize import MoneyAttached
from billing.lifecycle.void import mark_paid, void
from billing.models import Invoice, Payment
from billing.refusals import CannotPay, ReasonMissing
from billing.settlement.payments import Receipt, calculate_refund_due, record_payment, record_refund, reverse_payment
from tests.billing.invoices import at_once, later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_user

pytestmark = pytest.mark.django_db
NOW = later()
IN_ANOTHER_CURRENCY = """
    INSERT INTO billing_payment (public_id, invoice_id, kind, amount, currency, received_on, method, reference,
        attempt, note, reason, recorded_at)
    SELECT 'x', id, 'payment', 1, 'EUR', now(), 'cash', '', 1, '', '', now() FROM billing_invoice
"""


def pay(invoice, amount, reference="", *, now=NOW, by=None, **given):
    return record_payment(invoice, Receipt(D(amount), now.date(), reference=reference, **given), now=now, by=by)


def fresh(invoice):
    invoice.refresh_from_db()
    return invoice


def test_partial_payments_add_up_to_paid():
    invoice = make_finalized("100")
    pay(invoice, "40")
    assert (fresh(invoice).state, invoice.amount_paid, invoice.amount_remaining) == ("finalized", D(40), D(60))
    pay(invoice, "59.99")
    assert (fresh(invoice).state, invoice.amount_remaining, invoice.paid_at) == ("finalized", D("0.01"), None)
    pay(invoice, "0.01", now=later(2))
    assert (fresh(invoice).state, invoice.amount_remaining, invoice.paid_at) == ("paid", D(0), later(2))


def test_a_payment_says_who_recorded_it_and_is_in_the_history_of_its_invoice():
    invoice, by = make_finalized("100"), make_user()
    payment = pay(invoice, "40", "wire 7", by=by)
    assert (payment.recorded_by, payment.currency, payment.received_on) == (by, "USD", NOW.date())
    entry = LogEntry.objects.get_for_object(invoice).first()
    assert (entry.actor, entry.changes["amount_paid"][1]) == (by, "40.0000")


def test_more_than_is_due_is_refused_with_the_amount_due():
    invoice = make_finalized("100")
    pay(invoice, "40")
    with pytest.raises(CannotPay, match=r"\$60\.01 is more than the \$60\.00 that is left to pay on INV-000001"):
        pay(invoice, "60.01")
    assert fresh(invoice).amount_paid == D(40)


@pytest.mark.parametrize(("amount", "currency"), [("0", "USD"), ("-1", "USD"), ("1.005", "USD"), ("0.5", "JPY")])
def test_a_payment_is_above_zero_and_in_whole_units_of_its_currency(amount, currency):
    with pytest.raises(CannotPay, match="above zero"):
        pay(make_finalized("100", currency=currency), amount)


def test_a_draft_and_a_void_invoice_take_no_payment():
    gone = make_finalized("100")
    void(gone, reason="Wrong", by=None, now=NOW)
    for invoice in (make_draft("100"), gone):
        with pytest.raises(CannotPay, match="only a finalized invoice is paid"):
            pay(invoice, "1")


def test_one_reference_is_recorded_once():
    invoice = make_finalized("100")
    assert pay(invoice, "40", "wire 7") == pay(invoice, "40", " wire 7 ")
    with pytest.raises(CannotPay, match=r"wire 7 is recorded already, as \$40\.00"):
        pay(invoice, "50", "wire 7")
    other = make_finalized("100")
    pay(other, "40", "wire 7")
    assert (fresh(invoice).amount_paid, fresh(other).amount_paid) == (D(40), D(40))


def test_one_key_is_recorded_once_and_for_one_invoice():
    invoice = make_finalized("100")
    assert pay(invoice, "40", idempotency_key="k1") == pay(invoice, "40", idempotency_key="k1")
    with pytest.raises(CannotPay, match="used for a payment of INV-000001"):
        pay(make_finalized("100"), "40", idempotency_key="k1")


@pytest.mark.django_db(transaction=True)
def test_two_clerks_who_record_the_same_reference_make_one_payment():
    invoice = make_finalized("100")
    first, second = at_once(*[lambda: pay(invoice, "40", "wire 7")] * 2)
    assert first == second
    assert (Payment.objects.count(), fresh(invoice).amount_paid) == (1, D(40))


@pytest.mark.django_db(transaction=True)
def test_two_clerks_together_cant_take_more_than_is_due():
    invoice = make_finalized("100")
    done = at_once(lambda: pay(invoice, "60", "wire 7"), lambda: pay(invoice, "60", "wire 8"))
    assert sorted(type(each).__name__ for each in done) == ["CannotPay", "Payment"]
    assert fresh(invoice).amount_paid == D(60)


def test_a_reversal_opens_the_invoice_again_and_keeps_the_payment():
    invoice = make_finalized("100")
    payment = pay(invoice, "100", "wire 7")
    with pytest.raises(ReasonMissing):
        reverse_payment(payment, reason=" ", now=later(3), by=None)
    back = reverse_payment(payment, reason="Bounced", now=later(3), by=None)
    assert (back.amount, back.reverses, back.reason, back.reference) == (D(-100), payment, "Bounced", "wire 7")
    assert (fresh(invoice).state, invoice.amount_paid, invoice.paid_at) == ("finalized", D(0), None)
    assert reverse_payment(payment, reason="Again", now=later(4), by=None) == back
    assert Payment.objects.count() == 2
    with pytest.raises(CannotPay, match="A reversal isn't reversed"):
        reverse_payment(back, reason="No", now=later(4), by=None)


def test_a_reference_can_be_recorded_anew_after_its_payment_was_reversed():
    invoice = make_finalized("100")
    reverse_payment(pay(invoice, "10", "wire 7"), reason="Wrong amount", now=NOW, by=None)
    again = pay(invoice, "100", "wire 7")
    assert (again.attempt, fresh(invoice).state) == (2, "paid")


def test_an_invoice_with_money_attached_is_void_only_after_the_reversal():
    invoice = make_finalized("100")
    payment = pay(invoice, "1")
    with pytest.raises(MoneyAttached, match="has a payment"):
        void(invoice, reason="Wrong", by=None, now=NOW)
    reverse_payment(payment, reason="Sent back", now=NOW, by=None)
    assert void(invoice, reason="Wrong", by=None, now=NOW).state == "void"


def test_marking_as_paid_records_a_payment_of_the_rest():
    invoice = make_finalized("100")
    pay(invoice, "40")
    mark_paid(invoice, now=NOW)
    mark_paid(invoice, now=NOW)
    assert [payment.amount for payment in invoice.payments.order_by("pk")] == [D(40), D(60)]
    assert fresh(invoice).state == "paid"


def test_an_invoice_below_zero_of_before_there_was_credit_is_settled_by_giving_it_back():
    invoice = make_draft("-30")
    # Finalized today it becomes prepaid credit at once; older ones stayed open.
    Invoice.objects.filter(pk=invoice.pk).update(state="finalized", number="INV-0", finalized_at=NOW)
    assert calculate_refund_due(fresh(invoice)) == D(30)
    with pytest.raises(CannotPay, match=r"\$30\.00 of INV-0 is owed to the customer"):
        pay(invoice, "30")
    with pytest.raises(CannotPay, match=r"\$30\.01 is more than the \$30\.00 that is owed"):
        record_refund(invoice, Receipt(D("30.01"), NOW.date()), reason="Final credit", now=NOW, by=None)
    row = record_refund(invoice, Receipt(D(30), NOW.date()), reason="Final credit", now=NOW, by=None)
    assert (row.amount, fresh(invoice).state, invoice.amount_remaining) == (D(-30), "paid", 0)


def test_nothing_is_given_back_of_an_invoice_that_is_just_paid():
    invoice = make_finalized("100")
    pay(invoice, "100")
    with pytest.raises(CannotPay, match=r"\$1\.00 is more than the \$0\.00 that is owed to the customer"):
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
def test_postgresql_refuses_to_change_payments_or_what_they_add_up_to(statement):
    pay(make_finalized("100"), "100")
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_postgresql_refuses_a_payment_that_its_invoice_doesnt_count():
    invoice = make_finalized("100")
    row = Payment(invoice=invoice, amount=D(1), currency="USD", received_on=NOW.date(), recorded_at=NOW)
    with pytest.raises(IntegrityError, match="don't add up"), transaction.atomic():
        row.save()


def test_recording_a_payment_costs_the_same_queries_whatever_came_before(django_assert_max_num_queries):
    invoice = make_finalized("100")
    pay(invoice, "1", "wire 0")
    for number in range(1, 6):
        with django_assert_max_num_queries(13):  # one of them asks who is told of payments, one who of invoices
            pay(invoice, "1", f"wire {number}")
