"""Jobs of finance: invoices are found, edited, paid, credited, voided and reissued; the month is closed."""

import re

import pytest

from billing.models import Invoice, InvoiceState, MonthClosing
from tests.billing.invoices import make_draft, make_finalized
from tests.billing.late import invoice_at
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_subscription

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def dialog_of(page, button):
    page.get_by_role("link", name=re.compile(f"{button}$")).click()
    return page.locator("#dialog")


def test_an_invoice_is_found_by_its_amount_or_the_end_of_its_number(admin_browser):
    make_finalized("1234.50", customer=make_customer(name="Ada Labs"))
    make_finalized("99", customer=make_customer(name="Bob"))
    for words in ("1,234.50", "0001"):
        with admin_browser.job(clicks=1) as page:
            admin_browser.find(words, "INV-000001", detail="Ada Labs")
            page.get_by_role("heading", name="Invoice INV-000001").wait_for()


def test_a_payment_is_recorded_and_settles_the_invoice(admin_browser):
    make_finalized("100", customer=make_customer(name="Ada Labs"))
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("record payment", "Record payment")
        page.get_by_role("link", name="INV-000001").click()
        dialog = dialog_of(page, "Record payment")
        dialog.get_by_label("Reference").fill("wire 7")
        dialog.get_by_role("button", name="Record payment").click()  # the amount is filled in
        page.get_by_text("INV-000001 is paid.").wait_for()
    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.amount_paid) == (InvoiceState.PAID, D(100))


def test_an_invoice_is_credited_in_full(admin_browser):
    make_finalized("100", "20")
    with admin_browser.job(clicks=6) as page:
        admin_browser.find("credit note", "Issue credit note")
        page.get_by_role("link", name="INV-000001").click()
        page.get_by_role("link", name=re.compile("Credit note$")).first.click()
        page.get_by_role("button", name="Credit all").click()
        page.get_by_text("Reduces the amount due on INV-000001 by $120.00, leaving $0.00.").wait_for()
        page.get_by_label("Reason").select_option("service_issue")
        page.get_by_role("button", name="Finalize credit note").click()
        page.get_by_role("heading", name="Credit note CN-000001").wait_for()


def test_an_invoice_is_voided_and_reissued(admin_browser):
    make_subscription(starts_at=utc(2026, 9, 1), now=utc(2026, 9, 1))
    invoice_at(utc(2026, 9, 1))
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("void an invoice", "Void or reissue invoice")
        page.get_by_role("link", name="INV-000001").click()
        dialog = dialog_of(page, "Reissue")
        dialog.get_by_label("Reason").fill("Wrong address")
        dialog.get_by_role("button", name="Reissue").click()
        page.get_by_text("replaces the voided invoice").wait_for()
        page.get_by_role("heading", name="Draft invoice").wait_for()
    assert Invoice.objects.get(number="INV-000001").state == InvoiceState.VOID


def test_a_draft_gets_a_memo_a_purchase_order_and_an_extra_line(admin_browser):
    make_subscription(starts_at=utc(2026, 9, 1), now=utc(2026, 9, 1), customer=make_customer(name="Ada Labs"))
    bill(utc(2026, 9, 1))
    with admin_browser.job(clicks=4) as page:
        admin_browser.find("purchase order", "Edit draft")
        page.get_by_role("link", name=re.compile("Draft")).first.click()
        page.get_by_role("link", name=re.compile("Edit$")).click()
        page.get_by_label("Memo").fill("Thank you")
        page.get_by_label("PO number").fill("PO 7")
        row = page.locator(".one-off-item").first
        row.get_by_role("textbox").nth(0).fill("Onboarding")
        row.get_by_role("textbox").nth(2).fill("40")
        page.get_by_role("button", name="Save draft").click()
        page.get_by_text("PO 7", exact=True).wait_for()
    assert Invoice.objects.get().total == D(50)  # the fee, $10, and the extra line


def test_the_month_is_reviewed_finalized_and_closed(admin_browser):
    for number in range(3):
        make_draft("10", customer=make_customer(name=f"Ada {number}"))
    make_draft("7", customer=make_customer(name="Bob"))
    with admin_browser.job(clicks=12) as page:
        admin_browser.find("review", "Review", detail="Page")
        page.get_by_role("searchbox", name="Search drafts").fill("Bob")
        page.get_by_role("searchbox", name="Search drafts").press("Enter")
        page.get_by_role("checkbox", name="Select all drafts on this page").check()
        page.get_by_role("button", name="Put selected on hold…").click()
        page.get_by_label("Reason").fill("Asks for another address")
        page.get_by_role("button", name="Put 1 draft on hold").click()
        page.get_by_text("1 draft put on hold.").wait_for()
        page.get_by_role("link", name="Review").first.click()
        page.get_by_role("checkbox", name="Select all drafts on this page").check()
        page.get_by_role("button", name="Finalize selected").click()
        page.get_by_role("button", name="Finalize 3").click()
        page.get_by_text("$30.00").first.wait_for()
        page.get_by_role("link", name="Month end").click()
        page.get_by_role("button", name=re.compile("^Close ")).click()
        page.get_by_text("is closed.").wait_for()
    assert MonthClosing.objects.count() == 1
    assert Invoice.objects.filter(state=InvoiceState.FINALIZED).count() == 3
