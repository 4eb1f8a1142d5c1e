"""Payments, credit notes, one-off invoices, review and receivables in the admin."""

import io

import openpyxl
import pytest
from django.contrib.auth.models import Group
from django.test import Client, RequestFactory

from billing.lifecycle.review import hold
from billing.lifecycle.void import mark_paid
from billing.models import CreditNote, Invoice, NumberSeries, Payment
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import Receipt, record_payment
from config.admin.search import find
from tests.admin_pages import as_viewer, count_queries, submit, text_of, url
from tests.billing.invoices import later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
NOW = later()
RECEIVED = {"received_on": "2026-10-02", "method": "bank_transfer", "token": "t1"}


def press(client, row, action, **answers):
    """Confirm an action's dialog on an object's page."""
    answer = submit(client, url(f"billing_{row._meta.model_name}_{action}", row.pk), **answers)
    row.refresh_from_db()
    return answer


def shown(client, address):
    answer = client.get(address, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def credit(invoice, amount, **options):
    note = draft_credit_note(invoice, {invoice.lines.first().pk: D(amount)}, reason="billing_error", by=None, **options)
    return finalize_credit_note(note, now=NOW, by=None)


def test_payment_dialog_fills_in_the_amount_left_and_records_one_payment(staff_client, staff_user):
    invoice = make_finalized("100")
    record_payment(invoice, Receipt(D("39.50"), NOW.date()), now=NOW, by=None)
    dialog = shown(staff_client, url("billing_invoice_pay_one", invoice.pk))
    assert 'value="60.50"' in dialog
    assert "$60.50 left to pay on INV-000001" in dialog
    for _ in range(2):
        press(staff_client, invoice, "pay_one", amount="20", reference="wire 7", **RECEIVED)
    assert (invoice.amount_paid, invoice.payments.count()) == (D("59.50"), 2)
    payment = invoice.payments.first()
    assert (payment.recorded_by, payment.reference, str(payment.received_on)) == (staff_user, "wire 7", "2026-10-02")
    page = shown(staff_client, invoice.get_absolute_url())
    assert "Remaining amount due" in page
    assert "$40.50" in page


def test_refused_payment_keeps_what_was_typed_in_the_dialog(staff_client):
    invoice = make_finalized("100")
    dialog = press(staff_client, invoice, "pay_one", amount="50.005", reference="wire 7", **RECEIVED).content.decode()
    assert "Enter a positive amount with no more decimals than USD allows." in dialog
    assert 'value="50.005"' in dialog
    assert 'value="wire 7"' in dialog
    assert not Payment.objects.exists()


def test_a_payment_of_more_than_the_amount_due_says_what_becomes_of_the_rest(staff_client):
    invoice = make_finalized("100")
    press(staff_client, invoice, "pay_one", amount="120", surplus_to="unapplied", **RECEIVED)
    page = shown(staff_client, invoice.get_absolute_url())
    assert "is paid. $20.00 stays unapplied." in page
    assert "of $120.00 received" in page
    payment = Payment.objects.get()
    assert "$20.00" in shown(staff_client, payment.get_absolute_url())
    customer = shown(staff_client, url("customers_customer_change", invoice.customer_id))
    assert "$20.00 of payments is unapplied" in customer
    assert "$20.00" in shown(staff_client, f"{url('billing_payment_changelist')}?unapplied=yes")


def test_an_unapplied_amount_is_applied_credited_and_refunded_on_the_payments_page(staff_client):
    invoice = make_finalized("100")
    other = make_finalized("5", customer=invoice.customer)
    payment = record_payment(invoice, Receipt(D(130), NOW.date(), surplus_to="unapplied"), now=NOW, by=None)
    for dialog, fields in (
        ("apply_rest", {"invoice": other.pk}),
        ("credit_rest", {"amount": "10"}),
        ("refund_rest", {"amount": "8", "reason": "Paid twice", **RECEIVED}),
    ):
        address = url(f"billing_payment_{dialog}", payment.pk)
        assert "is unapplied" in shown(staff_client, address)
        submit(staff_client, address, **fields)
    other.refresh_from_db()
    assert other.state == "paid"
    assert Payment.objects.with_unapplied().get(pk=payment.pk).unapplied == 7
    page = shown(staff_client, payment.get_absolute_url())
    assert "Added to prepaid credit" in page
    assert "Paid twice" in page


def test_refused_void_keeps_its_reason(staff_client):
    invoice = make_finalized("100")
    record_payment(invoice, Receipt(D(40), NOW.date()), now=NOW, by=None)
    dialog = press(staff_client, invoice, "void_one", reason="Billed the wrong customer").content.decode()
    assert f"{invoice} has a payment. Refund it first, or create a credit note." in dialog
    assert "Billed the wrong customer</textarea>" in dialog
    assert invoice.state == "finalized"


def test_payment_is_reversed_with_a_reason(staff_client):
    invoice = make_finalized("100")
    payment = record_payment(invoice, Receipt(D(100), NOW.date(), reference="wire 7"), now=NOW, by=None)
    assert "$100.00" in shown(staff_client, url("billing_payment_reverse_one", payment.pk))
    assert b"This field is required" in press(staff_client, payment, "reverse_one").content
    press(staff_client, payment, "reverse_one", reason="Bounced")
    invoice.refresh_from_db()
    assert (invoice.state, payment.reversed_by.reason) == ("finalized", "Bounced")
    assert "Bounced" in shown(staff_client, payment.reversed_by.get_absolute_url())


def write_credit(client, invoice, button, **answers):
    line = f"line-{invoice.lines.first().pk}"
    form = {line: "30", "reason": "service_issue", "refund_to": "outside", "memo": "Outage", "token": "t1"}
    return client.post(url("billing_credit_invoice", invoice.pk), form | {button: "1"} | answers, follow=True)


def test_credit_note_starts_at_zero_and_shows_its_effect(staff_client, staff_user):
    invoice = make_finalized("100", "20")
    page = shown(staff_client, url("billing_credit_invoice", invoice.pk))
    assert page.count('value="0.00"') == 2
    assert 'data-remaining="100.00"' in page
    effect = staff_client.post(
        url("billing_credit_effect", invoice.pk), {f"line-{invoice.lines.first().pk}": "30", "refund_to": "outside"}
    )
    assert "Reduces the amount due on INV-000001 by $30.00, leaving $90.00." in effect.content.decode()
    assert (
        "Enter an amount to see what the credit note does."
        in staff_client.post(url("billing_credit_effect", invoice.pk)).content.decode()
    )
    assert staff_client.get(url("billing_credit_effect", invoice.pk)).status_code == 405
    for _ in range(2):
        write_credit(staff_client, invoice, "draft")
    note = CreditNote.objects.get()
    assert (note.state, note.total, note.created_by, note.memo) == ("draft", D(30), staff_user, "Outage")
    assert "This draft has no effect until it is finalized" in shown(staff_client, note.get_absolute_url())
    press(staff_client, note, "finalize_one")
    assert (note.number, note.state) == ("CN-000001", "finalized")
    assert "CN-000001" in shown(staff_client, invoice.get_absolute_url())


def test_crediting_too_much_is_refused_in_the_form(staff_client):
    invoice = make_finalized("20")
    assert b"more than the remaining $20.00" in write_credit(staff_client, invoice, "finalize").content
    assert b"This field is required" in write_credit(staff_client, invoice, "finalize", reason="").content
    assert not CreditNote.objects.exists()


def test_refunded_credit_note_is_voided_only_after_reversing_the_refund(staff_client):
    invoice = make_finalized("100")
    mark_paid(invoice, now=NOW)
    note = credit(invoice, "30")
    for page in (note.get_absolute_url(), invoice.get_absolute_url()):
        assert "$30.00 is due to the customer" in text_of(staff_client.get(page))
    assert 'value="30.00"' in shown(staff_client, url("billing_creditnote_refund_one", note.pk))
    press(staff_client, note, "refund_one", amount="30", reason="Wire of today", **RECEIVED)
    assert note.refunds.get().amount == D(-30)
    assert b"was refunded. Reverse that refund first" in press(staff_client, note, "void_one", reason="Wrong").content


def one_off(customer, *rows, **fields):
    items = {}
    for place, row in enumerate(rows):
        for name, value in zip(("description", "quantity", "unit_amount", "first_day", "last_day"), row, strict=False):
            items[f"items-{place}-{name}"] = value
    form = {"customer": customer.pk, "items-TOTAL_FORMS": len(rows), "items-INITIAL_FORMS": 0, "token": "t1"}
    return form | items | fields


def test_one_off_invoice_is_created_once_and_edited(staff_client):
    customer = make_customer(name="Acme", currency="JPY")
    address = url("billing_new_one_off")
    assert "New one-off invoice" in shown(staff_client, address)
    form = one_off(customer, ("Workshop", "2", "480", "2026-10-01", "2026-10-31"), ("", "", ""), memo="PO 7")
    assert "¥960" in staff_client.post(url("billing_one_off_effect"), form).content.decode()
    for _ in range(2):
        staff_client.post(address, form)
    invoice = Invoice.objects.get()
    line = invoice.lines.get()
    assert (invoice.currency, invoice.total, invoice.memo, line.quantity) == ("JPY", D(960), "PO 7", D(2))
    assert (str(line.period_start.date()), str(line.period_end.date())) == ("2026-10-01", "2026-11-01")
    edit = url("billing_edit_one_off", invoice.pk)
    assert 'value="2026-10-31"' in shown(staff_client, edit)
    staff_client.post(edit, one_off(customer, ("Workshop", "1", "500"), memo="PO 8"))
    invoice.refresh_from_db()
    assert (invoice.total, invoice.memo) == (D(500), "PO 8")
    press(staff_client, invoice, "finalize_one")
    assert invoice.number == "INV-000001"
    assert b"can&#x27;t change" in staff_client.post(edit, one_off(customer, ("Workshop", "1", "1"))).content


def test_customer_page_links_to_a_new_one_off_invoice(staff_client):
    customer = make_customer(name="Acme")
    assert "One-off invoice" in shown(staff_client, customer.get_absolute_url())
    page = shown(staff_client, url("customers_customer_write_one_off", customer.pk))
    assert f'<option value="{customer.pk}" selected>Acme' in page
    assert as_viewer("customers").get(url("customers_customer_write_one_off", customer.pk)).status_code == 403


def test_search_finds_payments_and_credit_notes(staff_user):
    invoice = make_finalized("100")
    record_payment(invoice, Receipt(D(1), NOW.date(), reference="wire 7"), now=NOW, by=None)
    credit(invoice, "5")
    request = RequestFactory().get("/")
    request.user = staff_user
    titles = [result.title for term in ("wire 7", "CN-000001") for result in find(request, term)]
    assert titles == ["wire 7", "CN-000001"]


def test_missing_values_of_an_item_are_reported_in_the_form(staff_client):
    page = staff_client.post(url("billing_new_one_off"), one_off(make_customer(), ("Workshop", "1", ""))).content
    assert b"Enter an amount" in page
    page = staff_client.post(url("billing_new_one_off"), one_off(make_customer(), ("", "", ""))).content
    assert b"Enter at least one item" in page
    assert not Invoice.objects.exists()


def test_draft_is_put_on_hold_released_and_deleted(staff_client, staff_user):
    draft = make_draft("10")
    press(staff_client, draft, "hold_one", reason="Ask first")
    assert (draft.held_by, draft.hold_reason) == (staff_user, "Ask first")
    page = shown(staff_client, draft.get_absolute_url())
    assert "Ask first" in page
    assert "finalize_one" not in page
    press(staff_client, draft, "release_one")
    assert draft.held_at is None
    submit(staff_client, url("billing_invoice_delete_draft_one", draft.pk))
    assert not Invoice.objects.exists()


def test_finalization_results_list_skipped_invoices_with_reasons_and_are_exported(staff_client):
    ready, held, done = make_draft("10"), make_draft("20"), make_finalized("30")
    hold(held, reason="Price is disputed", now=NOW, by=None)
    form = {"action": "finalize_selected", "_selected_action": [row.pk for row in (ready, held, done)]}
    preview = text_of(staff_client.post(url("billing_invoice_changelist"), form))
    assert "Finalize 1 invoice, $10.00" in preview
    assert "Skip: on hold: Price is disputed" in preview
    result = staff_client.post(url("billing_invoice_changelist"), form | {"confirmed": "yes"}, follow=True)
    page = text_of(result)
    assert "Finalized 1 invoice · $10.00" in page
    assert "Skipped: on hold: Price is disputed" in page
    assert "Skipped: already finalized" in page
    answer = staff_client.get(url("billing_review_result"), {"format": "xlsx"})
    book = openpyxl.load_workbook(io.BytesIO(answer.getvalue()))
    header, *rows = book.active.values
    results = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["Total"], row["Outcome"], row["Reason"]) for row in results] == [
        (10, "finalized", None),
        (20, "skipped", "on hold: Price is disputed"),
        (30, "skipped", "already finalized"),
    ]


