"""The demo company's electronic invoices follow the official rules."""

import pytest
from django.utils import timezone

from billing.lifecycle.finalize import finalize
from billing.models import CreditNote, EInvoice, Invoice
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, list_creditable_lines
from customers.kinds import EInvoiceFormat
from tests.demo_company import make_demo_company
from tests.factories import make_user
from tests.schematron import list_violations

pytestmark = pytest.mark.django_db


def test_every_electronic_invoice_of_the_demo_company_follows_the_official_rules():
    make_demo_company(by=make_user(is_superuser=True))
    for draft in Invoice.objects.drafts():
        finalize(draft, now=timezone.now())
    for einvoice in EInvoice.objects.filter(credit_note=None).select_related("invoice"):
        lines = [line for line in list_creditable_lines(einvoice.invoice) if line.remaining > 0]
        amounts = {line.line.pk: line.remaining for line in lines}
        if not amounts:
            continue
        note = draft_credit_note(einvoice.invoice, amounts, reason="billing_error", by=None)
        finalize_credit_note(note, now=einvoice.invoice.finalized_at, by=None)
    formats = {einvoice.format for einvoice in EInvoice.objects.all()}
    assert formats == set(EInvoiceFormat)
    assert EInvoice.objects.filter(invoice=None).exists()
    for einvoice in EInvoice.objects.all():
        assert list_violations(einvoice.xml.encode(), EInvoiceFormat(einvoice.format)) == [], einvoice
    assert CreditNote.objects.exists()
    assert Invoice.objects.filter(einvoice=None).exists()
