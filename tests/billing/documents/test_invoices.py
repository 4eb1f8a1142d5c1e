"""The PDF of an invoice says what the invoice says, to the letter, and the same each time."""

import io
from datetime import timedelta
from zipfile import ZipFile

import pytest
from django.core import signing
from django.urls import reverse
from pypdf import PdfReader

from billing.documents.archive import zipped
from billing.documents.content import printable
from billing.documents.credit_notes import credit_note_pdf
from billing.documents.invoices import invoice_document, invoice_pdf
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

    def make(**given):
        customer = make_customer(**{"external_id": "acme", "name": "Acme Ltd"} | given)
        make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
        use(customer, calls, utc(2026, 9, 5), 350)
        use(customer, tokens, utc(2026, 9, 5), 150, events=3)
        return next(invoice for invoice in bill(END) if invoice.kind == "cycle")

    return make


def fresh(invoice):
    return Invoice.objects.get(pk=invoice.pk)


def pages(pdf):
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def text(invoice):
    return "\n".join(pages(invoice_pdf(fresh(invoice))))


def make_one_off(*lines, currency="USD", **customer):
    """Make a draft of given lines, each (description, amount)."""
    amount = sum((amount for _, amount in lines), D(0))
    sums = {"subtotal": amount, "total": amount, "amount_due": amount}
    invoice = Invoice.objects.create(
        customer=make_customer(**customer), kind="one_off", currency=currency, computed_at=END, **sums
    )
    for position, (description, charged) in enumerate(lines, start=1):
        InvoiceLine.objects.create(
            invoice=invoice, position=position, kind="item", description=description, amount=charged,
            exact_amount=charged,
        )  # fmt: skip
    return invoice


def test_it_says_who_what_when_how_and_how_much(company, make_invoiced):
    said = text(finalize(make_invoiced(tax_id="GB 7", address_city="Leeds", address_country="GB"), now=END))
    for words in (
        "NORTHLIGHT", "Hauptstraße 5", "10115 Berlin", "Germany", "VAT DE123456789", "Invoice INV-000001",
        "Acme Ltd", "Tax id GB 7", "Leeds", "United Kingdom", "Customer acme", "1–30 Sep 2026", "31 Oct 2026",
        "Recurring fees", "Platform fee, 1–31 Oct 2026", "$30.00", "API calls, 1–30 Sep 2026",
        "350 used, 100 free, 250 × $0.01", "free: 100 each billing period, 100 used on this line", "$2.50",
        "tier 1, over 0 up to 100: 100 × $0.02 + flat $5.00 = $7.00", "tier 2, over 100 without limit: 50 × $0.015",
        "counted from 350 events", "Amount due", "IBAN DE00 1234", "Payable without deduction.", "Page 1 of 1",
    ):  # fmt: skip
        assert words in said, words
    # 30 + 2.50 + (100 × 0.02 + 5) + 50 × 0.015 = 40.25
    assert said.count("$40.25") == 3
    assert "DRAFT" not in said


