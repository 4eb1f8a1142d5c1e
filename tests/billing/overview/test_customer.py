"""A customer at a glance: what is owed, this period's usage against the free units, what isn't counted or billed."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice
from billing.overview.customer import customer_overview, list_balances
from billing.settlement.payments import Receipt, record_payment
from tests.admin_pages import text_of
from tests.billing.adjusting import make_credit
from tests.billing.invoices import ISSUED, later, make_finalized
from tests.billing.late import arrive, arrive_many
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
NOW = utc(2026, 3, 10)


@pytest.fixture
def acme():
    """Three calls in March at $0.50, two of them free, and one export that no plan charges."""
    calls = make_feature(event_name="api.calls", name="API calls")
    make_feature(event_name="export", name="Exports")
    customer = make_customer(external_id="acme", name="Acme")
    version = make_version({"feature": calls, "unit_amount": D("0.50")}, free_units={calls: 2})
    make_subscription(customer=customer, plan=version, starts_at=utc(2026, 3, 1))
    arrive(utc(2026, 3, 2), utc(2026, 3, 2), utc(2026, 3, 5))
    arrive(utc(2026, 3, 4), event_name="export")
    return customer


def test_balances_say_what_is_open_overdue_and_prepaid_by_currency():
    customer = make_customer()
    part = make_finalized("100", customer=customer, due_at=later(40))
    make_finalized("30", customer=customer, due_at=later(10))
    make_finalized("9", customer=customer, currency="EUR", due_at=later(40))
    record_payment(part, Receipt(D(60), ISSUED.date()), now=ISSUED, by=None)
    make_credit(customer, 25)
    euro, dollar = list_balances(customer, now=later(20))
    assert (euro.currency, euro.open, euro.overdue, euro.credit) == ("EUR", D(9), D(0), D(0))
    assert (dollar.open, dollar.overdue, dollar.credit, dollar.open_invoices) == (D(70), D(30), D(25), 2)


def test_usage_of_the_period_is_shown_by_day_against_the_free_units(acme):
    [subscription] = customer_overview(acme, now=NOW).subscriptions
    [calls] = subscription.features
    assert (calls.quantity, calls.free_units, calls.percent, calls.amount) == (D(3), D(2), 100, D("0.50"))
    assert [int(value) for value in calls.values] == [0, 2, 0, 0, 1, 0, 0, 0, 0]
    assert subscription.upcoming.total == D("0.50")


def test_what_is_not_counted_or_billed_is_named(acme):
    arrive(utc(2026, 3, 6), event_name="api.cals")
    gaps = {gap.name: (gap.detail.partition(".")[0], gap.count) for gap in customer_overview(acme, now=NOW).gaps}
    assert gaps["Exports this month"] == ("Counted, but not billed", 1)
    assert gaps["Unknown event name"] == ("Not counted", 1)
    idle = make_customer()
    assert [gap.name for gap in customer_overview(idle, now=NOW).gaps] == ["No running subscription"]


def test_the_number_of_queries_does_not_depend_on_the_events(acme):
    with CaptureQueriesContext(connection) as few:
        customer_overview(acme, now=NOW)
    arrive_many(300, utc(2026, 3, 7))
    with CaptureQueriesContext(connection) as many:
        overview = customer_overview(acme, now=NOW)
    assert len(many) == len(few)
    assert len(overview.events) == 10
    counts = [query["sql"] for query in many.captured_queries if "COUNT(*)" in query["sql"]]
    assert not [sql for sql in counts if 'FROM "events_event" ' in sql]


def test_the_page_has_tabs_and_a_button_to_edit(staff_client, acme):
    make_finalized("100", customer=acme)
    page = text_of(staff_client.get(acme.get_absolute_url()))
    for text in ("Open in USD · 1 invoice", "$100.00", "Not counted or billed", "Latest events", "Edit"):
        assert text in page
    for tab, text in (("invoices", "INV-000001"), ("payments", "No payments yet"), ("events", "api.calls")):
        assert text in text_of(staff_client.get(f"{acme.get_absolute_url()}?tab={tab}")), tab
    assert Invoice.objects.count() == 1