def test_review_counts_drafts_and_shows_hold_reasons(staff_client):
    assert "No drafts to review" in shown(staff_client, url("billing_review"))
    make_draft("10.50")
    hold(make_draft("4.25"), reason="Ask first", now=NOW, by=None)
    page = text_of(staff_client.get(url("billing_review")))
    assert "2 drafts in USD · 1 on hold" in page
    assert "$14.75" in page
    assert "Ask first" in page
    assert "Ask first" not in shown(staff_client, url("billing_review", show="ready"))


def test_receivables_link_to_their_invoices(staff_client):
    assert "No receivables" in shown(staff_client, url("billing_aging"))
    acme = make_customer(name="Acme")
    late = make_finalized("100", customer=acme, due_at=later(-400))
    make_finalized("7", customer=acme, due_at=later(40_000))
    page = shown(staff_client, url("billing_aging"))
    link = f"/admin/billing/invoice/?customer__id__exact={acme.pk}&amp;currency__icontains=USD&amp;payment=age-over-90"
    assert f'href="{link}">$100.00</a>' in page
    listed = staff_client.get(link.replace("&amp;", "&")).context_data["cl"].queryset
    assert list(listed) == [late]
    rows = b"".join(staff_client.get(url("billing_aging"), {"format": "csv"}).streaming_content).decode()
    assert "Acme,customer" in rows.splitlines()[1]
    assert rows.splitlines()[1].endswith("107.0000,2,0")


