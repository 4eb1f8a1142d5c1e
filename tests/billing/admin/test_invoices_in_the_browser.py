"""Invoices in a real browser: the invoice page, recounting a line, finalizing and voiding."""

import re

import pytest

from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def invoice():
    calls = make_feature(name="API calls")
    customer = make_customer(name="Ada Labs")
    tiers = [(100, D(1)), (None, D("0.5"))]
    version = make_version({"feature": calls, "model": "graduated", "tiers": tiers})
    make_subscription(customer=customer, plan=version, starts_at=utc(2026, 9, 1), now=utc(2026, 9, 1))
    use(customer, calls, utc(2026, 9, 5), 150)
    [draft] = bill(utc(2026, 10, 1))
    return draft


def test_invoice_is_recounted_finalized_and_voided(admin_browser, invoice):
    page = admin_browser.open("/admin/billing/invoice/")
    page.get_by_role("link", name=str(invoice)).click()
    # 100 × 1 + 50 × 0.5
    page.locator(".ch-amount", has_text="$125.00").wait_for()
    page.get_by_text("Show calculation").click()
    page.get_by_text("tier 2, over 100 without limit: 50 × $0.50 = $25.00").wait_for()
    page.get_by_role("button", name="Recount events").click()
    page.get_by_text("Recounted: everything matches").wait_for()

    page.get_by_role("link", name="Finalize").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("$125.00").wait_for()
    dialog.get_by_role("button", name="Finalize").click()
    page.get_by_text("INV-000001 was finalized.").wait_for()

    page.get_by_role("link", name=re.compile("Void$")).click()
    dialog.get_by_label("Reason").fill("Wrong customer")
    dialog.get_by_role("button", name="Void").click()
    page.get_by_text("INV-000001 was voided.", exact=True).wait_for()  # not the dialog's own text
    invoice.refresh_from_db()
    assert (invoice.state, invoice.void_reason) == ("void", "Wrong customer")


def test_upcoming_pages_open(admin_browser, invoice):
    page = admin_browser.open("/admin/billing/invoice/upcoming/")
    page.get_by_role("link", name="Ada Labs").click()
    page.get_by_text("The invoice will be drafted on").wait_for()


def test_invoice_is_downloaded_as_a_pdf(admin_browser, invoice):
    page = admin_browser.open(invoice.get_absolute_url())
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("PDF$")).click()
    assert download.value.suggested_filename == f"{invoice.public_id}.pdf"
    assert download.value.path().read_bytes().startswith(b"%PDF-")
