"""Month end: every event has one status, every sum is calculated twice, and unbilled revenue is reported."""

import csv
import io
from datetime import date

import openpyxl
import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.urls import reverse

from billing.explanation.line_events import list_events
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.models import BillingState
from billing.month_end.checklist import checklist
from billing.month_end.months import Month
from billing.month_end.report import month_end
from billing.month_end.revenue import books
from billing.month_end.usage import UsageStatus, pieces
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import Receipt, record_payment
from customers.kinds import CommitmentKind
from customers.periods import Period
from customers.subscriptions import CommitmentTerms, agree_commitment, cancel, pause
from tests.admin_pages import as_viewer, count_queries, url
from tests.billing.adjusting import make_credit, make_tax
from tests.billing.invoices import make_draft
from tests.billing.late import arrive_many, invoice_at, work_late
from tests.billing.world import D, bill, use, utc
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER = Month.named("2026-09")
START, NOW = utc(2026, 9, 1), utc(2026, 10, 5)


@pytest.fixture
def calls(db):
    return make_feature(name="Calls")


@pytest.fixture
def plan(calls):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform fee"}
    return make_version(fee, {"feature": calls, "unit_amount": D("0.10")}, name="Growth").plan


def sell(plan, starts_at=START, **given):
    customer = make_customer(**given)
    return customer, make_subscription(customer=customer, plan=plan, starts_at=starts_at, now=starts_at)


def went(month=SEPTEMBER, now=NOW):
    found = month_end(month, now=now).usage
    assert found.difference == 0
    return {place.name: events for place, events in found.totals().items()}


def accrual(month):
    return month_end(month, now=NOW).accrual


def test_months_follow_each_other_over_the_new_year():
    december = Month.named("2026-12")
    assert (december.last, str(december.next), str(december.previous)) == (date(2026, 12, 31), "2027-01", "2026-11")
    assert str(Month.before(utc(2027, 1, 15))) == "2026-12"
    assert december.period == Period(utc(2026, 12, 1), utc(2027, 1, 1))


def test_each_piece_of_a_period_has_the_strongest_status():
    day = [utc(2026, 9, n) for n in range(1, 31)]
    period = Period(day[0], day[20])
    covers = [
        (Period(utc(2026, 8, 1), day[5]), UsageStatus.VOID),
        (Period(day[3], day[10]), UsageStatus.DRAFT),
        (Period(day[10], day[12]), UsageStatus.DRAFT),
        (Period(day[4], day[6]), UsageStatus.INVOICED),
    ]
    assert pieces(period, covers) == [
        (Period(day[0], day[3]), UsageStatus.VOID),
        (Period(day[3], day[4]), UsageStatus.DRAFT),
        (Period(day[4], day[6]), UsageStatus.INVOICED),
        (Period(day[6], day[12]), UsageStatus.DRAFT),
        (Period(day[12], day[20]), UsageStatus.NO_SUBSCRIPTION),
    ]
    assert pieces(period, []) == [(period, UsageStatus.NO_SUBSCRIPTION)]


def test_usage_of_a_month_is_found_on_its_invoice_its_draft_or_its_running_period(plan, calls):
    customer, _ = sell(plan, utc(2026, 9, 10))  # bills on the 10th
    use(customer, calls, utc(2026, 9, 9), 1)  # before it began
    use(customer, calls, utc(2026, 9, 10), 20)
    use(customer, calls, utc(2026, 9, 30), 300)
    assert went() == {"RUNNING": 320, "NO_SUBSCRIPTION": 1}
    (cycle,) = [invoice for invoice in bill(utc(2026, 10, 10)) if invoice.kind == "cycle"]
    assert went(now=utc(2026, 10, 11)) == {"DRAFT": 320, "NO_SUBSCRIPTION": 1}
    finalize(cycle, now=utc(2026, 10, 11))
    assert went(now=utc(2026, 10, 11)) == {"INVOICED": 320, "NO_SUBSCRIPTION": 1}
    void(cycle, reason="Wrong", by=None, now=utc(2026, 10, 12))
    assert went(now=utc(2026, 10, 12)) == {"VOID": 320, "NO_SUBSCRIPTION": 1}


def test_a_period_that_is_over_and_not_billed_is_due(plan, calls):
    customer, _ = sell(plan)
    use(customer, calls, utc(2026, 9, 5), 7)
    assert went(now=utc(2026, 9, 20)) == {"RUNNING": 7}
    assert went(now=NOW) == {"DUE": 7}


def test_unbilled_usage_has_a_reason(plan, calls):
    other = make_feature(name="Storage", event_name="storage", field="gb")
    customer, subscription = sell(plan)
    use(customer, other, utc(2026, 9, 2), 5, events=5)
    use(customer, calls, utc(2026, 9, 12), 3)
    pause(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None, reason="Holiday")
    assert went(now=utc(2026, 9, 20)) == {"PAUSED": 8 - 5, "NO_PRICE": 5}


