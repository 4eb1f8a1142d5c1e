"""The PDF of an invoice has exactly the content of the invoice, and the same bytes each time."""

import io
import re
from datetime import timedelta
from zipfile import ZipFile

import pytest
from django.core import signing
from django.urls import reverse
from pypdf import PdfReader

from billing.documents import rendering
from billing.documents.archive import stream_zip
from billing.documents.content import make_printable
from billing.documents.credit_notes import render_credit_note
from billing.documents.invoices import build_invoice_document, render_invoice
from billing.lifecycle.finalize import finalize
from billing.lifecycle.one_off import Item, create_one_off
from billing.lifecycle.void import mark_paid, reissue, void
from billing.models import CompanyProfile, Invoice, InvoiceLine
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note, void_credit_note
from billing.settlement.payments import Receipt, record_payment
from billing.settlement.wallets import get_or_open_wallet, grant_credit
from customers.models import Customer
from tests.billing.adjusting import make_tax
from tests.billing.invoices import later, make_finalized
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
START, END = utc(2026, 9, 1), utc(2026, 10, 1)
HOSTILE = "#let x = 1; *b* _i_ `c` $m$ @ref <tag> \\n // [x] {y} = z \"q\" 'a' ~ -- ..."


@pytest.fixture
def company(db):
    return CompanyProfile.objects.create(
        name="Northlight GmbH",
        logo_text="NORTHLIGHT",
        address_line1="Hauptstraße 5",
        address_postal_code="10115",
        address_city="Berlin",
        address_country="DE",
        tax_id="VAT DE123456789",
        bank_details="Example Bank\nIBAN DE00 1234",
        payment_terms="Payable without deduction.",
        site_url="https://billing.example.com",
    )


@pytest.fixture
def make_invoiced(db):
    """Bill September to a customer: $30 a month, 350 calls of which 100 are free, and 150 tokens in two tiers."""
    calls = make_feature(name="API calls")
    tokens = make_feature(name="Tokens", event_name="tokens", field="n")
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform fee"}
    tiers = [(100, D("0.02"), D(5)), (None, D("0.015"))]
    plan = make_version(
        fee,
        {"feature": calls, "unit_amount": D("0.01")},
        {"feature": tokens, "model": "graduated", "tiers": tiers},
        free_units={calls: 100},
    )

    def make(**columns):
        customer = make_customer(**{"external_id": "acme", "name": "Acme Ltd"} | columns)
        make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
        use(customer, calls, utc(2026, 9, 5), 350)
        use(customer, tokens, utc(2026, 9, 5), 150, events=3)
        return next(invoice for invoice in bill(END) if invoice.kind == "cycle")

    return make


def reload(invoice):
    return Invoice.objects.get(pk=invoice.pk)


def pages(pdf):
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def text(invoice):
    return "\n".join(pages(render_invoice(reload(invoice))))


def make_one_off(*lines, currency="USD", **customer):
    """Make a draft of lines, each a pair of description and amount."""
    amount = sum((amount for _, amount in lines), D(0))
    sums = {"subtotal": amount, "total": amount, "amount_due": amount}
    invoice = Invoice.objects.create(
        customer=make_customer(**customer), kind="one_off", currency=currency, computed_at=END, **sums
    )
    for position, (description, line_amount) in enumerate(lines, start=1):
        InvoiceLine.objects.create(
            invoice=invoice, position=position, kind="item", description=description, amount=line_amount,
            exact_amount=line_amount,
        )  # fmt: skip
    return invoice


def test_an_invoice_shows_the_parties_the_charges_and_their_calculation(company, make_invoiced):
    content = text(finalize(make_invoiced(tax_id="GB 7", address_city="Leeds", address_country="GB"), now=END))
    for phrase in (
        "NORTHLIGHT", "Hauptstraße 5", "10115 Berlin", "Germany", "VAT DE123456789", "Invoice INV-000001",
        "Acme Ltd", "Tax ID GB 7", "Leeds", "United Kingdom", "Customer acme", "1–30 Sep 2026", "31 Oct 2026",
        "Recurring fees", "Platform fee, 1–31 Oct 2026", "$30.00", "API calls, 1–30 Sep 2026",
        "350 used, 100 free, 250 × $0.01", "free: 100 each billing period, 100 used on this line", "$2.50",
        "tier 1, over 0 up to 100: 100 × $0.02 + flat $5.00 = $7.00", "tier 2, over 100 without limit: 50 × $0.015",
        "counted from 350 events", "Amount due", "IBAN DE00 1234", "Payable without deduction.", "Page 1 of 1",
    ):  # fmt: skip
        assert phrase in content, phrase
    # 30 + 2.50 + (100 × 0.02 + 5) + 50 × 0.015 = 40.25
    assert content.count("$40.25") == 4
    assert "DRAFT" not in content