def test_number_series_becomes_default_and_keeps_its_prefix_once_used(staff_client):
    make_finalized("1")
    page = staff_client.post(
        url("billing_numberseries_add"), {"name": "2027", "used_for": "invoice", "prefix": "2027-", "width": "5"}
    )
    assert page.status_code == 302
    series = NumberSeries.objects.get(name="2027")
    assert "2027-00001" in shown(staff_client, url("billing_numberseries_changelist"))
    press(staff_client, series, "make_default")
    assert series.is_default
    assert make_finalized("1").number == "2027-00001"
    staff_client.post(series_page := url("billing_numberseries_change", series.pk), {"name": "2027", "prefix": "X-"})
    series.refresh_from_db()
    assert series.prefix == "2027-"
    assert (
        b"end with a digit"
        in staff_client.post(
            url("billing_numberseries_add"), {"name": "x", "used_for": "invoice", "prefix": "INV-0", "width": "5"}
        ).content
    )
    assert "2027-" in shown(staff_client, series_page)


def pages():
    invoice, draft = make_finalized("100"), make_draft("10")
    payment = record_payment(invoice, Receipt(D(1), NOW.date()), now=NOW, by=None)
    note = credit(invoice, "5")
    return invoice, draft, payment, note


def test_viewers_can_see_everything_and_change_nothing():
    invoice, draft, payment, note = pages()
    viewer = as_viewer("billing")
    for address in (
        *(row.get_absolute_url() for row in (invoice, payment, note)),
        *(url(name) for name in ("billing_review", "billing_aging", "billing_payment_changelist")),
        url("billing_creditnote_changelist"),
    ):
        assert "Record payment" not in shown(viewer, address)
    for address in (
        *(url("billing_credit_invoice", invoice.pk), url("billing_credit_effect", invoice.pk)),
        *(url("billing_new_one_off"), url("billing_one_off_effect"), url("billing_edit_one_off", draft.pk)),
        *(url(f"billing_invoice_{name}", invoice.pk) for name in ("pay_one", "credit_one")),
        *(url(f"billing_invoice_{name}", draft.pk) for name in ("hold_one", "release_one", "delete_draft_one")),
        url("billing_payment_reverse_one", payment.pk),
        *(url(f"billing_creditnote_{name}", note.pk) for name in ("finalize_one", "refund_one", "void_one")),
    ):
        answer = viewer.post(address, {"_form_submitted": "on", "reason": "x", "amount": "1", **RECEIVED})
        assert answer.status_code == 403, address
    assert Payment.objects.count() == 1
    assert viewer.post(invoice.get_absolute_url(), {"total": "1"}).status_code == 403
    assert viewer.post(note.get_absolute_url(), {"total": "1"}).status_code == 403


