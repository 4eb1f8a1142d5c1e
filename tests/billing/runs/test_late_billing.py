"""Late usage of ended subscriptions is invoiced once, by whichever task or request comes first."""

import pytest

from billing.lifecycle.finalize import finalize
from billing.runs.late_usage import bill_ended
from customers.subscriptions import cancel
from tests.billing.invoices import at_once
from tests.billing.late import arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

START, END, NOW = utc(2026, 9, 1), utc(2026, 9, 11), utc(2026, 9, 20, 9)


def end_with_late_usage():
    """Make a subscription to $1.00 a call that ended on 11 September with one call; two more arrived late."""
    customer = make_customer(name="Acme", external_id="acme")
    version = make_version({"feature": make_feature(name="API calls"), "unit_amount": D(1)})
    subscription = make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    arrive(utc(2026, 9, 5))
    cancel(subscription, at=END, now=END, by=None)
    invoice_at(END)
    arrive_many(2, utc(2026, 9, 6))
    work_late(NOW)
    return subscription


def late_invoices(subscription):
    return list(subscription.invoices.filter(kind="late").order_by("pk").values_list("total", "period_start"))


@pytest.mark.django_db
def test_a_second_late_invoice_of_the_same_moment_waits_for_the_next_call():
    subscription = end_with_late_usage()
    [first] = bill_ended(now=NOW)
    finalize(first, now=NOW)
    arrive(utc(2026, 9, 7))
    work_late(NOW)
    assert bill_ended(now=NOW) == []
    later = utc(2026, 9, 20, 10)
    assert [invoice.total for invoice in bill_ended(now=later)] == [1]
    assert late_invoices(subscription) == [(2, NOW), (1, later)]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_the_same_moment_make_one_late_invoice():
    subscription = end_with_late_usage()
    outcomes = at_once(lambda: bill_ended(now=NOW), lambda: bill_ended(now=NOW))
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert late_invoices(subscription) == [(2, NOW)]
