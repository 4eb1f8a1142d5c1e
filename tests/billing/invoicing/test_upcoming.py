"""The upcoming invoice is the invoice, as of now."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.invoicing.upcoming import upcoming, upcoming_many
from billing.models import BillingState, Invoice
from customers.subscriptions import cancel, cancel_at_period_end
from tests.billing.world import D, bill, lines, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
START, END = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform fee"}


@pytest.fixture
def calls(db):
    return make_feature(name="API calls")


@pytest.fixture
def customer(db):
    return make_customer()


@pytest.fixture
def subscription(customer, calls):
    version = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}, free_units={calls: 100})
    return make_subscription(customer=customer, plan=version, starts_at=START, now=START)


def said(computed):
    return [(line.description, line.amount) for line in computed.lines]


def test_it_equals_the_invoice_issued_at_the_same_moment(subscription, customer, calls):
    bill(START)
    use(customer, calls, utc(2026, 9, 5), 700)
    coming = upcoming(subscription.pk, now=END)
    preview = [said(computed) for computed in coming.earlier]
    [invoice] = bill(END)
    assert [lines(invoice)] == preview
    assert invoice.total == D(36)


def test_it_shows_usage_so_far_and_the_next_periods_fee(subscription, customer, calls):
    bill(START)
    use(customer, calls, utc(2026, 9, 5), 150)
    use(customer, calls, utc(2026, 9, 20), 1000)
    coming = upcoming(subscription.pk, now=utc(2026, 9, 10))
    assert said(coming.invoice) == [
        ("Platform fee, 1–31 Oct 2026", D(30)),
        ("API calls, 1–9 Sep 2026 · 150 used, 100 free, 50 × $0.01", D("0.5")),
    ]
    assert coming.earlier == []


def test_it_saves_nothing(subscription):
    upcoming(subscription.pk, now=utc(2026, 9, 10))
    assert not Invoice.objects.exists()
    assert not BillingState.objects.exists()


def test_invoices_that_are_already_due_come_first(subscription):
    coming = upcoming(subscription.pk, now=utc(2026, 10, 15))
    assert [each.request.invoice.kind for each in coming.earlier] == ["opening", "cycle"]
    assert coming.invoice.request.invoice.period.start == END


def test_an_ended_subscription_has_none(subscription):
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    bill(utc(2026, 9, 11))
    coming = upcoming(subscription.pk, now=utc(2026, 9, 12))
    assert (coming.invoice, coming.earlier, coming.problem) == (None, [], "")


def test_a_subscription_cancelled_at_the_periods_end_owes_no_next_fee(subscription, customer, calls):
    bill(START)
    cancel_at_period_end(subscription, now=utc(2026, 9, 2), by=None)
    assert upcoming(subscription.pk, now=utc(2026, 9, 20)).total == 0


def test_the_number_of_subscriptions_does_not_change_query_count(calls, django_assert_num_queries):
    version = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})
    found = []
    for _ in range(5):
        customer = make_customer()
        found.append(make_subscription(customer=customer, plan=version, starts_at=START, now=START).pk)
        use(customer, calls, utc(2026, 9, 5), 100)
    bill(START)
    now = utc(2026, 9, 10)

    with CaptureQueriesContext(connection) as one:
        upcoming_many(found[:1], now=now)
    with django_assert_num_queries(len(one)):
        upcoming_many(found, now=now)