def test_the_amount_due_and_the_due_date_stand_at_the_top(company, make_invoiced):
    invoice = make_invoiced()
    assert "Amount due" not in text(invoice).partition("From")[0]  # a draft
    finalize(reload(invoice), now=END)
    top = text(invoice).partition("From")[0]
    assert "Amount due" in top
    assert "$40.25" in top
    assert "31 Oct 2026" in top


def test_the_file_is_for_archives_and_screen_readers(company, make_invoiced):
    document = PdfReader(io.BytesIO(render_invoice(reload(make_invoiced()))))
    metadata = document.xmp_metadata.stream.get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in metadata
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata


def test_a_character_without_a_glyph_is_printed_in_a_plain_file(company):
    document = PdfReader(io.BytesIO(render_invoice(make_one_off(("Emoji \N{ROCKET}", D(5))))))
    assert "$5.00" in document.pages[0].extract_text()
    assert document.xmp_metadata is None or "pdfaid" not in document.xmp_metadata.stream.get_data().decode()


def test_an_item_shows_its_quantity_and_unit_price(company):
    printed = text(make_one_off(("Onboarding", D("250.00"))))
    assert re.search(r"Onboarding\s+1\s+\$250.00\s+\$250.00", printed)


def test_no_checksum_is_printed(company, make_invoiced):
    assert "checksum" not in text(make_invoiced())


