"""Coupons are applied, ended and archived, also concurrently."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from billing.adjustments.coupons import CannotApply, apply_coupon, archive_coupon, end_application
from billing.models import Coupon, CouponApplication, CouponUse, Invoice
from billing.runs.billing_run import bill_subscriptions, run_to_end
from billing.runs.billing_states import refresh_states
from tests.billing.adjusting import END, START, give, make_coupon, make_credit, make_tax
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_plan, make_subscription, make_version

FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


def subscribed(customer):
    return make_subscription(customer=customer, plan=make_version(FEE), starts_at=START, now=START)


@pytest.mark.django_db
def test_applying_a_coupon_twice_applies_it_once_until_it_ends():
    coupon, customer = make_coupon(10), make_customer()
    first = apply_coupon(coupon, customer, now=START, by=None)
    assert apply_coupon(coupon, customer, now=END, by=None) == first
    end_application(first, at=END, by=None)
    assert end_application(first, at=END + timedelta(days=1), by=None).ended_at == END
    assert apply_coupon(coupon, customer, now=END, by=None) != first


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"archived_at": START}, "is archived"),
        ({"redeem_after": END}, "can be applied from 2026-10-01"),
        ({"redeem_by": START}, "could be applied until 2026-09-01"),
        ({"max_redemptions": 1}, "can't be applied again: its limit is 1"),
    ],
)
def test_a_coupon_that_cant_be_applied_is_refused_with_a_reason(given, says):
    coupon = make_coupon(10, **given)
    give(coupon, make_customer())
    with pytest.raises(CannotApply, match=says):
        apply_coupon(coupon, make_customer(), now=START, by=None)


@pytest.mark.django_db
def test_a_fixed_amount_applies_to_subscriptions_in_its_currency():
    subscription = make_subscription(plan=make_plan())
    with pytest.raises(CannotApply, match="is in EUR; the subscription is billed in USD"):
        apply_coupon(
            make_coupon(amount=5, currency="EUR"), subscription.customer, subscription=subscription, now=START, by=None
        )


@pytest.mark.django_db
def test_an_archived_coupon_still_applies_where_it_is_applied():
    customer = make_customer()
    subscribed(customer)
    application = give(make_coupon(10), customer)
    archive_coupon(application.coupon, now=START, by=None)
    assert [invoice.total for invoice in bill(START)] == [27]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"percent_off": None},
        {"percent_off": 0},
        {"amount_off": 5, "currency": "USD"},
        {"percent_off": None, "amount_off": 5},
        {"duration": "repeated"},
        {"duration": "once", "periods": 2},
    ],
)
def test_the_database_refuses_a_coupon_without_a_discount(wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.create(**{"code": "X", "name": "X", "percent_off": 10, "duration": "forever"} | wrong)


@pytest.mark.django_db
def test_run_size_does_not_change_query_count_with_discounts_taxes_and_credit():
    make_tax(20)

    def queries(count):
        for _ in range(count):
            customer = make_customer()
            subscribed(customer)
            give(make_coupon(10, duration="once"), customer)
            make_tax(5, of=customer)
            make_credit(customer, 5)
        refresh_states()
        with CaptureQueriesContext(connection) as found:
            run_to_end(as_of=START)
        return len(found)

    assert queries(2) == queries(12)
    assert {invoice.total for invoice in Invoice.objects.all()} == {D("28.35")}


def _all_at_once(works):
    def run(work):
        work()
        connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_two_workers_use_a_one_time_discount_once():
    customer = make_customer()
    subscriptions = [subscribed(customer) for _ in range(4)]
    give(make_coupon(10, duration="once"), customer)
    refresh_states()
    works = [lambda each=each: bill_subscriptions([each.pk], as_of=START) for each in subscriptions]
    _all_at_once(works)
    assert sorted(Invoice.objects.values_list("total", flat=True)) == [27, 30, 30, 30]
    assert CouponUse.objects.get().number == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_respect_a_coupons_redemption_limit():
    coupon = make_coupon(10, max_redemptions=2)
    customers = [make_customer() for _ in range(5)]
    refused = []

    def apply(customer):
        try:
            apply_coupon(coupon, customer, now=START, by=None)
        except CannotApply as error:
            refused.append(error)

    _all_at_once([lambda each=each: apply(each) for each in customers])
    assert (CouponApplication.objects.count(), len(refused)) == (2, 3)


@pytest.mark.django_db
def test_an_ended_discount_still_reduces_invoices_due_before_its_end():
    customer = make_customer()
    subscribed(customer)
    application = give(make_coupon(10), customer)
    end_application(application, at=utc(2026, 9, 15), by=None)
    assert [invoice.total for invoice in bill(utc(2026, 10, 1))] == [27, 30]
