"""Rules that hold for all invoices: previews and reissues are equal to the invoice, and a crash changes nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.void import reissue
from billing.models import BillingRun, Invoice
from billing.runs import billing_run
from billing.runs.billing_run import bill_chunk, start_run, unfinished_chunks
from customers.models import Subscription
from customers.subscriptions import cancel, change_plan, pause
from tests.billing.adjusting import adds_up, give, make_coupon, make_credit, make_tax, totals
from tests.billing.runs.test_interruptions import Crashed, crash_at, invoices
from tests.billing.world import D, bill, lines, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

START, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PRICES: list[dict[str, Any]] = [
    {"unit_amount": D("0.0137")},
    {"model": "package", "unit_amount": D("1.99"), "package_size": 100},
    {"model": "graduated", "tiers": [(100, D("0.015"), D(2)), (1000, D("0.007")), (None, D("0.0031"))]},
    {"model": "volume", "tiers": [(100, D("0.05")), (None, D("0.02"), D(1))]},
    {"unit_amount": D("0.01"), "minimum_amount": D("7.77")},
]
FEE = {"kind": "fixed", "model": "flat", "unit_amount": D("29.99"), "name": "Platform"}


@dataclass(frozen=True)
class Customer:
    """What happens to a customer in September: the prices, the usage by hour, one change on a day, and conditions."""

    price: int
    cadence: str
    free: int
    used: dict[int, int]
    change: str
    day: int
    percent_off: int | None
    amount_off: int | None
    tax: str | None
    credit: int | None


CUSTOMERS = st.builds(
    Customer,
    price=st.integers(0, len(PRICES) - 1),
    cadence=st.sampled_from(["advance", "arrears"]),
    free=st.integers(0, 300),
    used=st.dictionaries(st.integers(0, 30 * 24 - 1), st.integers(1, 900), max_size=4),
    change=st.sampled_from(["none", "plan", "cancel", "pause"]),
    day=st.integers(1, 28),
    percent_off=st.none() | st.integers(1, 100),
    amount_off=st.none() | st.integers(1, 40),
    tax=st.none() | st.sampled_from(["8.25", "19"]),
    credit=st.none() | st.integers(1, 60),
)
ANY_CUSTOMER = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def begin(story: Customer) -> Subscription:
    """Subscribe a customer on 1 September, bill the start, and let September happen."""
    calls, customer = make_feature(name="API calls"), make_customer()
    fee = FEE | {"cadence": story.cadence}
    plan = make_version(fee, PRICES[story.price] | {"feature": calls}, free_units={calls: story.free})
    subscription = make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
    if story.percent_off:
        give(make_coupon(story.percent_off), customer)
    if story.amount_off:
        give(make_coupon(amount=story.amount_off, duration="once"), customer)
    if story.tax:
        make_tax(story.tax, of=customer)
    if story.credit:
        make_credit(customer, story.credit)
    bill(START)
    finalize_due(now=START + DAY)
    for hour, used in story.used.items():
        use(customer, calls, START + hour * HOUR, used)
    change(subscription, story, calls, START + story.day * DAY)
    return subscription


def change(subscription: Subscription, story: Customer, calls: Any, at: datetime) -> None:
    if story.change == "plan":
        dearer = make_version(FEE | {"unit_amount": D(99), "cadence": story.cadence}, {"feature": calls})
        change_plan(subscription, dearer, at=at, now=at, by=None)
    elif story.change == "cancel":
        cancel(subscription, at=at, now=at, by=None)
    elif story.change == "pause":
        pause(subscription, at=at, until=at + 2 * DAY, now=at, by=None)


def describe(subscription: Subscription, now: datetime) -> list[Any]:
    """List what is shown as due by a moment: lines, and every sum of the foot."""
    return [
        (
            [(line.description, line.amount) for line in computed.lines]
            + [(line.description, line.amount) for line in computed.adjusted.lines],
            [
                computed.adjusted.subtotal, computed.adjusted.discount, computed.adjusted.tax, computed.adjusted.total,
                computed.adjusted.credits, computed.adjusted.due,
            ],
        )
        for computed in upcoming(subscription.pk, now=now).earlier
    ]  # fmt: skip


@pytest.mark.django_db
@ANY_CUSTOMER
@given(CUSTOMERS)
def test_the_preview_equals_the_invoice(story):
    with transaction.atomic():
        subscription = begin(story)
        shown = describe(subscription, OCTOBER)
        made = bill(OCTOBER)
        assert [(lines(invoice), totals(invoice)) for invoice in made] == shown
        assert all(adds_up(invoice) for invoice in made)
        transaction.set_rollback(True)


@pytest.mark.django_db
@ANY_CUSTOMER
@given(CUSTOMERS)
def test_a_reissued_invoice_equals_the_voided_one(story):
    with transaction.atomic():
        begin(story)
        for invoice in bill(OCTOBER):
            finalize(invoice, now=OCTOBER)
            invoice.refresh_from_db()
            first = lines(invoice), totals(invoice)
            replacement = reissue(invoice, reason="Wrong address", by=None, now=OCTOBER)
            assert (lines(replacement), totals(replacement)) == first
            finalize(replacement, now=OCTOBER)
            replacement.refresh_from_db()
            assert (lines(replacement), totals(replacement)) == first
        transaction.set_rollback(True)


@pytest.mark.slow
@pytest.mark.django_db
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CUSTOMERS, min_size=2, max_size=3), st.data())
def test_an_interrupted_run_in_any_order_gives_the_same_invoices(stories, data):
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(billing_run, "CHUNK_SIZE", 1)
        for story in stories:
            begin(story)
        with transaction.atomic():
            expected = billing_run.run_to_end(as_of=NOVEMBER).amounts, invoices()
            transaction.set_rollback(True)
        run = start_run(as_of=NOVEMBER, now=NOVEMBER)
        while run is not None and (waiting := unfinished_chunks(run)):
            for chunk_id in data.draw(st.permutations(waiting)):
                try:
                    with crash_at(data.draw(st.integers(1, 90))):
                        bill_chunk(chunk_id, now=NOVEMBER)
                except Crashed:
                    continue
        if run is not None:
            billing_run.add_up_run(run.pk, now=NOVEMBER)  # as the next hour does where the last worker died before
        runs_made = BillingRun.objects.order_by("-pk")
        assert (runs_made[0].amounts if run else {}, invoices()) == (expected[0] if run else {}, expected[1])
        finalize_due(now=NOVEMBER + DAY)
        numbers = list(Invoice.objects.exclude(number=None).order_by("number").values_list("number", flat=True))
        assert numbers == [f"INV-{number:06}" for number in range(1, len(numbers) + 1)]
        transaction.set_rollback(True)
