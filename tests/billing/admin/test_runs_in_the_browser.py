"""Billing runs in a real browser: starting a dry run and a run, and the progress on the page."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from billing import tasks
from billing.models import BillingRun, Invoice
from billing.runs import billing_run
from billing.runs.billing_run import bill_chunk, start_run, unfinished_chunks
from tests.billing.world import D
from tests.factories import make_customer, make_subscription, make_version

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}
LIST = "/admin/billing/billingrun/"


@pytest.fixture
def company(monkeypatch):
    """Create three subscriptions whose opening invoices are due. Each chunk holds one of them."""
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 1)
    plan = make_version(FEE)
    for name in ("Ada Labs", "Brightwater", "Cedar"):
        start = timezone.now() - timedelta(hours=1)
        make_subscription(customer=make_customer(name=name), plan=plan, starts_at=start, now=start)


def test_dry_run_is_followed_by_a_run(admin_browser, company, monkeypatch):
    monkeypatch.setattr(tasks.dry_run_chunk, "delay", tasks.dry_run_chunk)
    monkeypatch.setattr(tasks.bill_chunk, "delay", tasks.bill_chunk)
    page = admin_browser.open(LIST)
    page.get_by_role("link", name=re.compile("Dry run$")).click()
    page.locator("#dialog").get_by_role("button", name="Start dry run").click()
    page.get_by_text("Would be invoiced").wait_for()
    page.get_by_text("$90.00").wait_for()
    assert not Invoice.objects.exists()

    admin_browser.open(LIST)
    page.get_by_role("link", name=re.compile("Run billing now$")).click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("3 invoices ($90.00)").wait_for()
    dialog.get_by_role("button", name="Run billing").click()
    page.get_by_text("Finished · 3 of 3 subscriptions").wait_for()
    assert Invoice.objects.count() == 3


def test_page_follows_a_run_to_its_end(admin_browser, company):
    now = timezone.now()
    run = start_run(as_of=now, now=now)
    page = admin_browser.open(run.get_absolute_url())
    page.get_by_text("Running · 0 of 3 subscriptions").wait_for()
    first_id, *other_ids = unfinished_chunks(run)
    bill_chunk(first_id, now=timezone.now())
    page.get_by_text("Running · 1 of 3 subscriptions").wait_for()
    page.get_by_text("$30.00").wait_for()
    for chunk_id in other_ids:
        bill_chunk(chunk_id, now=timezone.now())
    page.get_by_text("Finished · 3 of 3 subscriptions").wait_for()
    assert page.locator("#run-progress[hx-trigger]").count() == 0  # it stops asking
    assert BillingRun.objects.get().state == "finished"
