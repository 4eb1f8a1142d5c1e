"""The days of an invoice are counted in its time zone, on its document and everywhere else.

An invoice of a customer in Berlin is issued at 00:30 there on 1 November 2026, which is 23:30 UTC on 31 October.
"""

import csv
import io
from datetime import date

import pytest

from billing.documents.credit_notes import build_credit_note_document
from billing.documents.invoices import build_invoice_document
from billing.explanation.text import format_invoice
from billing.invoicing.search import search_invoices
from billing.lifecycle.finalize import finalize
from billing.models import Invoice
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from tests.admin_pages import text_of, url
from tests.billing.invoices import make_draft
from tests.billing.world import D, utc
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
HALF_PAST_MIDNIGHT = utc(2026, 10, 31, 23, 30)


@pytest.fixture
def invoice():
    berlin = make_customer(name="Acme", timezone="Europe/Berlin")
    return finalize(make_draft("100", customer=berlin), now=HALF_PAST_MIDNIGHT)


def test_the_issue_and_due_dates_are_the_same_on_the_document_the_page_and_in_lists(staff_client, invoice):
    facts = dict(build_invoice_document(invoice)["facts"])
    assert (facts["Issued"], facts["Due"]) == ("1 Nov 2026", "1 Dec 2026")
    page = text_of(staff_client.get(url("billing_invoice_change", invoice.pk)))
    assert "Issue date 2026-11-01 Due date 2026-12-01" in page
    assert "2026-12-01" in text_of(staff_client.get(url("billing_invoice_changelist")))
    tab = url("customers_customer_change", invoice.customer_id, tab="invoices")
    assert "2026-12-01" in text_of(staff_client.get(tab))
    assert "Issued 2026-11-01, due 2026-12-01" in format_invoice(invoice, now=HALF_PAST_MIDNIGHT)


def test_a_subscriptions_time_zone_decides_before_its_customers(invoice):
    assert (invoice.timezone, invoice.issued_on) == ("Europe/Berlin", date(2026, 11, 1))
    invoice.customer.timezone = "America/Los_Angeles"
    assert (invoice.issued_on, invoice.due_on, invoice.paid_on) == (date(2026, 10, 31), date(2026, 11, 30), None)


def test_invoices_are_found_by_the_days_on_their_documents(invoice):
    for text, count in {"2026-11-01": 1, "1 Dec 2026": 1, "2026-10-31": 0, "2026-11-30": 0}.items():
        assert search_invoices(Invoice.objects.all(), text).count() == count, text


def test_an_export_has_the_days_beside_the_times(staff_client, invoice):
    file = staff_client.get(url("billing_invoice_changelist", _export="csv"))
    [row] = csv.DictReader(io.StringIO(file.getvalue().decode("utf-8-sig")))
    assert (row["issue_date"], row["due_date"]) == ("2026-11-01", "2026-12-01")
    assert row["issued_at"].startswith("2026-10-31 23:30")


def test_a_credit_note_is_dated_like_its_invoice(staff_client, invoice):
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(40)}, reason="duplicate", by=None)
    finalize_credit_note(note, now=HALF_PAST_MIDNIGHT, by=None)
    note.refresh_from_db()
    facts = dict(build_credit_note_document(note)["facts"])
    assert (facts["Invoice issued"], facts["Issued"]) == ("1 Nov 2026", "1 Nov 2026")
    assert "2026-11-01" in text_of(staff_client.get(url("billing_creditnote_changelist")))
