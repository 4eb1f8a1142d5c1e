"""Why an invoice differs from the last one, on its page in the browser."""

import pytest
from playwright.sync_api import expect

from tests.billing.world import D, bill, use, utc
from tests.browser import AdminBrowser
from tests.factories import make_feature, make_subscription, make_version
from tests.scenarios.test_accessibility import violations


@pytest.mark.django_db(transaction=True)
def test_an_invoice_says_why_it_differs_from_the_last(admin_browser: AdminBrowser) -> None:
    calls, start = make_feature(name="Calls"), utc(2026, 8, 1)
    version = make_version({"feature": calls, "model": "graduated", "tiers": [(1000, D("0.10")), (None, D("0.05"))]})
    subscription = make_subscription(plan=version, starts_at=start, now=start)
    use(subscription.customer, calls, utc(2026, 8, 5), 800)
    use(subscription.customer, calls, utc(2026, 9, 5), 1200)
    bill(utc(2026, 9, 1))
    [invoice] = bill(utc(2026, 10, 1))

    page = admin_browser.open(invoice.get_absolute_url())
    page.keyboard.press("End")
    parts = page.get_by_role("region", name="Parts of the difference")
    expect(parts).to_contain_text("Tiers reached")
    expect(parts.get_by_role("row").last).to_contain_text("+$30.00")
    expect(page.get_by_role("img", name="Why this invoice differs from the last")).to_be_visible()
    assert violations(page) == []
    assert admin_browser.console_errors == []