def test_later_edits_do_not_change_the_file_of_a_finalized_invoice(company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    first = render_invoice(reload(invoice))
    CompanyProfile.objects.update(name="Renamed Inc", bank_details="Another bank")
    Customer.objects.update(name="Somebody else", address_country="JP")
    assert render_invoice(reload(invoice)) == first
    assert PdfReader(io.BytesIO(first)).metadata.creation_date == END


def test_a_draft_shows_the_company_as_it_is_now(company, make_invoiced):
    invoice = make_invoiced()
    assert "Northlight GmbH" in text(invoice)
    CompanyProfile.objects.update(name="Renamed Inc")
    content = text(invoice)
    assert "Renamed Inc" in content
    assert "DRAFT" in content
    assert "Please don't pay it" in content


def test_without_a_company_profile_the_configured_name_is_printed(make_invoiced):
    assert "Example Company" in text(finalize(make_invoiced(), now=END))


def test_a_void_invoice_shows_the_reason_and_its_replacement(company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    void(invoice, reason="Wrong address", by=None, now=END + timedelta(days=1))
    content = text(invoice)
    assert "VOID" in content
    assert "Voided on 2 Oct 2026: Wrong address. Nothing is due." in content
    assert "Amount due" not in content
    assert "IBAN" not in content
    replacement = finalize(reissue(invoice, reason="Wrong address", by=None, now=END), now=END)
    assert "It is replaced by INV-000002." in text(invoice)
    assert "Replaces invoice INV-000001." in text(replacement)


def test_a_paid_invoice_shows_the_payment_and_that_nothing_is_due(company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    mark_paid(invoice, now=END)
    content = text(invoice)
    assert "PAID" in content
    assert "-$40.25" in content
    assert "$0.00" in content


def test_credit_credit_notes_and_payments_are_listed(company):
    customer = make_customer()
    grant_credit(
        get_or_open_wallet(customer, "USD", by=None),
        D(5),
        kind="purchased",
        reason="Prepaid",
        now=utc(2026, 8, 5),
        by=None,
    )
    invoice = make_finalized("100", customer=customer)
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(20)}, reason="billing_error", by=None)
    finalize_credit_note(note, now=later(), by=None)
    record_payment(invoice, Receipt(D("30.5"), later(2).date(), reference="wire 7"), now=later(2), by=None)
    content = text(invoice)
    assert "Purchased credit of 2026-08-05: $5.00" in content
    assert "CN-000001: $20.00" in content
    assert "3 Oct 2026, payment, wire 7: $30.50" in content
    assert "$44.50" in content  # 100 − 5 − 20 − 30.50


def test_a_tax_shows_its_taxable_amount(company):
    customer = make_customer()
    make_tax(D(19), of=customer, name="VAT")
    items = [Item("Setup", D(100)), Item("Support", D(50))]
    invoice = create_one_off(customer, items, currency="USD", now=END, by=None)
    content = text(finalize(invoice, now=END))
    assert "VAT 19% of $150.00" in content
    assert "$178.50" in content


def test_an_invoice_without_charges_is_printed(company):
    content = text(finalize(make_one_off(currency="JPY"), now=END))
    assert "There are no charges on this invoice." in content
    assert "¥0" in content


@pytest.mark.parametrize(
    ("currency", "amount", "formatted"),
    [("JPY", "1234", "¥1,234"), ("BHD", "1.5", "BHD\u00a01.500"), ("EUR", "-3.1", "-€3.10"), ("CAD", "2", "CA$2.00")],
)
def test_amounts_are_formatted_by_currency(company, currency, amount, formatted):
    content = text(make_one_off(("Support", D(amount)), currency=currency))
    assert formatted.replace("\u00a0", " ") in content.replace("\u00a0", " ")


def test_text_that_looks_like_markup_is_printed_unchanged(company):
    invoice = make_one_off((HOSTILE, D(1)), name=HOSTILE)
    invoice.memo = f'{HOSTILE}\n#eval("1")'
    invoice.save()
    content = text(invoice)
    assert "".join(content.split()).count("".join(HOSTILE.split())) == 3  # the name, the line, the memo
    assert '#eval("1")' in content


def test_sixty_lines_span_pages_that_repeat_the_table_head(company):
    texts = pages(render_invoice(make_one_off(*[(f"Item {n} · twelve of them", D(n)) for n in range(1, 61)])))
    assert len(texts) == 3
    for number, page in enumerate(texts, start=1):
        assert "Description" in page
        assert f"Page {number} of 3" in page
    content = "\n".join(texts)
    assert all(f"Item {n}\n" in content for n in range(1, 61))
    assert "$1,830.00" in texts[-1]  # 60 × 61 / 2


def test_a_long_document_is_the_same_from_a_process_of_its_own(company, monkeypatch):
    invoice = make_one_off(*[(f"Item {n}", D(n)) for n in range(1, 61)])
    short = render_invoice(invoice)
    monkeypatch.setattr(rendering, "MOST_ROWS_AT_ONCE", 59)
    assert render_invoice(invoice) == short


def test_names_in_other_scripts_are_printed_with_the_bundled_fonts(company):
    names = {
        "شركة الأمل": "NotoSansArabic",
        "חברה": "NotoSansHebrew",
        "株式会社さくら": "NotoSansSC",
        "한국전자": "NotoSansKR",
        "Шишкин, Ωμέγα": "NotoSans",
        "บริษัท": "NotoSansThai",
        "தமிழ்": "NotoSansTamil",
    }
    for name, font in names.items():
        reader = PdfReader(io.BytesIO(render_invoice(make_one_off(name=name))))
        used = {str(resource["/BaseFont"]) for resource in reader.pages[0]["/Resources"]["/Font"].get_object().values()}
        assert any(font in base_font for base_font in used), (name, used)
    assert "株式会社" in text(make_one_off(name="株式会社"))


def test_long_words_and_control_characters_are_printable(company):
    assert make_printable("a\x00b\u202ec\r\nd") == "abc\nd"
    content = text(make_one_off(("x" * 500, D(1)), name="y" * 255))
    assert content.count("x") >= 500


def test_the_document_links_to_the_invoices_page(company, make_invoiced):
    document = build_invoice_document(make_invoiced(), site_url="https://billing.example.com/")
    assert document["link"].startswith("https://billing.example.com/admin/billing/invoice/")
    assert document["paper"] == "a4"
    american = build_invoice_document(make_one_off(), sold_by={"name": "US Inc", "address_country": "US"})
    assert american["paper"] == "us-letter"


def test_the_admins_address_is_printed_only_if_the_company_profile_has_it(company, api, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)

    def read():
        headers = {"accept": "application/pdf"}
        response = api.client.get(f"/v1/invoices/{invoice.public_id}/pdf", headers=headers)
        return "".join(pages(response.content)).replace("\n", "")

    assert "https://billing.example.com/admin/billing/invoice/" in read()
    company.site_url = ""
    company.save()
    assert "/admin/" not in read()
    assert "testserver" not in read()


def test_an_archive_contains_many_invoices_and_is_the_same_each_time(company, django_assert_num_queries):
    ids = [finalize(make_one_off(("Item", D(n))), now=END).pk for n in range(1, 4)]
    with django_assert_num_queries(6):  # the company, the invoices, four kinds of related rows
        first = b"".join(stream_zip(ids))
    archive = ZipFile(io.BytesIO(first))
    assert archive.namelist() == ["INV-000001.pdf", "INV-000002.pdf", "INV-000003.pdf"]
    assert archive.read("INV-000003.pdf") == render_invoice(Invoice.objects.get(pk=ids[2]))
    assert b"".join(stream_zip(ids)) == first
    with pytest.raises(ValueError, match="At most 500"):
        stream_zip(list(range(501)))


def test_the_api_returns_the_file_or_a_link_that_needs_no_key(api, client, company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    response = api.client.get(f"/v1/invoices/{invoice.public_id}/pdf", headers={"accept": "application/pdf"})
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"] == 'attachment; filename="INV-000001.pdf"'
    link = api.get(f"invoices/{invoice.public_id}/pdf", url="true")["presigned_url"]
    fetched = client.get(link)
    assert fetched.content == response.content
    assert client.get(link[:-3]).status_code == 404
    api.get("invoices/inv_none/pdf", 404)
    api.get(f"invoices/{invoice.public_id}/pdf", 400, url="perhaps")
    assert client.get(f"/v1/invoices/{invoice.public_id}/pdf").status_code == 401


def test_a_link_expires_after_an_hour(client, company, make_invoiced, monkeypatch):
    invoice = make_invoiced()
    token = signing.dumps(invoice.public_id, salt="billing.documents.invoice")
    assert client.get(f"/v1/documents/{token}").status_code == 200
    monkeypatch.setattr("billing.api.documents.LINK_HOLDS_S", -1)
    assert client.get(f"/v1/documents/{token}").status_code == 404


def test_a_credit_note_is_downloaded_as_pdf(company, staff_client, client):
    customer = make_customer(name="Acme Ltd")
    make_tax(D(20), of=customer, name="VAT")
    draft = create_one_off(customer, [Item("Setup", D(100))], currency="USD", now=END, by=None)
    invoice = finalize(draft, now=END)
    record_payment(invoice, Receipt(D(110), later().date()), now=later(), by=None)
    lines = {invoice.lines.get(kind="item").pk: D(50)}
    note = draft_credit_note(invoice, lines, reason="service_issue", memo="For the outage.", by=None)
    finalize_credit_note(note, now=later(2), by=None)
    url = reverse("admin:billing_credit_note_pdf", args=[note.pk])
    first = staff_client.get(url)
    assert first.headers["content-disposition"] == 'attachment; filename="CN-000001.pdf"'
    assert staff_client.get(url).content == first.content
    content = "\n".join(pages(first.content))
    for phrase in (
        "Credit note CN-000001", "For invoice", "INV-000001", "3 Oct 2026", "Service issue", "For the outage.",
        "$50.00", "$10.00", "$60.00", "$10.00 deducted from the amount due", "$50.00 to be refunded", "Acme Ltd",
    ):  # fmt: skip
        assert phrase in content, phrase
    assert "VOID" not in content
    client.force_login(make_user())
    assert client.get(url).status_code == 403


def test_a_void_credit_note_shows_the_reason(company):
    invoice = make_finalized("100")
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(50)}, reason="billing_error", by=None)
    note = finalize_credit_note(note, now=later(), by=None)
    note = void_credit_note(note, reason="Wrong line", now=later(2), by=None)
    assert "Voided on 3 Oct 2026: Wrong line. Nothing is credited." in "\n".join(pages(render_credit_note(note)))
