"""Billing runs in the admin: previews, progress, failed subscriptions and dry runs."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.models import BillingRun, BillingState, Invoice
from billing.runs import billing_run
from billing.runs.billing_run import bill_chunk, run_to_end, start_run, unfinished_chunks
from billing.runs.dry_run import dry_run_chunk, start_dry_run
from billing.runs.report import customers_by_change
from customers.models import Subscription
from tests.billing.admin.test_invoices import page, staff_with
from tests.billing.world import D, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
START, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}
LIST = "/admin/billing/billingrun/"
FINDINGS = "/admin/billing/runfinding/"
MISSING = "has no prices in USD per year"


@pytest.fixture
def calls(db):
    return make_feature(name="API calls")


@pytest.fixture
def plan(calls):
    return make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})


def subscribed(plan, name="Acme"):
    return make_subscription(customer=make_customer(name=name), plan=plan, starts_at=START, now=START)


def break_prices(subscription):
    """Change a subscription in the database so that it can't be billed."""
    Subscription.objects.filter(pk=subscription.pk).update(interval="year")


def fix_prices(subscription):
    Subscription.objects.filter(pk=subscription.pk).update(interval="month")


def dry_run(as_of):
    run = start_dry_run(as_of=as_of, now=as_of)
    for chunk_id in unfinished_chunks(run):
        dry_run_chunk(chunk_id, now=as_of)
    run.refresh_from_db()
    return run


def test_start_dialog_previews_the_run(staff_client, plan):
    dialog = reverse("admin:billing_billingrun_start")
    assert "Nothing is due" in page(staff_client, dialog)
    # Since September it owes the opening and a cycle a month, $30 each.
    months = (timezone.now().year - 2026) * 12 + timezone.now().month - 9
    subscribed(plan)
    break_prices(subscribed(plan))
    shown = page(staff_client, dialog)
    assert f"{months + 1} invoice" in shown
    assert f"${30 * (months + 1)}.00" in shown
    assert "1 subscription can't be billed" in shown
    assert MISSING in shown
    assert not Invoice.objects.exists()


def test_start_dialog_only_counts_many_subscriptions(staff_client, plan, monkeypatch):
    monkeypatch.setattr("billing.runs.report.outlook.__kwdefaults__", {"at_most": 1})
    subscribed(plan)
    subscribed(plan)
    shown = page(staff_client, reverse("admin:billing_billingrun_start"))
    assert '<strong class="text-important">2</strong> subscriptions may be due' in shown


def test_dry_run_is_started_for_a_time(staff_client, staff_user, plan, monkeypatch, django_capture_on_commit_callbacks):
    subscribed(plan)
    handed: list[int] = []
    monkeypatch.setattr("billing.tasks.dry_run_chunk.delay", handed.append)
    url = reverse("admin:billing_billingrun_start_dry")
    form = {"_form_submitted": "True", "as_of": "2026-10-01T00:00"}
    with django_capture_on_commit_callbacks(execute=True):
        staff_client.post(url, form)
    run = BillingRun.objects.get()
    assert (run.kind, run.as_of, run.started_by, len(handed)) == ("dry", OCTOBER, staff_user, 1)
    assert "at most a year ahead" in staff_client.post(url, {**form, "as_of": "2130-01-01T00:00"}).content.decode()
    assert BillingRun.objects.count() == 1


def test_dry_run_page_shows_amounts_problems_and_changes(staff_client, plan, calls):
    rising, falling = subscribed(plan, "Rising"), subscribed(plan, "Falling")
    for subscription, september, october in ((rising, 100, 900), (falling, 800, 200)):
        use(subscription.customer, calls, utc(2026, 9, 5), september)
        use(subscription.customer, calls, utc(2026, 10, 5), october)
    run_to_end(as_of=OCTOBER)
    break_prices(subscribed(plan, "Broken"))
    run = dry_run(NOVEMBER)
    shown = page(staff_client, run.get_absolute_url())
    # $30 + $9.00 after $31.00, and $30 + $2.00 after $38.00: in all $71.
    for text in ("Would be invoiced", "$71.00", MISSING, "+$8.00", "(26%)", "-$6.00", "(-16%)", "Download CSV"):
        assert text in shown, text
    assert shown.index("Rising") < shown.index("Falling")
    assert [(row.name, row.change) for row in customers_by_change(run)] == [("Rising", D(8)), ("Falling", D(-6))]
    assert "Customers by change since the period before" in shown
    assert "every 2s" not in shown
    assert "would be $71.00" in page(staff_client, LIST)


def test_findings_of_a_dry_run_are_downloaded_as_csv(staff_client, plan, calls):
    subscription = subscribed(plan, "=Acme")
    use(subscription.customer, calls, utc(2026, 9, 5), 100)
    run_to_end(as_of=START)
    run = dry_run(OCTOBER)
    answer = staff_client.get(reverse("admin:billing_run_csv", args=[run.pk]))
    [row] = csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig")))
    assert row == {
        "customer_external_id": subscription.customer.external_id,
        "customer": "'=Acme",
        "subscription": subscription.public_id,
        "kind": "cycle",
        "period_start": "2026-09-01 00:00:00",
        "period_end": "2026-10-01 00:00:00",
        "currency": "USD",
        "lines": "2",
        "total": "31.00",
        "change": "",
        "problem": "",
    }