def test_usage_added_to_an_invoiced_period_without_a_line_is_left_out(plan, calls):
    customer, _ = sell(plan)
    bill(utc(2026, 10, 1))
    use(customer, calls, utc(2026, 9, 12), 3)
    assert went() == {"LEFT_OUT": 3}


def test_late_usage_is_left_out_until_it_is_on_an_invoice(plan, calls):
    sell(plan, external_id="acme")
    invoice_at(utc(2026, 10, 1))
    arrive_many(3, utc(2026, 9, 20))
    assert went() == {"LEFT_OUT": 3}
    work_late(NOW)
    late = next(line for invoice in invoice_at(utc(2026, 11, 1)) for line in invoice.lines.filter(kind="late_usage"))
    assert went(now=utc(2026, 11, 1)) == {"INVOICED": 3}
    assert len(list(list_events(late, most=10))) == 3


def test_a_trial_is_free(plan, calls):
    customer = make_customer()
    start = utc(2026, 9, 1)
    make_subscription(customer=customer, plan=plan, starts_at=start, now=start, trial_days=10)
    use(customer, calls, utc(2026, 9, 2), 4)
    bill(utc(2026, 10, 12))
    assert went(now=utc(2026, 10, 12)) == {"FREE_TRIAL": 4}


def test_a_running_total_charges_usage_from_before_its_subscription_too():
    stored = make_feature(name="Stored", field="gb", reset="cumulative")
    plan = make_version({"feature": stored, "unit_amount": D(1)}).plan
    customer, _ = sell(plan, utc(2026, 9, 10))
    use(customer, stored, utc(2026, 9, 2), 5, events=5)
    use(customer, stored, utc(2026, 9, 20), 2, events=2)
    bill(utc(2026, 10, 10))
    assert went(now=utc(2026, 10, 11)) == {"DRAFT": 7}


def test_the_books_of_a_month_add_up(plan, calls):
    """August's $30 is open at the start. September: $30 + 50 calls at $0.10 + 20% tax, $10 of prepaid credit, a
    credit note, a payment, and a void."""
    customer, _ = sell(plan, utc(2026, 8, 15))
    (opening,) = bill(utc(2026, 8, 15))
    finalize(opening, now=utc(2026, 8, 16))
    use(customer, calls, utc(2026, 9, 1), 50)
    make_tax(D(20), of=customer)
    make_credit(customer, 10)
    (cycle,) = bill(utc(2026, 9, 15))
    finalize(cycle, now=utc(2026, 9, 16))  # 30 + 5 + 7 tax = 42, less 10
    wrong = finalize(make_draft("100", customer=customer), now=utc(2026, 9, 17))
    void(wrong, reason="Wrong", by=None, now=utc(2026, 9, 18))
    line = cycle.lines.get(kind="usage")
    note = draft_credit_note(cycle, {line.pk: D(2)}, reason="billing_error", by=None)
    finalize_credit_note(note, now=utc(2026, 9, 20), by=None)  # 2 and 0.40 of tax
    record_payment(opening, Receipt(D(30), date(2026, 9, 30)), now=NOW, by=None)
    finalize(make_draft("7", currency="EUR", customer=customer), now=utc(2026, 9, 30, 23))

    eur, usd = books(SEPTEMBER)
    assert (eur.currency, eur.invoiced, eur.closing) == ("EUR", D(7), D(7))
    assert [(row.kind, row.plan, row.feature, row.charged, row.voided, row.credited) for row in usd.rows] == [
        ("fee", "Growth", "", D(30), 0, 0),
        ("usage", "Growth", "Calls", D(5), 0, D(2)),
        ("tax", "", "", D(7), 0, D("0.40")),
        ("item", "", "", D(100), D(100), 0),
    ]
    assert usd.net == D("39.60")
    assert (usd.opening, usd.invoiced, usd.voided, usd.credited) == (D(30), D(142), D(100), D("2.40"))
    # 30 + 142 − 100 − 2.40 − 10 − 30
    assert (usd.prepaid, usd.paid, usd.closing) == (D(10), D(30), D("29.60"))
    assert all(check.agrees for one in (eur, usd) for check in one.checks())
    (_, october) = books(SEPTEMBER.next)
    assert october.opening == D("29.60")
    assert usd.closing == cycle.__class__.objects.get(pk=cycle.pk).amount_remaining


