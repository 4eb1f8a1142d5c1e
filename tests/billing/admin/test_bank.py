"""Bank files in the admin: imported, suggestions accepted in bulk, entries accepted and dismissed by hand."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from billing.models import BankEntry, BankImport, Payment
from tests.admin_pages import as_viewer, count_queries, text_of, url
from tests.billing.bank.samples import GERMAN_CAMT, US_CSV
from tests.billing.invoices import make_finalized
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
ROWS = b"Date,Amount,Name,Text\n2026-10-02,100,Acme,INV-000001\n2026-10-02,50,Acme,thanks\n2026-10-03,9,Stranger,hi\n"
COLUMNS = {"date": "Date", "amount": "Amount", "payer_name": "Name", "text": "Text", "default_currency": "USD"}


def upload(client, content, **fields):
    file = SimpleUploadedFile("october.csv", content)
    return client.post(url("billing_bank_import"), {"file": file, **fields}, follow=True)


@pytest.fixture
def invoices():
    customer = make_customer(external_id="acme", name="Acme")
    return [make_finalized("100", customer=customer) for _ in range(2)]


def import_rows(client):
    return upload(client, ROWS, **{f"column_{name}": value for name, value in COLUMNS.items()})


def test_a_file_is_imported_once_and_sure_suggestions_are_accepted(staff_client, invoices):
    page = text_of(import_rows(staff_client))
    assert "3 new entries of october.csv, 0 known already." in page
    assert "was imported before. Nothing changed." in text_of(import_rows(staff_client))
    listed = staff_client.get(url("billing_bank"))
    assert "Score 100: invoice number, amount, name" in text_of(listed)
    assert "Score 45: name" in text_of(listed)
    assert "No suggestion. Open the entry to choose a customer." in text_of(listed)
    assert listed.content.decode().count("checked") == 1
    chosen = [str(entry.pk) for entry in BankEntry.objects.all()]
    done = text_of(staff_client.post(url("billing_bank"), {"entry": chosen}, follow=True))
    assert "2 entries accepted." in done
    assert "Stranger: no suggestion" in done
    assert [payment.amount for payment in Payment.objects.filter(kind="payment").order_by("pk")] == [100, 50]
    assert "from Acme" in text_of(staff_client.get(url("billing_bank", status="accepted")))


def test_an_entry_is_accepted_by_hand_dismissed_and_reopened(staff_client, invoices):
    import_rows(staff_client)
    first, second, third = BankEntry.objects.order_by("pk")
    address = url("billing_bank_entry", third.pk)
    answers = {"customer": invoices[0].customer_id, "use": "none", "surplus_to": "unapplied", "accept": "1"}
    assert "Enter" not in text_of(staff_client.post(address, answers, follow=True))
    assert "Reverse the payment to open the entry again." in text_of(staff_client.get(address))
    address = url("billing_bank_entry", second.pk)
    assert "This field is required." in text_of(staff_client.post(address, {"dismiss": "1", "reason": ""}))
    staff_client.post(address, {"dismiss": "1", "reason": "Interest"})
    assert "Interest" in text_of(staff_client.get(url("billing_bank", status="dismissed")))
    staff_client.post(address, {"reopen": "1"})
    assert BankEntry.objects.open().count() == 2
    assert "This field is required." in text_of(staff_client.post(address, {"accept": "1"}))
    assert first in BankEntry.objects.open()


def test_a_file_that_cannot_be_read_says_why(staff_client):
    assert "Describe the columns of this CSV file." in text_of(upload(staff_client, US_CSV.content))
    broken = GERMAN_CAMT.content.replace(b"</Document>", b"")
    assert "The XML can't be read" in text_of(upload(staff_client, broken))
    assert not BankImport.objects.exists()


def test_viewers_see_entries_and_change_nothing(staff_client, invoices):
    import_rows(staff_client)
    viewer = as_viewer("billing")
    page = viewer.get(url("billing_bank"))
    assert "Accept selected" not in text_of(page)
    assert viewer.post(url("billing_bank"), {"entry": "1"}).status_code == 403
    assert viewer.get(url("billing_bank_import")).status_code == 403
    assert viewer.get(url("billing_bank_entry", BankEntry.objects.first().pk)).status_code == 403


def test_more_entries_need_no_more_queries(staff_client, invoices):
    import_rows(staff_client)
    before = count_queries(staff_client, url("billing_bank"))
    more = b"".join(b"2026-10-04,%d,Acme,x%d\n" % (number, number) for number in range(1, 20))
    upload(staff_client, ROWS + more)
    assert count_queries(staff_client, url("billing_bank")) == before
