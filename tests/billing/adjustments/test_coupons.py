"""Coupons are applied, ended and archived, also concurrently."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from billing.adjustments.coupons import CannotApply, apply_coupon, archive_coupon, end_application
from billing.lifecycle.finalize import finalize
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue
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
    ("terms", "message"),
    [
        ({"archived_at": START}, "is archived"),
        ({"redeem_after": END}, "can be applied from 2026-10-01"),
        ({"redeem_by": START}, "could be applied until 2026-09-01"),
        ({"max_redemptions": 1}, "can't be applied again: its limit is 1"),
    ],
)
def test_a_coupon_that_cant_be_applied_is_refused_with_a_reason(terms, message):
    coupon = make_coupon(10, **terms)
    give(coupon, make_customer())
    with pytest.raises(CannotApply, match=message):
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
        with CaptureQueriesContext(connection) as executed:
            run_to_end(as_of=START)
        return len(executed)

    assert queries(2) == queries(12)
    assert {invoice.total for invoice in Invoice.objects.all()} == {D("28.35")}


def _all_at_once(jobs):
    def run(job):
        job()
        connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
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
    jobs = [lambda each=each: bill_subscriptions([each.pk], as_of=START) for each in subscriptions]
    _all_at_once(jobs)
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


YEAR_END = utc(2027, 1, 1)


@pytest.mark.django_db
def test_applying_a_coupon_with_an_end_twice_applies_it_once():
    customer = make_customer()
    coupon = make_coupon(10, max_redemptions=1)
    subscription = subscribed(customer)
    terms = {"subscription": subscription, "by": None, "ends_at": YEAR_END}
    first = apply_coupon(coupon, customer, now=START, **terms)
    assert apply_coupon(coupon, customer, now=START + timedelta(seconds=1), **terms) == first
    assert apply_coupon(coupon, customer, now=END, subscription=subscription, by=None) == first
    assert CouponApplication.objects.count() == 1
    assert [invoice.discount_total for invoice in bill(START)] == [3]


@pytest.mark.django_db
def test_a_past_application_that_is_repeated_is_returned():
    coupon, customer = make_coupon(10), make_customer()
    terms = {"starts_at": START, "ends_at": END, "now": YEAR_END, "by": None}
    assert apply_coupon(coupon, customer, **terms) == apply_coupon(coupon, customer, **terms)


@pytest.mark.django_db
def test_a_coupon_that_was_ended_continues_from_that_end_if_it_is_applied_again():
    coupon, customer = make_coupon(10), make_customer()
    end_application(apply_coupon(coupon, customer, now=START, by=None), at=END, by=None)
    again = apply_coupon(coupon, customer, starts_at=START, now=YEAR_END, by=None)
    assert (again.starts_at, again.ended_at) == (END, None)


@pytest.mark.django_db
def test_a_coupon_that_starts_later_must_be_ended_before_it_can_start_now():
    coupon, customer = make_coupon(10), make_customer()
    apply_coupon(coupon, customer, starts_at=END, now=START, by=None)
    with pytest.raises(CannotApply, match=r"is applied there from 2026-10-01 00:00 UTC\. End that first\."):
        apply_coupon(coupon, customer, now=START, by=None)
    assert apply_coupon(coupon, customer, ends_at=END, now=START, by=None).ended_at == END


@pytest.mark.django_db
@pytest.mark.parametrize("ended_at", [None, YEAR_END])
def test_the_database_refuses_two_applications_of_a_coupon_at_one_time(ended_at):
    customer = make_customer()
    first = give(make_coupon(10), customer)
    with pytest.raises(IntegrityError, match="coupon_applied_once_at_a_time"), transaction.atomic():
        CouponApplication.objects.create(coupon=first.coupon, customer=customer, starts_at=END, ended_at=ended_at)


@pytest.mark.django_db
def test_a_coupon_of_a_customer_and_of_its_subscription_reduces_an_invoice_once():
    customer = make_customer()
    subscription = subscribed(customer)
    coupon = make_coupon(amount=20, duration="once")
    give(coupon, customer)
    own = give(coupon, subscription)
    assert [invoice.discount_total for invoice in bill(START)] == [20]
    assert list(CouponUse.objects.values_list("application", flat=True)) == [own.pk]
    assert [invoice.discount_total for invoice in bill(END)] == [0]


@pytest.mark.django_db
def test_another_subscription_still_has_the_customers_coupon():
    customer = make_customer()
    coupon = make_coupon(amount=20, duration="once")
    give(coupon, customer)
    give(coupon, subscribed(customer))
    subscribed(customer)
    assert [invoice.discount_total for invoice in bill(START)] == [20, 20]
    assert [invoice.discount_total for invoice in bill(END)] == [0, 0]


@pytest.mark.django_db(transaction=True)
def test_two_requests_with_an_end_apply_a_coupon_once():
    coupon, customer = make_coupon(10), make_customer()

    def apply():
        apply_coupon(coupon, customer, ends_at=YEAR_END, now=START, by=None)

    _all_at_once([apply, apply])
    assert CouponApplication.objects.count() == 1


@pytest.mark.django_db
def test_an_amount_off_once_keeps_what_an_invoice_does_not_use_if_it_says_so():
    customer = make_customer()
    coupon = make_coupon(amount=70, duration="once", keeps_rest=True)
    application = give(coupon, customer)
    subscribed(customer)
    drafts = bill(utc(2026, 12, 1))
    # A fee of $30.00 a month: $70.00 take $30.00, $30.00 and $10.00 off.
    assert [draft.discount_total for draft in drafts] == [30, 30, 10, 0]
    assert [use.amount for use in application.uses.all()] == [30, 30, 10]
    line = drafts[2].lines.get(kind="discount")
    assert line.description == f"{coupon.name} ({coupon.code}): $70.00 off, the rest of $10.00"
    reissued = void_and_reissue(drafts[0])
    assert reissued.discount_total == 30


@pytest.mark.django_db
def test_without_the_option_an_amount_off_once_is_lost_if_the_invoice_is_smaller():
    customer = make_customer()
    give(make_coupon(amount=70, duration="once"), customer)
    subscribed(customer)
    assert [draft.discount_total for draft in bill(END)] == [30, 0]


@pytest.mark.django_db
@pytest.mark.parametrize("terms", [{"percent_off": 10}, {"amount_off": 5, "currency": "USD", "duration": "forever"}])
def test_only_an_amount_off_one_invoice_can_keep_the_rest(terms):
    with pytest.raises(IntegrityError, match="coupon_keeps_rest_of_an_amount"), transaction.atomic():
        Coupon.objects.create(**{"code": "X", "name": "X", "duration": "once", "keeps_rest": True} | terms)


def test_the_api_creates_a_coupon_that_keeps_the_rest(api):
    body = {"name": "Welcome", "type": "fixed", "amount_off": "70", "currency": "USD", "cadence": "once"}
    assert api.post("coupons", body | {"keeps_rest": True}, 201)["keeps_rest"] is True
    assert api.post("coupons", body, 201)["keeps_rest"] is False
    refused = api.post("coupons", body | {"keeps_rest": True, "cadence": "forever"}, status=400)
    assert "keeps_rest" in refused["details"]


def void_and_reissue(draft):
    return reissue(finalize(draft, now=utc(2026, 12, 1)), reason="Wrong", now=utc(2026, 12, 1), by=None)


@pytest.mark.django_db
def test_a_recalculated_opening_invoice_asks_for_coupons_when_the_trial_ended_as_the_run_did():
    customer, trial_end = make_customer(), utc(2026, 9, 10)
    make_subscription(
        customer=customer,
        plan=make_version(FEE),
        starts_at=START,
        trial_days=9,
        alignment="calendar",
        now=START,
    )
    application = give(make_coupon(10), customer)
    end_application(application, at=utc(2026, 9, 5), by=None)
    [draft] = bill(trial_end)
    assert (draft.kind, draft.discount_total) == ("opening", 0)
    assert recompute(draft, now=trial_end).discount_total == 0