def test_unbilled_revenue_is_rated_by_the_code_that_bills(plan, calls):
    customer, _ = sell(plan, utc(2026, 9, 10))
    use(customer, calls, utc(2026, 9, 20), 40)
    use(customer, calls, utc(2026, 10, 2), 500)  # the same period, the next month
    other, _ = sell(plan)
    use(other, calls, utc(2026, 9, 20), 25)
    found = accrual(SEPTEMBER)
    # 40 and 25 calls at $0.10
    assert [(row.plan, row.feature, row.amount, row.subscriptions) for row in found.rows] == [
        ("Growth", "Calls", D("6.50"), 2)
    ]
    assert found.totals() == {"USD": D("6.50")}
    for invoice in bill(utc(2026, 10, 10)):
        finalize(invoice, now=utc(2026, 10, 10))
    assert accrual(SEPTEMBER).totals() == {"USD": D("6.50")}  # nothing of it was billed by the end of September
    assert accrual(SEPTEMBER.next).totals() == {}  # bills to 10 October hold it; what follows has no usage


def test_an_ended_subscription_accrues_until_its_final_invoice_is_finalized(plan, calls):
    customer, subscription = sell(plan, utc(2026, 9, 1))
    use(customer, calls, utc(2026, 9, 3), 10)
    cancel(subscription, at=utc(2026, 9, 5), now=utc(2026, 9, 5), by=None, reason="Left")
    assert accrual(SEPTEMBER).totals() == {"USD": D(1)}
    for invoice in bill(utc(2026, 9, 5)):
        finalize(invoice, now=utc(2026, 9, 6))
    assert accrual(SEPTEMBER).totals() == {}


def test_the_checklist_counts_what_its_links_list(plan, calls, staff_client):
    sell(plan)
    bill(utc(2026, 10, 1))
    make_draft("9")
    tasks = {task.name: task for task in checklist(SEPTEMBER, now=NOW)}
    drafts = tasks["Drafts to finalize"]
    # the start's $30, and the next $30 at the period's end; the one-off has no period
    assert (drafts.count, drafts.money) == (2, [("USD", D(60))])
    listed = staff_client.get(drafts.url).context_data["cl"]
    assert listed.queryset.count() == 2
    assert tasks["Subscriptions that can't be billed"].is_done
    for task in tasks.values():
        assert not task.url or staff_client.get(task.url, follow=True).status_code == 200


def test_a_parked_subscription_is_valued_by_its_previous_period(plan, calls):
    for customer, subscription in (sell(plan), sell(plan)):
        use(customer, calls, utc(2026, 9, 5), 20)
        parked = subscription
    bill(utc(2026, 10, 1))
    BillingState.objects.filter(pk=parked.pk).update(parked_at=NOW, parked_reason="Wrong plan")
    tasks = {task.name: task for task in checklist(SEPTEMBER, now=NOW)}
    task = tasks["Subscriptions that can't be billed"]
    # 20 calls at $0.10 and the next $30; not the opening invoice's
    assert (task.count, task.money) == (1, [("USD", D(32))])


def test_open_problems_load_their_amount_at_risk_after_the_page(plan, calls, staff_client):
    caches["figures"].clear()
    sell(plan, external_id="acme")
    for _ in range(3):
        send("Api.Calls", customer="acme", at=utc(2026, 9, 20))
    process()
    page = staff_client.get(url("billing_month_end", month="2026-09")).content.decode()
    asks = url("billing_month_end_at_risk")
    assert f'hx-post="{asks}"' in page
    # 3 calls at $0.10, named wrongly
    assert ">$0.30</a>" in staff_client.post(asks).content.decode()
    without_events = as_viewer("billing")
    assert asks not in without_events.get(url("billing_month_end", month="2026-09")).content.decode()
    assert without_events.post(asks).status_code == 403
    assert as_viewer("events").post(asks).status_code == 403


def test_the_page_shows_the_report_and_exports_it(plan, calls, staff_client):
    customer, _ = sell(plan, name="Acme")
    use(customer, calls, utc(2026, 9, 20), 25)
    for invoice in bill(utc(2026, 9, 1)):
        finalize(invoice, now=utc(2026, 9, 1))
    page = staff_client.get(url("billing_month_end", month="2026-09")).content.decode()
    for words in (
        "Before you close",
        "Invoiced, USD",
        "Usage by billing status",
        "$2.50",
        "$30.00",
        "Recurring fee",
        "Growth",
    ):
        assert words in page
    assert "≠" not in page
    contents = page[page.index('aria-label="Contents"') : page.index("</nav>", page.index('aria-label="Contents"'))]
    for section in ("closing", "tasks", "books-USD", "usage", "unbilled"):
        assert f'href="#{section}"' in contents
        assert page.index("</nav>", page.index(contents)) < page.index(f'id="{section}"')
    answer = staff_client.get(url("billing_month_end", month="2026-09", format="csv"))
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert ["2026-09", "Accrual", "USD", "Usage not billed", "Growth", "Calls", "", "2.50"] in rows
    assert all(row[6] in ("", "0") and row[7] in ("", "0.00") for row in rows if row[1].startswith("Check"))
    book = staff_client.get(url("billing_month_end", month="2026-09", format="xlsx"))
    sheet = openpyxl.load_workbook(io.BytesIO(b"".join(book.streaming_content))).active
    assert ("2026-09", "Invoiced", "USD", "Recurring fee", "Growth", None, None, 30) in list(sheet.values)
    assert "Enter the month as" in staff_client.get(url("billing_month_end", month="sometime")).content.decode()
    out = io.StringIO()
    call_command("month_end", "2026-09", stdout=out)
    assert "Usage not billed,Growth,Calls,,2.50" in out.getvalue()


