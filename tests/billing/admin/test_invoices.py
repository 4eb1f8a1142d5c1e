"""Invoices in the admin: lists, pages, actions, exports and permissions."""

import io
from datetime import timedelta

import openpyxl
import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.explanation.page import build_events_url
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import BillingRun, BillingState, Invoice
from billing.money import format_amount
from billing.runs.billing_run import run_to_end
from billing.settlement.payments import Receipt, record_payment
from catalog.models import EventNameAlias
from customers.models import Subscription
from tests.admin_pages import text_of
from tests.billing.invoices import ISSUED, make_draft, make_finalized
from tests.billing.world import D, bill, use, utc
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
START, END = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform fee"}
LIST = "/admin/billing/invoice/"
RECEIVED = {"amount": "1", "received_on": "2026-10-02", "method": "bank_transfer"}


@pytest.fixture
def calls(db):
    return make_feature(name="API calls")


@pytest.fixture
def plan(calls):
    return make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}, free_units={calls: 100})


@pytest.fixture
def make_invoiced(plan, calls):
    """Subscribe customers, bill September and return the drafts for its usage."""

    def make(count=1):
        for _ in range(count):
            customer = make_customer(name="Acme")
            make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
            use(customer, calls, utc(2026, 9, 5), 350)
        return [invoice for invoice in bill(END) if invoice.kind == "cycle"]

    return make


def page(client, url, status=200):
    answer = client.get(url, follow=True)
    assert answer.status_code == status, url
    return answer.content.decode()


def press(client, invoice, action, **form):
    """Confirm an action's dialog on an invoice's page."""
    url = reverse(f"admin:billing_invoice_{action}", args=[invoice.pk])
    answer = client.post(url, {"_form_submitted": "True", **form}, follow=True)
    invoice.refresh_from_db()
    return answer.content.decode()


def staff_with(*permissions):
    user = make_user()
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_empty_list_says_what_to_do_next(staff_client):
    assert "No invoices yet" in page(staff_client, LIST)
    assert "No billing runs yet" in page(staff_client, "/admin/billing/billingrun/")
    assert "No live subscriptions" in page(staff_client, reverse("admin:billing_upcoming"))


