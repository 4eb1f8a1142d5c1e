"""Month end in a real browser: the page of a large month starts the calculation and shows its progress."""

import pytest
from django.core.cache import cache
from django.utils import timezone

from billing import tasks
from billing.models import MonthEndReport
from billing.month_end import background
from tests.billing.world import D, use, utc
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def company(monkeypatch):
    """Create three customers with 10 calls at $0.10 each and one misnamed event. Each chunk holds one customer."""
    cache.clear()
    monkeypatch.setattr("billing.month_end.customer_ranges.SIZE", 1)
    calls = make_feature(name="Calls")
    plan = make_version({"feature": calls, "unit_amount": D("0.10")}, name="Growth")
    for name in ("ada", "brightwater", "cedar"):
        customer = make_customer(external_id=name)
        make_subscription(customer=customer, plan=plan, starts_at=utc(2026, 9, 10), now=utc(2026, 9, 10))
        use(customer, calls, utc(2026, 9, 20), 10)
    send("Api.Calls", customer="ada", at=utc(2026, 9, 21))
    process()


def test_page_of_a_large_month_shows_the_progress_and_the_report(admin_browser, company, monkeypatch):
    monkeypatch.setattr(tasks.continue_month_ends, "apply_async", lambda **options: None)
    page = admin_browser.open("/admin/billing/invoice/month-end/?month=2026-09")
    page.get_by_text("0 of 3 customers · waiting for a worker").wait_for()
    page.get_by_role("link", name="$0.10").wait_for()
    report = MonthEndReport.objects.get()
    background.calculate_chunk(report.pk, now=timezone.now())
    page.get_by_text("1 of 3 customers").wait_for()
    assert tasks.continue_month_ends() == 2
    page.get_by_role("heading", name="Unbilled revenue", exact=True).wait_for()
    page.locator(".ch-amount", has_text="$3.00").wait_for()
    monkeypatch.setattr(tasks.continue_month_ends, "apply_async", lambda **options: tasks.continue_month_ends())
    page.get_by_role("button", name="Recalculate").click()
    page.get_by_text("Calculating September 2026").wait_for()
    page.get_by_text("3 customers, calculated in").wait_for()
    assert MonthEndReport.objects.exclude(finished_at=None).count() == 2
