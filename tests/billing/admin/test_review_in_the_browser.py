"""Reviewing drafts in a real browser, each job within a number of clicks."""

import pytest

from billing.models import Invoice
from tests.billing.invoices import make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_all_drafts_of_a_search_are_put_on_hold_with_five_clicks(admin_browser):
    for number in range(53):
        make_draft("10", customer=make_customer(name=f"Ada {number:02}"))
    other = make_draft("7", customer=make_customer(name="Bob"))
    with admin_browser.job(clicks=5, start="/admin/billing/invoice/review/") as page:
        page.get_by_role("searchbox", name="Search drafts").fill("Ada")
        page.get_by_role("button", name="Search", exact=True).click()
        page.get_by_role("checkbox", name="Select all drafts on this page").check()
        page.get_by_text("50 selected, $500.00").wait_for()
        page.get_by_label("Select all 53 matching, $530.00").check()
        page.get_by_text("53 selected, $530.00").wait_for()
        page.get_by_role("button", name="Put selected on hold…").click()
        page.get_by_role("heading", name="Put 53 drafts on hold, $530.00").wait_for()
        page.get_by_label("Reason").fill("Prices are checked")
        page.get_by_role("button", name="Put 53 drafts on hold").click()
        page.get_by_text("53 drafts put on hold.").wait_for()
    assert list(Invoice.objects.drafts().filter(held_at=None)) == [other]


def test_a_refused_payment_keeps_what_was_typed(admin_browser):
    invoice = make_finalized("100")
    page = admin_browser.open(invoice.get_absolute_url())
    page.get_by_role("link", name="Record payment").click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("Amount in USD").fill("50.005")
    dialog.get_by_label("Reference").fill("wire 7")
    dialog.get_by_role("button", name="Record payment").click()
    dialog.get_by_role("alert").get_by_text("no more decimals than USD allows").wait_for()
    assert dialog.get_by_label("Reference").input_value() == "wire 7"
    dialog.get_by_label("Amount in USD").fill("50")
    dialog.get_by_role("button", name="Record payment").click()
    page.get_by_text("Payment recorded for INV-000001.").wait_for()
    invoice.refresh_from_db()
    assert invoice.amount_paid == D(50)