def test_a_finalized_invoice_is_the_same_file_each_time_whatever_is_edited(company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    first = invoice_pdf(fresh(invoice))
    CompanyProfile.objects.update(name="Renamed Inc", bank_details="Another bank")
    Customer.objects.update(name="Somebody else", address_country="JP")
    assert invoice_pdf(fresh(invoice)) == first
    assert PdfReader(io.BytesIO(first)).metadata.creation_date == END


def test_a_draft_shows_the_company_as_it_is_now(company, make_invoiced):
    invoice = make_invoiced()
    assert "Northlight GmbH" in text(invoice)
    CompanyProfile.objects.update(name="Renamed Inc")
    said = text(invoice)
    assert "Renamed Inc" in said
    assert "DRAFT" in said
    assert "isn't to be paid" in said


def test_without_a_profile_the_configured_name_is_printed(make_invoiced):
    assert "Example Company" in text(finalize(make_invoiced(), now=END))


def test_a_void_invoice_says_why_and_what_replaces_it(company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    void(invoice, reason="Wrong address", by=None, now=END + timedelta(days=1))
    said = text(invoice)
    assert "VOID" in said
    assert "Void since 2 Oct 2026: Wrong address. Nothing is to be paid." in said
    assert "Amount due" not in said
    assert "IBAN" not in said
    replacement = finalize(reissue(invoice, reason="Wrong address", by=None, now=END), now=END)
    assert "It is replaced by INV-000002." in text(invoice)
    assert "Replaces invoice INV-000001." in text(replacement)


def test_a_paid_invoice_shows_the_payment_and_that_nothing_is_due(company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    mark_paid(invoice, now=END)
    said = text(invoice)
    assert "PAID" in said
    assert "-$40.25" in said
    assert "$0.00" in said


def test_what_settled_it_is_listed(company):
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
    said = text(invoice)
    assert "Purchased credit of 2026-08-05: $5.00" in said
    assert "CN-000001: $20.00" in said
    assert "3 Oct 2026, payment, wire 7: $30.50" in said
    assert "$44.50" in said  # 100 − 5 − 20 − 30.50


def test_discounts_and_taxes_say_what_they_are_of(company):
    customer = make_customer()
    make_tax(D(19), of=customer, name="VAT")
    items = [Item("Setup", D(100)), Item("Support", D(50))]
    invoice = create_one_off(customer, items, currency="USD", now=END, by=None)
    said = text(finalize(invoice, now=END))
    assert "VAT 19% of $150.00" in said
    assert "$178.50" in said


def test_an_invoice_of_nothing_is_printed(company):
    said = text(finalize(make_one_off(currency="JPY"), now=END))
    assert "Nothing was left to charge." in said
    assert "¥0" in said


@pytest.mark.parametrize(
    ("currency", "amount", "written"),
    [("JPY", "1234", "¥1,234"), ("BHD", "1.5", "BHD\u00a01.500"), ("EUR", "-3.1", "-€3.10"), ("CAD", "2", "CA$2.00")],
)
def test_every_currency_is_written_its_own_way(company, currency, amount, written):
    said = text(make_one_off(("Support", D(amount)), currency=currency))
    assert written.replace("\u00a0", " ") in said.replace("\u00a0", " ")


def test_text_that_looks_like_markup_is_printed_as_it_is(company):
    invoice = make_one_off((HOSTILE, D(1)), name=HOSTILE)
    invoice.memo = f'{HOSTILE}\n#eval("1")'
    invoice.save()
    said = text(invoice)
    assert "".join(said.split()).count("".join(HOSTILE.split())) == 3  # the name, the line, the memo
    assert '#eval("1")' in said


def test_sixty_lines_go_over_pages_that_each_repeat_the_head(company):
    found = pages(invoice_pdf(make_one_off(*[(f"Item {n} · twelve of them", D(n)) for n in range(1, 61)])))
    assert len(found) == 3
    for number, page in enumerate(found, start=1):
        assert "Description" in page
        assert f"Page {number} of 3" in page
    said = "\n".join(found)
    assert all(f"Item {n}\n" in said for n in range(1, 61))
    assert "$1,830.00" in found[-1]  # 60 × 61 / 2


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
        reader = PdfReader(io.BytesIO(invoice_pdf(make_one_off(name=name))))
        used = {str(one["/BaseFont"]) for one in reader.pages[0]["/Resources"]["/Font"].get_object().values()}
        assert any(font in each for each in used), (name, used)
    assert "株式会社" in text(make_one_off(name="株式会社"))


def test_long_words_and_control_characters_do_no_harm(company):
    assert printable("a\x00b\u202ec\r\nd") == "abc\nd"
    said = text(make_one_off(("x" * 500, D(1)), name="y" * 255))
    assert said.count("x") >= 500


def test_the_invoices_page_is_linked(company, make_invoiced):
    made = invoice_document(make_invoiced(), site_url="https://billing.example.com/")
    assert made["link"].startswith("https://billing.example.com/admin/billing/invoice/")
    assert made["paper"] == "a4"
    assert invoice_document(make_one_off(), sold_by={"name": "US Inc", "address_country": "US"})["paper"] == "us-letter"


def test_customers_read_no_address_of_ours_unless_the_company_gives_one(company, api, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)

    def read():
        headers = {"accept": "application/pdf"}
        answer = api.client.get(f"/v1/invoices/{invoice.public_id}/pdf", headers=headers)
        found = [page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages]
        return "".join(found).replace("\n", "")

    assert "https://billing.example.com/admin/billing/invoice/" in read()
    company.site_url = ""
    company.save()
    assert "/admin/" not in read()
    assert "testserver" not in read()


def test_many_go_into_one_archive_that_is_the_same_each_time(company, django_assert_num_queries):
    ids = [finalize(make_one_off(("Item", D(n))), now=END).pk for n in range(1, 4)]
    with django_assert_num_queries(6):  # the company, the invoices, four of their parts: however many
        first = b"".join(zipped(ids))
    archive = ZipFile(io.BytesIO(first))
    assert archive.namelist() == ["INV-000001.pdf", "INV-000002.pdf", "INV-000003.pdf"]
    assert archive.read("INV-000003.pdf") == invoice_pdf(Invoice.objects.get(pk=ids[2]))
    assert b"".join(zipped(ids)) == first
    with pytest.raises(ValueError, match="At most 500"):
        zipped(list(range(501)))


def test_the_api_gives_the_file_or_a_link_that_needs_no_key(api, client, company, make_invoiced):
    invoice = finalize(make_invoiced(), now=END)
    answer = api.client.get(f"/v1/invoices/{invoice.public_id}/pdf", headers={"accept": "application/pdf"})
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="INV-000001.pdf"'
    link = api.get(f"invoices/{invoice.public_id}/pdf", url="true")["presigned_url"]
    fetched = client.get(link)
    assert fetched.content == answer.content
    assert client.get(link[:-3]).status_code == 404
    api.get("invoices/inv_none/pdf", 404)
    api.get(f"invoices/{invoice.public_id}/pdf", 400, url="perhaps")
    assert client.get(f"/v1/invoices/{invoice.public_id}/pdf").status_code == 401


def test_a_link_is_over_after_an_hour(client, company, make_invoiced, monkeypatch):
    invoice = make_invoiced()
    token = signing.dumps(invoice.public_id, salt="billing.documents.invoice")
    assert client.get(f"/v1/documents/{token}").status_code == 200
    monkeypatch.setattr("billing.api.documents.LINK_HOLDS_S", -1)
    assert client.get(f"/v1/documents/{token}").status_code == 404


def test_a_credit_note_is_a_document_too(company, staff_client, client):
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
    said = "\n".join(pages(first.content))
    for words in (
        "Credit note CN-000001", "Of invoice", "INV-000001", "3 Oct 2026", "Service issue", "For the outage.",
        "$50.00", "$10.00", "$60.00", "$10.00 taken off what was to be paid", "$50.00 to be paid back", "Acme Ltd",
    ):  # fmt: skip
        assert words in said, words
    assert "VOID" not in said
    client.force_login(make_user())
    assert client.get(url).status_code == 403


def test_a_void_credit_note_says_so(company):
    invoice = make_finalized("100")
    note = draft_credit_note(invoice, {invoice.lines.get().pk: D(50)}, reason="billing_error", by=None)
    note = finalize_credit_note(note, now=later(), by=None)
    note = void_credit_note(note, reason="Wrong line", now=later(2), by=None)
    assert "Void since 3 Oct 2026: Wrong line. Nothing is credited." in "\n".join(pages(credit_note_pdf(note)))