def test_a_month_without_anything_has_a_page(staff_client):
    page = staff_client.get(url("billing_month_end")).content.decode()
    assert "Nothing invoiced" in page


def test_it_costs_the_same_queries_whatever_the_number_of_customers(plan, calls, staff_client):
    address = url("billing_month_end", month="2026-09")

    def add(count):
        for _ in range(count):
            customer, _ = sell(plan, utc(2026, 9, 10))
            use(customer, calls, utc(2026, 9, 20), 25)

    add(1)
    few = count_queries(staff_client, address)
    add(6)
    assert count_queries(staff_client, address) == few


def test_the_report_needs_permission_to_view_invoices(client):
    assert as_viewer("billing").get(url("billing_month_end")).status_code == 200
    client.force_login(make_user())
    assert client.get(url("billing_month_end")).status_code == 403
    assert as_viewer("events").get(reverse("admin:billing_month_end")).status_code == 403


def accrued(name):
    return {row.feature: row.amount for row in accrual(Month.named(name)).rows}


@pytest.fixture
def quarter(plan):
    """Subscribe Acme to Growth for January to March, without its fee, at $1.00 a call."""
    calls = make_feature(name="Units")
    version = make_version({"feature": calls, "unit_amount": D(1)}, name="Quarterly")
    _, subscription = sell(version.plan, starts_at=utc(2026, 1, 1), external_id="acme", timezone="UTC")
    return subscription


def test_a_minimum_is_earned_by_the_day(quarter):
    """$1,200.00 for the 90 days of January to March. January's $100.00 are invoiced on 1 February."""
    start = utc(2026, 1, 1)
    agree_commitment(quarter, CommitmentTerms(D(1200), periods=3), starts_at=start, now=start, by=None)
    arrive_many(100, utc(2026, 1, 10))
    arrive_many(50, utc(2026, 2, 10))
    arrive_many(60, utc(2026, 3, 10))
    # 31/90 of 1,200.00 are 413.33, of which 100.00 are usage.
    assert accrued("2026-01") == {"Units": D("100.00"), "Minimum commitment": D("313.33")}
    invoice_at(utc(2026, 2, 1))
    # 59/90 are 786.67, less 100.00 invoiced and 50.00 of usage in February.
    assert accrued("2026-02") == {"Units": D("50.00"), "Minimum commitment": D("636.67")}
    invoice_at(utc(2026, 3, 1))
    assert accrued("2026-03") == {"Units": D("60.00"), "Minimum commitment": D("990.00")}
    # The invoice of 1 April holds 60.00 and 990.00; the next term has 30 of 91 days: 395.60.
    invoice_at(utc(2026, 4, 1))
    assert accrued("2026-04") == {"Minimum commitment": D("395.60")}


def test_usage_that_is_prepaid_is_not_unbilled(quarter):
    """$100.00 a quarter in advance, above it 1.5 times the price: see decision 225."""
    start, terms = utc(2026, 1, 1), CommitmentTerms(D(100), CommitmentKind.PREPAID, 3, D("1.5"))
    agree_commitment(quarter, terms, starts_at=start, now=start, by=None)
    invoice_at(start)
    arrive_many(30, utc(2026, 1, 10))
    arrive_many(50, utc(2026, 2, 10))
    arrive_many(40, utc(2026, 3, 10))
    drawn = "Drawn from the prepaid commitment"
    assert accrued("2026-01") == {"Units": D("30.00"), drawn: D("-30.00")}
    invoice_at(utc(2026, 2, 1))
    assert accrued("2026-02") == {"Units": D("50.00"), drawn: D("-50.00")}
    invoice_at(utc(2026, 3, 1))
    # 20.00 are left of the prepayment. 20.00 above it cost 0.5 times more.
    assert accrued("2026-03") == {"Units": D("40.00"), drawn: D("-20.00"), "Overage": D("10.00")}