def test_list_shows_totals_with_currency_and_searches_customers(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    listed = page(staff_client, LIST)
    assert '<span class="ch-money">$32.50 <small>USD</small></span>' in listed
    assert str(invoice) in page(staff_client, f"{LIST}?q={invoice.customer.external_id}")
    assert str(invoice) not in page(staff_client, f"{LIST}?q=nobody")


def test_list_length_does_not_change_query_count(staff_client, make_invoiced, django_assert_max_num_queries):
    make_invoiced(1)

    page(staff_client, LIST)
    with CaptureQueriesContext(connection) as few:
        page(staff_client, LIST)
    make_invoiced(10)
    with django_assert_max_num_queries(len(few)):
        page(staff_client, LIST)


def test_number_of_upcoming_invoices_does_not_change_query_count(staff_client, plan, django_assert_max_num_queries):
    url = reverse("admin:billing_upcoming")
    make_subscription(customer=make_customer(), plan=plan, starts_at=START, now=START)
    page(staff_client, url)
    with CaptureQueriesContext(connection) as few:
        page(staff_client, url)
    for _ in range(8):
        make_subscription(customer=make_customer(), plan=plan, starts_at=START, now=START)
    with django_assert_max_num_queries(len(few)):
        page(staff_client, url)


def test_page_shows_each_line_with_its_calculation(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    shown = page(staff_client, invoice.get_absolute_url())
    assert "API calls, 1–30 Sep 2026" in shown
    assert "350 used, 100 free, 250 × $0.01" in shown
    assert "free: 100 each billing period, 100 used on this line" in shown
    assert "counted from 350 events" in shown


def test_line_links_to_the_events_of_its_period(staff_client, make_invoiced, calls):
    [invoice] = make_invoiced()
    for number, at in enumerate([START - timedelta(microseconds=1), START, END - timedelta(microseconds=1), END]):
        send(customer=invoice.customer.external_id, at=at, event_id=f"edge-{number}")
    EventNameAlias.objects.create(alias="api.call", event_name="api.calls")
    send("api.call", customer=invoice.customer.external_id, at=START, event_id="mapped")
    process()
    url = build_events_url(invoice.lines.get(kind="usage"))
    assert url in page(staff_client, invoice.get_absolute_url()).replace("&amp;", "&")
    listed = {row["event"].event_id for row in staff_client.get(url).context_data["rows"]}
    assert {"edge-0", "edge-1", "edge-2", "edge-3", "mapped"} & listed == {"edge-1", "edge-2", "mapped"}


def test_line_is_recounted(staff_client, make_invoiced, calls):
    [invoice] = make_invoiced()
    url = reverse("admin:billing_line_proof", args=[invoice.lines.get(kind="usage").pk])
    assert "everything matches" in page(staff_client, url)
    use(invoice.customer, calls, utc(2026, 9, 6), 50)
    shown = page(staff_client, url)
    assert "the results differ" in shown
    assert "$0.50" in shown


def test_recounting_a_fee_explains_that_it_has_no_events(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    fee = invoice.lines.get(kind="fee")
    shown = page(staff_client, reverse("admin:billing_line_proof", args=[fee.pk]))
    assert shown.strip() == "<p>Only usage lines are counted from events. Check a fee by its number of days.</p>"


def test_finalize_dialog_shows_the_total_first(staff_client, staff_user, make_invoiced):
    [invoice] = make_invoiced()
    dialog = page(staff_client, reverse("admin:billing_invoice_finalize_one", args=[invoice.pk]))
    assert "$32.50" in dialog
    assert Invoice.objects.filter(state="finalized").count() == 0
    press(staff_client, invoice, "finalize_one")
    assert (invoice.state, invoice.finalized_by) == ("finalized", staff_user)
    assert "Draft → Finalized" in page(staff_client, invoice.get_absolute_url())


def test_selected_drafts_are_finalized_after_a_preview(staff_client, make_invoiced):
    drafts = make_invoiced(3)
    finalize(drafts[0], now=END)
    form = {"action": "finalize_selected", "_selected_action": [draft.pk for draft in drafts]}
    preview = text_of(staff_client.post(LIST, form))
    assert "Finalize 2 invoices, $65.00" in preview
    assert "1 will be skipped: already finalized, paid, or void." in preview
    assert Invoice.objects.filter(state="draft", kind="cycle").count() == 2
    staff_client.post(LIST, {**form, "confirmed": "yes"})
    assert Invoice.objects.filter(state="draft", kind="cycle").count() == 0


def test_voiding_requires_a_reason(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    finalize(invoice, now=END)
    assert "This field is required" in press(staff_client, invoice, "void_one")
    press(staff_client, invoice, "void_one", reason="Wrong customer")
    assert (invoice.state, invoice.void_reason) == ("void", "Wrong customer")
    assert "Wrong customer" in page(staff_client, invoice.get_absolute_url())


def test_void_dialog_shows_how_much_less_the_customer_owes(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    invoice = finalize(invoice, now=END)
    for action in ("void_one", "reissue_one"):
        dialog = text_of(staff_client.get(reverse(f"admin:billing_invoice_{action}", args=[invoice.pk])))
        amount = format_amount(invoice.amount_remaining, invoice.currency)
        assert f"Voiding {invoice} reduces what Acme owes by {amount} ." in dialog


def test_billing_progress_has_no_save_button(staff_client, make_invoiced):
    make_invoiced()
    state = BillingState.objects.get()
    shown = page(staff_client, reverse("admin:billing_billingstate_change", args=[state.pk]))
    assert f"Billing of {state.subscription}" in shown
    assert 'name="_save"' not in shown


def test_reissuing_opens_the_replacement(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    finalize(invoice, now=END)
    assert "Replaces" in press(staff_client, invoice, "reissue_one", reason="Wrong address")
    assert (invoice.state, invoice.replaced_by.total) == ("void", D("32.50"))


def test_refused_action_shows_the_reason(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    finalize(invoice, now=END)
    void(invoice, reason="Wrong", by=None, now=END)
    assert "Only finalized invoices can be paid" in press(staff_client, invoice, "pay_one", **RECEIVED)


def test_draft_is_recalculated_finalized_and_paid(staff_client, make_invoiced, calls):
    [invoice] = make_invoiced()
    use(invoice.customer, calls, utc(2026, 9, 6), 100)
    press(staff_client, invoice, "recompute_one")
    assert invoice.total == D("33.50")
    finalize(invoice, now=END)
    press(staff_client, invoice, "pay_one", **RECEIVED | {"amount": "33.50"})
    assert (invoice.state, invoice.amount_paid) == ("paid", D("33.50"))


def test_viewers_can_see_invoices_and_change_nothing(make_invoiced):
    [invoice] = make_invoiced()
    viewer = staff_with("view_invoice", "view_billingrun")
    shown = page(viewer, invoice.get_absolute_url())
    assert "API calls" in shown
    for action in ("finalize_one", "recompute_one", "pay_one", "void_one", "reissue_one"):
        url = reverse(f"admin:billing_invoice_{action}", args=[invoice.pk])
        assert viewer.post(url, {"_form_submitted": "True", "reason": "x"}).status_code == 403
    viewer.post(LIST, {"action": "finalize_selected", "_selected_action": [invoice.pk], "confirmed": "yes"})
    assert viewer.post(reverse("admin:billing_billingrun_start"), {"_form_submitted": "True"}).status_code == 403
    invoice.refresh_from_db()
    assert invoice.state == "draft"


def test_pages_require_the_view_permission(make_invoiced):
    [invoice] = make_invoiced()
    stranger = staff_with("view_customer")
    closed = [
        LIST,
        invoice.get_absolute_url(),
        reverse("admin:billing_upcoming"),
        reverse("admin:billing_subscription_upcoming", args=[invoice.subscription_id]),
        reverse("admin:billing_line_proof", args=[invoice.lines.first().pk]),
        reverse("admin:billing_run_progress", args=[BillingRun.objects.first().pk]),
    ]
    assert [stranger.get(url).status_code for url in closed] == [403] * 6


def test_invoices_cannot_be_edited_deleted_or_added(staff_client, make_invoiced):
    [invoice] = make_invoiced()
    assert staff_client.post(invoice.get_absolute_url(), {"total": "1"}).status_code == 403
    assert staff_client.post(reverse("admin:billing_invoice_delete", args=[invoice.pk])).status_code == 403
    assert staff_client.get(reverse("admin:billing_invoice_add")).status_code == 403


def test_upcoming_page_shows_usage_so_far(staff_client, plan, calls):
    now = timezone.now()
    customer = make_customer(name="Acme")
    subscription = make_subscription(customer=customer, plan=plan, starts_at=now - timedelta(days=3), now=now)
    use(customer, calls, now - timedelta(days=1), 350)
    shown = page(staff_client, reverse("admin:billing_subscription_upcoming", args=[subscription.pk]))
    assert "350 used, 100 free, 250 × $0.01" in shown
    assert "Earlier: Subscription start" in shown
    assert "$32.50" in page(staff_client, reverse("admin:billing_upcoming"))


def test_parked_subscriptions_are_listed_and_billed_again(staff_client, plan):
    subscription = make_subscription(customer=make_customer(name="Acme"), plan=plan, starts_at=START, now=START)
    Subscription.objects.filter(pk=subscription.pk).update(interval="year")
    run_to_end(as_of=START)
    assert "has no prices in USD per year" in page(staff_client, "/admin/billing/billingstate/?parked=yes")
    assert "has no prices in USD per year" in page(staff_client, BillingRun.objects.get().get_absolute_url())
    Subscription.objects.filter(pk=subscription.pk).update(interval="month")
    url = reverse("admin:billing_billingstate_retry_one", args=[subscription.pk])
    assert "invoice" in staff_client.post(url, {"_form_submitted": "True"}, follow=True).content.decode()
    assert BillingState.objects.get().parked_at is None
    assert Invoice.objects.exists()


def test_run_is_started_by_staff(staff_client, staff_user, plan, monkeypatch, django_capture_on_commit_callbacks):
    handed: list[int] = []
    monkeypatch.setattr("billing.tasks.bill_chunk.delay", handed.append)
    url = reverse("admin:billing_billingrun_start")
    answer = staff_client.post(url, {"_form_submitted": "True"}, follow=True)
    assert "Nothing is due" in answer.content.decode()
    make_subscription(customer=make_customer(), plan=plan, starts_at=START, now=START)
    with django_capture_on_commit_callbacks(execute=True):
        staff_client.post(url, {"_form_submitted": "True"})
    run = BillingRun.objects.get()
    assert (run.kind, run.started_by, len(handed)) == ("manual", staff_user, 1)
    assert "every 2s" in page(staff_client, run.get_absolute_url())


def exported(client, sheet="Export", **form):
    """Export the list and return the rows of a sheet of the file as dicts."""
    answer = client.post(f"{LIST}export/", {"format": "1", "resource": "0"} | form)
    header, *rows = openpyxl.load_workbook(io.BytesIO(answer.getvalue()))[sheet].values
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_export_keeps_numbers_as_numbers(staff_client, make_invoiced):
    make_invoiced()
    found = exported(staff_client)
    assert [(row["customer"], row["currency"], row["total"]) for row in found] == [
        ("Acme", "USD", 32.5),
        ("Acme", "USD", 30),
    ]
    answer = staff_client.post(f"{LIST}export/", {"format": "0", "resource": "1"})
    assert "Platform fee, 1–30 Sep 2026" in answer.getvalue().decode()


def test_exports_have_the_status_of_lists(staff_client):
    customer = make_customer()
    make_draft("1", customer=customer)
    _, part, _, done = [
        make_finalized(amount, customer=customer, due_at=timezone.now() + timedelta(days=days))
        for amount, days in (("2", 9), ("3", 9), ("4", -9), ("5", 9))
    ]
    record_payment(part, Receipt(D(1), ISSUED.date()), now=ISSUED, by=None)
    record_payment(done, Receipt(D(5), ISSUED.date()), now=ISSUED, by=None)
    void(make_finalized("6", customer=customer), reason="Wrong", now=ISSUED, by=None)
    expected = ["Void", "Paid", "Overdue", "Partly paid", "Open", "Draft"]
    assert [row["status"] for row in exported(staff_client)] == expected
    assert [row["invoice_status"] for row in exported(staff_client, resource="1")] == expected


def test_saved_views_are_tabs_above_the_list(staff_client):
    now = timezone.now()
    make_draft("1")
    soon, earlier = now + timedelta(days=9), now - timedelta(days=9)
    finalize(make_draft("2", due_at=soon), now=now)
    part = finalize(make_draft("3", due_at=soon), now=now)
    record_payment(part, Receipt(D(1), now.date()), now=now, by=None)
    finalize(make_draft("4", due_at=earlier), now=now - timedelta(days=40))
    views = staff_client.get(LIST).context_data["views"]
    listed = {}
    for name, query, _ in views:
        response = staff_client.get(f"{LIST}?{query}").context_data
        assert [view for view, _, is_open in response["views"] if is_open] == [name]
        listed[name] = sorted(int(invoice.total) for invoice in response["cl"].queryset)
    assert listed == {
        "All": [1, 2, 3, 4],
        "Drafts": [1],
        "Open": [2, 3, 4],
        "Overdue": [4],
        "Partly paid": [3],
        "This month": [2, 3],
    }


def test_export_uses_the_selected_time_zone_and_adds_up_by_currency(staff_client, make_invoiced):
    make_invoiced()
    make_draft("1500", currency="JPY", customer=make_customer(name="=HYPERLINK()", external_id="007"))
    assert 'name="timezone"' in page(staff_client, f"{LIST}export/")
    invoices = exported(staff_client, timezone="Asia/Tokyo")
    assert invoices[0]["customer"] == "=HYPERLINK()"
    assert invoices[0]["customer_external_id"] == "007"
    assert [str(row["period_end"]) for row in invoices[1:]] == ["2026-10-01 09:00:00"] * 2
    yen, dollars = exported(staff_client, "Totals")
    assert (yen["currency"], yen["total"]) == ("JPY", 1500)
    assert (dollars["currency"], dollars["total"], dollars["amount_due"]) == ("USD", 62.5, 62.5)
    lines = exported(staff_client, resource="1")
    usage = next(row for row in lines if row["kind"] == "usage")
    assert (usage["quantity"], usage["events_count"], usage["amount"]) == (350, 350, 2.5)
    assert [row["amount"] for row in exported(staff_client, "Totals", resource="1")] == [1500, 62.5]


def test_export_with_too_many_rows_is_refused(staff_client, make_invoiced, monkeypatch):
    make_invoiced()
    monkeypatch.setattr("billing.admin.invoices.exports.MOST_ROWS", 1)
    page = staff_client.post(f"{LIST}export/", {"format": "0", "resource": "0"}, follow=True)
    assert "More than 1 rows" in page.content.decode()


def test_the_list_is_exported_as_filtered_with_one_click(staff_client, make_invoiced, monkeypatch):
    make_invoiced()
    make_draft("7", customer=make_customer(name="Bob", external_id="bob"))
    answer = staff_client.get(LIST, {"kind__exact": "one_off", "_export": "csv"})
    assert "Bob,,USD" in answer.getvalue().decode()
    assert "Acme" not in answer.getvalue().decode()
    monkeypatch.setattr("billing.admin.invoices.exports.MOST_ROWS", 1)
    assert "More than 1 rows" in staff_client.get(LIST, {"_export": "csv"}, follow=True).content.decode()
