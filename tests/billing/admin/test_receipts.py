"""Payments of several invoices in the admin."""

import pytest

from billing.models import CompanyProfile, Payment
from tests.admin_pages import as_viewer, submit, text_of, url
from tests.billing.invoices import make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
RECEIVED = {"received_on": "2026-10-02", "method": "bank_transfer", "surplus_to": "unapplied", "token": "t1"}


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def invoices(customer):
    return [make_finalized("100", customer=customer) for _ in range(2)]


def test_a_payment_is_distributed_over_the_unpaid_invoices(staff_client, staff_user, customer, invoices):
    CompanyProfile.objects.create(name="Larkspur", bank_charge_limit=D(5), bank_charge_account="6855")
    address = url("billing_receipt", customer.pk)
    page = text_of(staff_client.get(address))
    assert "INV-000001" in page
    assert "$200.00" in page
    first, second = (f"invoice-{invoice.pk}" for invoice in invoices)
    rows = {f"{first}-amount": "100", f"{second}-amount": "97.50", f"{second}-bank_charge": "2.50"}
    for _ in range(2):
        answer = staff_client.post(address, {**RECEIVED, **rows, "amount": "210", "reference": "wire 7"}, follow=True)
    page = text_of(answer)
    assert "Payment of $210.00 from Acme recorded." in page
    assert "Bank charge" in page
    payment = Payment.objects.get(kind="payment")
    assert (payment.amount, payment.recorded_by, payment.uses.count()) == (210, staff_user, 3)
    assert Payment.objects.with_unapplied().get(pk=payment.pk).unapplied == D("12.50")
    assert "No unpaid invoices in USD" in text_of(staff_client.get(address))
    listed = text_of(staff_client.get(url("billing_payment_changelist")))
    assert "wire 7" in listed
    assert "6855" in text_of(staff_client.get(url("billing_payment_change", Payment.objects.get(kind="adjusted").pk)))


def test_blank_rows_pay_the_oldest_invoices_first(staff_client, customer, invoices):
    staff_client.post(url("billing_receipt", customer.pk), {**RECEIVED, "amount": "150"})
    for invoice in invoices:
        invoice.refresh_from_db()
    assert [invoice.amount_remaining for invoice in invoices] == [0, 50]


def test_a_refused_payment_shows_why_and_keeps_what_was_entered(staff_client, customer, invoices):
    row = {f"invoice-{invoices[0].pk}-amount": "100.01"}
    answer = staff_client.post(url("billing_receipt", customer.pk), {**RECEIVED, **row, "amount": "150"})
    assert "$100.01 is more than the $100.00 due on INV-000001." in text_of(answer)
    assert 'value="100.01"' in answer.content.decode()
    wrong = staff_client.post(url("billing_receipt", customer.pk), {**RECEIVED, "amount": "1_0"})
    assert "Enter a number in the digits 0 to 9" in text_of(wrong)
    assert not Payment.objects.exists()


def test_invoices_of_other_currencies_are_a_choice(staff_client, customer, invoices):
    make_finalized("70", customer=customer, currency="EUR")
    page = staff_client.get(url("billing_receipt", customer.pk, currency="EUR"))
    assert "€70.00" in text_of(page)
    assert "INV-000001" not in text_of(page)


def test_a_small_difference_is_written_off_on_the_invoice(staff_client, invoices):
    CompanyProfile.objects.create(name="Larkspur", write_off_limit=D(1), write_off_account="6300")
    address = url("billing_invoice_settle_one", invoices[0].pk)
    assert "At most $1.00 can be written off, and $0.00 can be bank charges." in text_of(staff_client.get(address))
    answers = {"amount": "0.80", "method": "write_off", "received_on": "2026-10-02", "reason": "Rounded", "token": "t"}
    submit(staff_client, address, **answers)
    refused = submit(staff_client, address, **answers | {"token": "u"})
    assert "exceeds the limit of $1.00" in text_of(refused)
    row = Payment.objects.get()
    assert (row.kind, row.method, row.amount, row.account) == ("adjusted", "write_off", D("0.80"), "6300")
    assert "Adjustment: Rounded" in text_of(staff_client.get(invoices[0].get_absolute_url()))


def test_viewers_cannot_record_payments(customer, invoices):
    viewer = as_viewer("billing")
    assert viewer.get(url("billing_receipt", customer.pk)).status_code == 403
    assert viewer.post(url("billing_receipt", customer.pk), {**RECEIVED, "amount": "1"}).status_code == 403
