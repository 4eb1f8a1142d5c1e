"""A month end of many customers: calculated by workers in ranges, with the same figures as all at once."""

import csv
import io
import threading
from datetime import date

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.invoicing.compute import compute_invoices
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import BillingState, MonthEndChunk, MonthEndReport
from billing.month_end import background
from billing.month_end.customer_ranges import CustomerRange, customer_ranges
from billing.month_end.months import Month
from billing.month_end.report import month_end
from billing.month_end.totals import ChunkTotals, calculate_all, compute_chunk
from billing.tasks import continue_month_ends
from customers.models import Customer, Subscription
from customers.subscriptions import cancel, change_plan, pause, resume
from tests.admin_pages import as_viewer, url
from tests.billing.late import arrive_many, invoice_at, work_late
from tests.billing.month_end_model import slow_accrual, slow_usage
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER = Month.named("2026-09")
NOW = utc(2026, 10, 12)


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr("billing.month_end.customer_ranges.SIZE", 2)


@pytest.fixture
def calls(db):
    return make_feature(name="Calls")


@pytest.fixture
def plan(calls):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform fee"}
    return make_version(fee, {"feature": calls, "unit_amount": D("0.10")}, name="Growth").plan


@pytest.fixture
def five(plan, calls):
    """Five customers with 10 calls each in September, at $0.10, whose periods go on."""
    for no in range(5):
        customer = make_customer(external_id=f"customer_{no}")
        make_subscription(customer=customer, plan=plan, starts_at=utc(2026, 9, 10), now=utc(2026, 9, 10))
        use(customer, calls, utc(2026, 9, 20), 10)


def sell(plan, at, **given):
    customer = make_customer()
    return customer, make_subscription(customer=customer, plan=plan, starts_at=at, now=at, **given)


@pytest.fixture
def world(plan, calls):
    """Changes of plan, a pause, trials, an end, voids, drafts, late usage, running totals, and usage of nobody's."""
    stored = make_feature(name="Stored", field="gb", reset="cumulative")
    wide = make_version({"feature": calls, "unit_amount": D("0.20")}, {"feature": stored, "unit_amount": D(1)}).plan
    august, september, tenth = utc(2026, 8, 1), utc(2026, 9, 1), utc(2026, 9, 10)
    late = make_customer(external_id="acme")
    make_subscription(customer=late, plan=plan, starts_at=august, now=august)
    customers = [late, make_customer()]  # the second has no subscription
    for terms in (plan, wide):
        customers += [sell(terms, at)[0] for at in (august, utc(2026, 8, 15, 13), september, tenth)]
        customers.append(sell(terms, september, trial_days=12)[0])
    changed, paused, ended, voided, drafted = (sell(plan, september) for _ in range(5))
    change_plan(changed[1], wide, at=utc(2026, 9, 14), now=utc(2026, 9, 14), by=None)
    pause(paused[1], at=utc(2026, 9, 8), now=utc(2026, 9, 8), by=None, reason="Holiday")
    resume(paused[1], at=utc(2026, 9, 18), now=utc(2026, 9, 18), by=None)
    cancel(ended[1], at=utc(2026, 9, 23), now=utc(2026, 9, 23), by=None, reason="Left")
    twice = changed[0]
    make_subscription(customer=twice, plan=wide, starts_at=utc(2026, 9, 25), now=utc(2026, 9, 25))
    customers += [customer for customer, _ in (changed, paused, ended, voided, drafted)]
    for no, customer in enumerate(customers):
        for day in range(1, 29, 3):
            use(customer, calls, utc(2026, 9, day, no % 24), no + day)
            use(customer, stored, utc(2026, 9, day, 5), day, events=2)
        use(customer, calls, utc(2026, 8, 20), 100)
        use(customer, calls, utc(2026, 10, 3), 7)
    for invoice in bill(utc(2026, 10, 1)):
        if invoice.subscription_id != drafted[1].pk:
            assert invoice.period_end is not None
            assert invoice.period_start is not None
            finalize(invoice, now=max(invoice.period_end, invoice.period_start).replace(minute=30))
        if invoice.subscription_id == voided[1].pk:
            void(invoice, reason="Wrong", by=None, now=utc(2026, 10, 2))
    arrive_many(3, utc(2026, 9, 20))
    work_late(utc(2026, 10, 5))
    late_on = [invoice for invoice in invoice_at(utc(2026, 11, 1)) if invoice.lines.filter(kind="late_usage").exists()]
    assert len(late_on) == 1
    BillingState.objects.filter(subscription=drafted[1]).update(billed_until=utc(2026, 10, 1))


@pytest.mark.parametrize("size", [1, 3, 500])
def test_customer_ranges_add_up_to_a_slow_second_calculation(world, monkeypatch, size):
    monkeypatch.setattr("billing.month_end.customer_ranges.SIZE", size)
    for name in ("2026-08", "2026-09", "2026-10"):
        month = Month.named(name)
        part = ChunkTotals()
        for customers in customer_ranges():
            part.add(ChunkTotals.from_json(compute_chunk(month, customers, now=NOW).as_json()))
        found = {(row.feature.name, row.status.name): row.events for row in part.usage.rows}
        assert found == slow_usage(month, NOW)
        assert part.earned == slow_accrual(month)
        assert part.usage.difference == 0