def test_findings_are_listed_and_filtered(staff_client, plan):
    subscribed(plan, "Good")
    break_prices(subscribed(plan, "Broken"))
    run = dry_run(START)
    both = page(staff_client, f"{FINDINGS}?run__id__exact={run.pk}")
    assert "Good" in both
    assert MISSING in both
    assert "Good" not in page(staff_client, f"{FINDINGS}?run__id__exact={run.pk}&outcome=problem")
    assert MISSING not in page(staff_client, f"{FINDINGS}?run__id__exact={run.pk}&outcome=invoice")
    assert "No matches" in page(staff_client, f"{FINDINGS}?run__id__exact=999999")
    BillingRun.objects.all().delete()
    assert "A dry run lists the invoices it expects here" in page(staff_client, FINDINGS)


def test_panel_of_a_running_run_shows_chunks_and_time_left(staff_client, plan, monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 1)
    for _ in range(4):
        subscribed(plan)
    now = timezone.now()
    run = start_run(as_of=START, now=now - timedelta(seconds=10))
    bill_chunk(unfinished_chunks(run)[0], now=now)
    shown = page(staff_client, reverse("admin:billing_run_progress", args=[run.pk]))
    # One of four in ten seconds: three more take thirty, and longer the slower this test is.
    assert re.search(r"about [3-9]\d s", shown)
    for text in ("1 of 4 subscriptions", "1 of 4</dd>", "$30.00", "every 2s", 'value="25"'):
        assert text in shown, text


def test_failed_subscriptions_are_retried_one_or_all(staff_client, plan):
    broken = [subscribed(plan, f"Broken {number}") for number in range(3)]
    for subscription in broken:
        break_prices(subscription)
    run = run_to_end(as_of=START)
    shown = page(staff_client, run.get_absolute_url())
    assert MISSING in shown
    assert "Retry all (3)" in shown
    for subscription in broken:
        fix_prices(subscription)
    url = reverse("admin:billing_run_retry", args=[run.pk])
    staff_client.post(url, {"subscription": broken[0].pk})
    assert BillingState.objects.get(parked_at=None).subscription == broken[0]
    shown = page(staff_client, run.get_absolute_url())
    assert "Billed since" in shown
    assert "Retry all (2)" in shown
    staff_client.post(url)
    assert not BillingState.objects.exclude(parked_at=None).exists()
    assert Invoice.objects.values("subscription").distinct().count() == 3
    assert "All subscriptions have been billed since" in staff_client.post(url, follow=True).content.decode()


def test_workers_retry_many_failed_subscriptions(staff_client, plan, monkeypatch):
    monkeypatch.setattr("billing.admin.pages.run.MOST_AT_ONCE", 1)
    monkeypatch.setattr("billing.admin.pages.run.CHUNK_SIZE", 2)
    handed: list[list[int]] = []
    monkeypatch.setattr("billing.tasks.retry_subscriptions.delay", handed.append)
    broken = [subscribed(plan) for _ in range(3)]
    for subscription in broken:
        break_prices(subscription)
    run = run_to_end(as_of=START)
    message = staff_client.post(reverse("admin:billing_run_retry", args=[run.pk]), follow=True).content.decode()
    assert "Billing 3 subscriptions again" in message
    assert handed == [[broken[0].pk, broken[1].pk], [broken[2].pk]]


def test_starting_and_retrying_require_permissions(plan):
    break_prices(subscribed(plan))
    run = run_to_end(as_of=START)
    viewer, stranger = staff_with("view_billingrun", "view_runfinding"), staff_with("view_customer")
    retry = reverse("admin:billing_run_retry", args=[run.pk])
    assert "Retry" not in page(viewer, run.get_absolute_url())
    assert viewer.post(retry).status_code == 403
    assert viewer.get(retry).status_code == 405
    dry = {"_form_submitted": "True", "as_of": "2026-10-01T00:00"}
    assert viewer.post(reverse("admin:billing_billingrun_start_dry"), dry).status_code == 403
    closed = [reverse("admin:billing_run_csv", args=[run.pk]), FINDINGS, run.get_absolute_url()]
    assert [stranger.get(url).status_code for url in closed] == [403] * 3
    assert page(viewer, FINDINGS)


def test_number_of_findings_does_not_change_query_count(staff_client, plan):
    def queries(count):
        for _ in range(count):
            break_prices(subscribed(plan))
            subscribed(plan)
        run = run_to_end(as_of=START)
        dry = dry_run(NOVEMBER)
        seen = []
        for url in (run.get_absolute_url(), dry.get_absolute_url(), f"{FINDINGS}?run__id__exact={dry.pk}"):
            page(staff_client, url)
            with CaptureQueriesContext(connection) as captured:
                page(staff_client, url)
            seen.append(len(captured))
        return seen

    assert queries(1) == queries(6)
