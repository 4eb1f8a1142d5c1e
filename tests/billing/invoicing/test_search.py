"""Invoices are found by what staff remember: number, customer, amount, days; and the words for their status."""

from datetime import timedelta

import pytest

from billing.invoicing.search import parse_amount, parse_day, search_invoices
from billing.models import Invoice, InvoiceStatus, has_status, status_of
from billing.settlement.payments import Receipt, record_payment
from tests.billing.invoices import ISSUED, later, make_draft, make_finalized
from tests.billing.world import D, utc
from tests.factories import make_customer

NOW = later(40)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("360.27", "360.27"),
        ("€360.27", "360.27"),
        ("360,27", "360.27"),
        ("$1,234.50", "1234.50"),
        ("1,234", "1234"),
        ("700", "700"),
        ("INV-000007", None),
        ("1.2.3", None),
    ],
)
def test_amounts_are_read_as_staff_write_them(text, amount):
    assert parse_amount(text) == (None if amount is None else D(amount))


@pytest.mark.parametrize("text", ["2026-10-31", "31 Oct 2026", "31 October 2026", "31.10.2026"])
def test_days_are_read_as_staff_write_them(text):
    assert parse_day(text) == utc(2026, 10, 31).date()


@pytest.mark.django_db
def test_an_invoice_is_found_by_number_ending_amount_customer_and_days():
    invoice = make_finalized("360.27", customer=make_customer(name="Ada Labs"), due_at=utc(2026, 11, 15, 9))
    make_finalized("12", customer=make_customer(name="Bob"), due_at=utc(2026, 12, 24))
    for text in ("INV-000001", "0001", "360.27", "€360.27", "ada 360,27", "2026-11-15", "15 Nov 2026", "Ada USD"):
        assert list(search_invoices(Invoice.objects.all(), text)) == [invoice], text
    assert search_invoices(Invoice.objects.all(), "2026-10-01").count() == 2  # the issue date of both
    assert not search_invoices(Invoice.objects.all(), "Bob 360.27")


@pytest.mark.django_db
def test_each_invoice_has_one_status_and_the_filter_agrees():
    due, past = NOW + timedelta(days=1), NOW - timedelta(days=1)
    invoices = {name: make_finalized("100", due_at=at) for name, at in {"open": due, "part": due, "late": past}.items()}
    invoices |= {"late_part": make_finalized("100", due_at=past), "paid": make_finalized("100", due_at=past)}
    invoices |= {"draft": make_draft("100"), "refund": make_finalized("-5", due_at=past)}
    for name, amount in {"part": "40", "late_part": "40", "paid": "100"}.items():
        record_payment(invoices[name], Receipt(D(amount), ISSUED.date()), now=NOW, by=None)
    found = {name: status_of(Invoice.objects.get(pk=invoice.pk), NOW) for name, invoice in invoices.items()}
    assert found["open"] == InvoiceStatus.OPEN
    assert found["part"] == InvoiceStatus.PARTLY_PAID
    assert (found["late"], found["late_part"]) == (InvoiceStatus.OVERDUE, InvoiceStatus.OVERDUE)
    assert (found["paid"], found["draft"]) == (InvoiceStatus.PAID, InvoiceStatus.DRAFT)
    for status in InvoiceStatus:
        listed = set(Invoice.objects.filter(has_status(status, NOW)).values_list("pk", flat=True))
        assert listed == {invoices[name].pk for name, value in found.items() if value == status}, status
