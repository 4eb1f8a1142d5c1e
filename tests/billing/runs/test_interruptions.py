"""Runs interrupted at any statement, with chunks in any order, make the same invoices."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import OperationalError, connection, transaction

from billing.lifecycle.finalize import finalize_due
from billing.models import BillingRun, BillingState, Invoice, InvoiceLine
from billing.runs import billing_run
from billing.runs.billing_run import bill_chunk, start_run, unfinished_chunks
from billing.runs.dry_run import dry_run_chunk, start_dry_run
from customers.models import Subscription
from customers.subscriptions import cancel, pause
from tests.billing.world import D, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
START, CHANGED, NOVEMBER = utc(2026, 9, 1), utc(2026, 9, 16), utc(2026, 11, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(31)}


@pytest.fixture
def company(monkeypatch):
    """Eleven subscriptions in chunks of two, three invoices due of each; one paused, one ended, one to be parked."""
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 2)
    calls = make_feature(name="API calls")
    tiers = [(100, D("0.015")), (None, D("0.007"))]
    plan = make_version(FEE, {"feature": calls, "model": "graduated", "tiers": tiers})
    found = []
    for number in range(11):
        customer = make_customer()
        found.append(make_subscription(customer=customer, plan=plan, starts_at=START, now=START))
        use(customer, calls, utc(2026, 9, 5), 33 * number)
        use(customer, calls, utc(2026, 10, 5), 57 * number)
    pause(found[3], at=CHANGED, now=CHANGED, by=None)
    cancel(found[6], at=CHANGED, now=CHANGED, by=None)
    Subscription.objects.filter(pk=found[8].pk).update(interval="year")
    return found


class Crashed(OperationalError):
    """The connection went away."""


@contextmanager
def crash_at(number: int) -> Iterator[list[int]]:
    """Let the given statement from here on fail as a lost connection does; gives the count of those that passed."""
    passed = [0]

    def execute(execute, sql, params, many, context):
        passed[0] += 1
        if passed[0] == number:
            raise Crashed
        return execute(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield passed


def invoices():
    """List what there is: every invoice with its lines."""
    found = {}
    for invoice in Invoice.objects.order_by("subscription", "period_start", "pk"):
        lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
        key = (invoice.subscription_id, invoice.kind, invoice.period_start)
        assert key not in found
        found[key] = (invoice.total, list(lines.values_list("description", "amount")))
    return found


def without_interruption():
    """Bill it all, tell what came of it, and take it back."""
    with transaction.atomic():
        run = billing_run.run_to_end(as_of=NOVEMBER)
        found = invoices(), run.amounts, run.failed
        transaction.set_rollback(True)
    return found


def test_a_crash_at_any_statement_of_a_chunk_loses_and_duplicates_nothing(company):
    expected, amounts, failed = without_interruption()
    # Ten openings, nine Septembers and an end, and eight Octobers: one was paused for all of it.
    assert len(expected) == 28
    run = start_run(as_of=NOVEMBER, now=NOVEMBER)
    first, *others = unfinished_chunks(run)
    number, crashed = 0, True
    while crashed:
        number += 1
        try:
            with transaction.atomic(), crash_at(number):
                bill_chunk(first, now=NOVEMBER)
            crashed = False
        except Crashed:
            assert not Invoice.objects.exists()
            assert first in unfinished_chunks(run)
            assert not BillingState.objects.exclude(billed_until=None).exists()
    assert number > 20
    for chunk_id in others:
        bill_chunk(chunk_id, now=NOVEMBER)
    run.refresh_from_db()
    assert (run.state, run.amounts, run.failed) == ("finished", amounts, failed)
    assert invoices() == expected


@pytest.mark.parametrize("seed", range(10))
def test_chunks_in_any_order_with_crashes_in_between_make_the_same_invoices(company, seed):
    expected, amounts, failed = without_interruption()
    dice = random.Random(seed)
    while True:
        run = start_run(as_of=NOVEMBER, now=NOVEMBER)
        if run is None:
            break
        waiting = unfinished_chunks(run)
        dice.shuffle(waiting)
        for chunk_id in waiting[: dice.randrange(1, len(waiting) + 1)]:
            try:
                with transaction.atomic(), crash_at(dice.randrange(1, 120)):
                    bill_chunk(chunk_id, now=NOVEMBER)
            except Crashed:
                continue
        if not unfinished_chunks(run):
            billing_run.add_up_run(run.pk, now=NOVEMBER)  # as the next hour does where the last worker died before
    run = BillingRun.objects.get()
    assert (run.state, run.amounts, run.failed) == ("finished", amounts, failed)
    assert invoices() == expected
    finalize_due(now=NOVEMBER)
    numbers = list(Invoice.objects.order_by("number").values_list("number", flat=True))
    assert numbers == [f"INV-{number:06}" for number in range(1, len(expected) + 1)]


def test_a_dry_run_that_crashes_at_any_statement_is_continued(company):
    run = start_dry_run(as_of=NOVEMBER, now=NOVEMBER)
    number, waiting = 0, unfinished_chunks(run)
    while waiting:
        number += 1
        try:
            with transaction.atomic(), crash_at(number):
                dry_run_chunk(waiting[0], now=NOVEMBER)
        except Crashed:
            continue
        waiting = unfinished_chunks(run)
    run.refresh_from_db()
    expected, amounts, failed = without_interruption()
    assert (run.amounts, run.failed, run.invoices_made) == (amounts, failed, len(expected))
    found = {(row.subscription_id, row.kind, row.period_start): row.total for row in run.findings.filter(problem="")}
    assert found == {key: total for key, (total, _) in expected.items()}
    assert sum(found.values()) == Decimal(amounts["USD"])