def test_workers_calculate_the_same_as_all_at_once(five, few_at_once):
    report = background.start(SEPTEMBER, now=NOW, by=None)
    assert (report.customers, report.chunks.count(), report.finished_at) == (5, 3, None)
    assert continue_month_ends() == 3  # 2 + 2 + 1
    report.refresh_from_db()
    at_once = calculate_all(SEPTEMBER, customer_ranges(), now=NOW)
    assert report.found == at_once.as_json()
    assert at_once.accrual.totals() == {"USD": D(5)}
    assert (report.finished_at is not None, MonthEndChunk.objects.count()) == (True, 0)
    assert background.finished(SEPTEMBER) == [report]
    assert continue_month_ends() == 0


def test_a_second_call_returns_the_unfinished_report(five, few_at_once):
    first = background.start(SEPTEMBER, now=NOW, by=None)
    assert background.start(SEPTEMBER, now=utc(2026, 10, 13), by=None) == first
    assert background.start(SEPTEMBER.next, now=NOW, by=None) != first
    assert first.chunks.count() == 3
    continue_month_ends()
    assert background.start(SEPTEMBER, now=utc(2026, 10, 13), by=None) != first


def test_a_killed_worker_loses_only_its_current_chunk(five, few_at_once, monkeypatch):
    report = background.start(SEPTEMBER, now=NOW, by=None)
    assert background.calculate_chunk(report.pk, now=NOW)
    with monkeypatch.context() as patched:
        patched.setattr("billing.month_end.background.compute_chunk", lambda *given, **named: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            background.calculate_chunk(report.pk, now=NOW)
    assert background.progress(SEPTEMBER) == background.Progress(report, 2)
    assert continue_month_ends() == 2
    assert ChunkTotals.from_json(MonthEndReport.objects.get().found).accrual.totals() == {"USD": D(5)}


def test_a_failing_month_does_not_stop_others(five, few_at_once, monkeypatch):
    failing, other = (background.start(month, now=NOW, by=None) for month in (SEPTEMBER, SEPTEMBER.next))

    def fail(month, customers, *, now):
        return compute_chunk(month, customers, now=now) if month != SEPTEMBER else 1 // 0

    with monkeypatch.context() as patched:
        patched.setattr("billing.month_end.background.compute_chunk", fail)
        with pytest.raises(ZeroDivisionError):
            continue_month_ends()
    assert background.unfinished() == [failing.pk]
    assert background.finished(SEPTEMBER.next) == [other]
    assert continue_month_ends() == 3


def test_the_database_checks_months_and_finished_chunks(five):
    with pytest.raises(IntegrityError, match="month_end_named_by_first_day"), transaction.atomic():
        MonthEndReport.objects.create(month=date(2026, 9, 2), as_of=NOW)
    chunks = background.start(SEPTEMBER, now=NOW, by=None).chunks
    with pytest.raises(IntegrityError, match="finished_month_end_chunk_has_found"), transaction.atomic():
        chunks.update(finished_at=NOW)
    with pytest.raises(IntegrityError, match="month_end_chunk_holds_customers"), transaction.atomic():
        chunks.update(last_id=0)


def test_a_month_without_customers_is_finished_at_once(db):
    report = background.start(SEPTEMBER, now=NOW, by=None)
    assert report.finished_at == NOW
    assert ChunkTotals.from_json(report.found).usage.counted == 0


def test_only_the_first_subscriptions_that_cant_be_rated_are_named(five, monkeypatch):
    monkeypatch.setattr("billing.month_end.totals.MOST_NAMED", 2)
    three = list(Subscription.objects.order_by("pk").values_list("pk", flat=True)[:3])
    Subscription.objects.filter(pk__in=three).update(interval="year")  # behind the doors' backs
    found = month_end(SEPTEMBER, now=NOW).accrual
    assert (len(found.problems), found.unrated, found.totals()) == (2, 3, {"USD": D(2)})


def test_an_unexpected_error_leaves_out_one_subscription_and_the_report_finishes(five, few_at_once, monkeypatch):
    broken = Subscription.objects.order_by("pk")[2]

    def broken_for_one(works):
        if any(work.subscription.subscription_id == broken.pk for work in works):
            raise ZeroDivisionError("a bug")
        return compute_invoices(works)

    monkeypatch.setattr("billing.month_end.accrual.compute_invoices", broken_for_one)
    report = background.start(SEPTEMBER, now=NOW, by=None)
    continue_month_ends()
    report.refresh_from_db()
    found = ChunkTotals.from_json(report.found).accrual
    assert found.problems == {broken.public_id: "Unexpected error, ZeroDivisionError: a bug"}
    assert found.totals() == {"USD": D(4)}


def test_a_customer_range_costs_the_same_queries_at_any_size(five):
    keys = list(Customer.objects.order_by("pk").values_list("pk", flat=True))

    def queries(last):
        with CaptureQueriesContext(connection) as counted:
            compute_chunk(SEPTEMBER, CustomerRange(keys[0], last), now=NOW)
        return len(counted)

    assert queries(keys[0]) == queries(keys[4])


def test_the_page_starts_a_large_month_and_shows_it_when_finished(five, few_at_once, staff_client):
    address = url("billing_month_end", month="2026-09")
    first = staff_client.get(address).content.decode()
    assert 'hx-trigger="load"' in first
    assert "Before you close" in first
    assert "Accrual" not in first
    assert MonthEndReport.objects.count() == 0
    asked = staff_client.post(url("billing_month_end_work_out", month="2026-09"), headers={"HX-Request": "true"})
    assert "0 of 5 customers" in asked.content.decode()
    background.calculate_chunk(MonthEndReport.objects.get().pk, now=timezone.now())
    assert "2 of 5 customers" in staff_client.get(url("billing_month_end_progress", month="2026-09")).content.decode()
    assert "2 of 5 customers" in staff_client.get(address).content.decode()
    assert staff_client.get(address + "&format=csv")["Content-Type"].startswith("text/html")
    continue_month_ends()
    done = staff_client.get(url("billing_month_end_progress", month="2026-09"))
    assert done["HX-Redirect"] == address
    page = staff_client.get(address).content.decode()
    for words in ("5 customers, calculated in", "Recalculate", "Unbilled revenue", "$5.00", "as of"):
        assert words in page
    answer = staff_client.get(address + "&format=csv")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert ["2026-09", "Accrual", "USD", "Usage not billed", "Growth", "Calls", "", "5.00"] in rows


def test_figures_stay_while_newer_ones_are_calculated(five, few_at_once, staff_client, calls):
    address, again = (url(name, month="2026-09") for name in ("billing_month_end", "billing_month_end_work_out"))
    staff_client.post(again)
    continue_month_ends()
    use(Customer.objects.first(), calls, utc(2026, 9, 21), 10)
    answer = staff_client.post(again, follow=True)
    assert "Calculating September 2026" in answer.content.decode()
    page = staff_client.get(address).content.decode()
    assert "0 of 5 customers" in page
    assert "$5.00" in page
    continue_month_ends()
    assert "$6.00" in staff_client.get(address).content.decode()
    assert [report.started_by for report in MonthEndReport.objects.all()] == [User.objects.get()] * 2


def test_an_earlier_report_can_be_opened_again(five, few_at_once, staff_client, calls):
    address, again = (url(name, month="2026-09") for name in ("billing_month_end", "billing_month_end_work_out"))
    staff_client.post(again)
    continue_month_ends()
    assert 'for="report"' not in staff_client.get(address).content.decode()
    use(Customer.objects.first(), calls, utc(2026, 9, 21), 10)
    staff_client.post(again)
    continue_month_ends()
    page = staff_client.get(address).content.decode()
    assert 'for="report"' in page
    assert "$6.00" in page
    first = MonthEndReport.objects.order_by("pk").first()
    page = staff_client.get(f"{address}&report={first.pk}").content.decode()
    assert "$5.00" in page
    assert f"report={first.pk}&amp;format=csv" in page
    answer = staff_client.get(f"{address}&report={first.pk}&format=csv")
    assert b",Growth,Calls,,5.00" in b"".join(answer.streaming_content)
    assert "$6.00" in staff_client.get(f"{address}&report=nonsense").content.decode()


def test_a_future_month_is_calculated_only_on_request(five, few_at_once, staff_client):
    page = staff_client.get(url("billing_month_end", month="2900-01")).content.decode()
    assert "Calculate</button>" in page
    assert 'hx-trigger="load"' not in page


def test_calculating_a_month_needs_permission_to_view_invoices(five, few_at_once, client):
    client.force_login(make_user())
    for other in (client, as_viewer("events")):
        assert other.post(url("billing_month_end_work_out", month="2026-09")).status_code == 403
        assert other.get(url("billing_month_end_progress", month="2026-09")).status_code == 403
    viewer = as_viewer("billing")
    assert viewer.get(url("billing_month_end_work_out", month="2026-09")).status_code == 405
    assert viewer.post(url("billing_month_end_work_out", month="nonsense")).status_code == 403
    assert viewer.post(url("billing_month_end_work_out", month="2026-09")).status_code == 302
    assert MonthEndReport.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_workers_claim_different_chunks(five, few_at_once):
    report = background.start(SEPTEMBER, now=NOW, by=None)
    threads = [threading.Thread(target=_work) for _ in range(2)]
    with transaction.atomic():
        held = MonthEndChunk.objects.select_for_update().order_by("first_id").first()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(MonthEndChunk.objects.filter(finished_at=None)) == [held]
    assert continue_month_ends() == 1
    report.refresh_from_db()
    assert ChunkTotals.from_json(report.found).accrual.totals() == {"USD": D(5)}


def _work():
    continue_month_ends()
    connection.close()