def test_finance_role_records_payments_and_creates_credit_notes():
    accountant, client = make_user(), Client()
    accountant.groups.add(Group.objects.get(name="Finance"))
    client.force_login(accountant)
    invoice = make_finalized("100")
    press(client, invoice, "pay_one", amount="20", **RECEIVED)
    write_credit(client, invoice, "finalize")
    assert (invoice.amount_paid, CreditNote.objects.get().state) == (D(20), "finalized")
    operations, other = make_user(), Client()
    operations.groups.add(Group.objects.get(name="Operations"))
    other.force_login(operations)
    assert press(other, invoice, "pay_one", amount="20", **RECEIVED | {"token": "t2"}).status_code == 403


@pytest.mark.parametrize("name", ["review", "aging", "payment_changelist", "creditnote_changelist"])
def test_list_length_does_not_change_query_count(staff_client, name):
    pages()
    queries = count_queries(staff_client, url(f"billing_{name}"))
    for _ in range(6):
        pages()
    assert count_queries(staff_client, url(f"billing_{name}")) == queries


def test_payments_and_credits_do_not_change_query_count_of_invoice_page(staff_client):
    invoice = pages()[0]
    queries = count_queries(staff_client, invoice.get_absolute_url())
    for number in range(5):
        record_payment(invoice, Receipt(D(1), NOW.date(), reference=f"wire {number}"), now=NOW, by=make_user())
        credit(invoice, "1")
    assert count_queries(staff_client, invoice.get_absolute_url()) == queries


def test_one_off_draft_shows_who_created_it(staff_client, staff_user):
    staff_client.post(url("billing_new_one_off"), one_off(make_customer(), ("Workshop", "1", "5")))
    invoice = Invoice.objects.get()
    assert f"{staff_user} Drafted" in text_of(staff_client.get(invoice.get_absolute_url()))
