"""Payments, credit notes and one-off invoices in a real browser."""

import pytest
from playwright.sync_api import Route

from billing.models import CreditNote, Invoice
from tests.billing.invoices import make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_payment_is_recorded_and_credit_note_created(admin_browser):
    invoice = make_finalized("100", "20", customer=make_customer(name="Ada Labs"))
    page = admin_browser.open(invoice.get_absolute_url())
    page.get_by_role("link", name="Record payment").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("$120.00 left to pay on INV-000001").wait_for()
    dialog.get_by_label("Amount in USD").fill("70")
    dialog.get_by_label("Reference").fill("wire 7")
    dialog.get_by_role("button", name="Record payment").click()
    page.get_by_text("Payment recorded for INV-000001.").wait_for()
    page.get_by_role("cell", name="wire 7").wait_for()

    page.get_by_role("link", name="undo Credit note", exact=True).click()
    page.get_by_text("Enter an amount to see what the credit note does.").wait_for()
    page.get_by_role("button", name="Credit all").click()
    page.get_by_text("Reduces the amount due on INV-000001 by $50.00, leaving $0.00.").wait_for()
    page.get_by_role("textbox", name="Credit for Item 1").fill("40")
    page.get_by_role("textbox", name="Credit for Item 2").fill("")
    page.get_by_text("Reduces the amount due on INV-000001 by $40.00, leaving $10.00.").wait_for()
    page.get_by_label("Reason").select_option("service_issue")
    page.get_by_role("button", name="Finalize credit note").click()
    page.get_by_role("heading", name="Credit note CN-000001").wait_for()
    page.get_by_role("link", name="INV-000001").click()
    page.get_by_text("Remaining amount due").wait_for()
    invoice.refresh_from_db()
    assert (invoice.amount_paid, invoice.amount_credited, invoice.amount_remaining) == (D(70), D(40), D(10))
    assert CreditNote.objects.get().reason == "service_issue"


def test_dialog_button_is_visible_in_a_small_window(admin_browser):
    invoice = make_finalized("100", customer=make_customer(name="Ada Labs"))
    admin_browser.page.set_viewport_size({"width": 1280, "height": 480})
    page = admin_browser.open(invoice.get_absolute_url())
    page.get_by_role("link", name="Record payment").click()
    button = page.locator("#dialog").get_by_role("button", name="Record payment")
    button.wait_for()
    page.wait_for_timeout(300)  # the dialog moves into place
    frame, box = page.locator("#modal-content").bounding_box(), button.bounding_box()
    assert frame["y"] >= 0
    assert box["y"] + box["height"] <= frame["y"] + frame["height"] <= 480


def test_one_off_invoice_is_entered_row_by_row(admin_browser):
    make_customer(name="Ada Labs", currency="JPY")
    page = admin_browser.open("/admin/billing/invoice/one-off/")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-container--open .select2-search__field").fill("Ada")
    page.get_by_role("option", name="Ada Labs").click()
    rows = page.locator(".one-off-item")
    rows.nth(0).get_by_role("textbox").nth(0).fill("Workshop")
    rows.nth(0).get_by_role("textbox").nth(1).fill("2")
    rows.nth(0).get_by_role("textbox").nth(2).fill("480")
    page.get_by_role("button", name="Add item").click()
    rows.nth(2).get_by_role("textbox").nth(0).fill("Goodwill")
    rows.nth(2).get_by_role("textbox").nth(2).fill("-60")
    page.locator("#one-off-effect").get_by_text("¥900").wait_for()
    page.get_by_role("button", name="Save draft").click()
    page.get_by_role("heading", name="Draft invoice").wait_for()
    invoice = Invoice.objects.get()
    assert [line.amount for line in invoice.lines.order_by("position")] == [D(960), D(-60)]


def test_save_button_stays_under_the_pointer_when_the_total_arrives(admin_browser):
    customer = make_customer(name="Ada Labs")
    page = admin_browser.open(f"/admin/billing/invoice/one-off/?customer={customer.pk}")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/effect/", hold, times=1)
    row = page.locator(".one-off-item").first
    with page.expect_request("**/effect/"):
        row.get_by_role("textbox").nth(0).fill("Onboarding")
        row.get_by_role("textbox").nth(2).fill("40")
    page.get_by_role("button", name="Save draft").hover()
    page.mouse.down()
    held[0].continue_()
    page.locator("#one-off-effect").get_by_text("$40.00").first.wait_for()
    page.mouse.up()
    page.get_by_role("heading", name="Draft invoice").wait_for()
    assert Invoice.objects.get().total == D(40)
