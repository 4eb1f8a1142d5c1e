"""Runs: chunks, repeats, crashes, and subscriptions that can't be billed."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from billing.charges import next_invoice
from billing.invoicing.subscriptions import load_subscriptions
from billing.models import BillingRun, BillingState, Invoice, RunChunk
from billing.runs import billing_run
from billing.runs.billing_run import bill_chunk, bill_subscriptions, run_to_end, start_run, unfinished_chunks
from billing.runs.billing_states import refresh_states
from billing.tasks import run_billing
from customers.models import Subscription
from customers.subscriptions import cancel, cancel_at_period_end, withdraw_scheduled_change
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version
from tests.web_server import database_url

pytestmark = pytest.mark.django_db
START, END = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


def make_customers(count, *prices, feature=None, used=100):
    """Subscribe customers to one plan, each with usage of the feature in September."""
    version = make_version(*prices)
    found = []
    for _ in range(count):
        customer = make_customer()
        found.append(make_subscription(customer=customer, plan=version, starts_at=START, now=START))
        if feature:
            use(customer, feature, utc(2026, 9, 5), used)
    return found


@pytest.fixture
def calls(db):
    return make_feature(name="API calls")


def test_a_run_counts_its_invoices_and_amounts(calls):
    make_customers(3, FEE, {"feature": calls, "unit_amount": D("0.01")}, feature=calls)
    run = run_to_end(as_of=END)
    # Three openings of $30, and three cycles of $30 + 100 × $0.01
    assert (run.subscriptions, run.done, run.invoices_made, run.failed) == (3, 3, 6, 0)
    assert (run.amounts, run.state, run.finished_at) == ({"USD": "183"}, "finished", END)


def test_a_second_run_has_nothing_to_bill(calls):
    make_customers(2, FEE)
    run_to_end(as_of=START)
    assert run_to_end(as_of=START) is None
    assert Invoice.objects.count() == 2


def test_a_run_is_cut_into_chunks(calls, monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 2)
    make_customers(5, FEE)
    run = start_run(as_of=START, now=START)
    assert len(unfinished_chunks(run)) == 3
    for chunk_id in unfinished_chunks(run):
        bill_chunk(chunk_id, now=START)
        assert bill_chunk(chunk_id, now=START) is None
    run.refresh_from_db()
    assert (run.state, run.done, run.invoices_made) == ("finished", 5, 5)


def test_a_run_left_by_a_dead_worker_is_continued(monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 1)
    make_customers(3, FEE)
    run = start_run(as_of=START, now=START)
    bill_chunk(unfinished_chunks(run)[0], now=START)
    later = START + timedelta(hours=1)
    assert start_run(as_of=later, now=later) == run
    assert len(unfinished_chunks(run)) == 2
    run_to_end(as_of=later)
    assert (BillingRun.objects.get().state, Invoice.objects.count()) == ("finished", 3)


def test_a_chunk_costs_the_same_queries_whatever_its_size(calls):
    prices = (FEE, {"feature": calls, "unit_amount": D("0.01")})

    def queries(count):
        ids = [subscription.pk for subscription in make_customers(count, *prices, feature=calls)]
        refresh_states()
        with CaptureQueriesContext(
            connection,
        ) as captured:
            bill_subscriptions(ids, as_of=END)
        return len(captured)

    assert queries(2) == queries(12)


def test_a_subscription_that_cant_be_billed_is_parked_and_the_others_are_billed():
    [good] = make_customers(1, FEE)
    version = make_version(FEE)
    bad = make_subscription(customer=make_customer(), plan=version, starts_at=START, now=START)
    # No door lets a subscription onto a plan without prices for it; a row written past them does.
    Subscription.objects.filter(pk=bad.pk).update(interval="year")
    run = run_to_end(as_of=START)
    assert (run.invoices_made, run.failed, run.state) == (1, 1, "finished")
    assert Invoice.objects.get().subscription == good
    state = BillingState.objects.get(pk=bad.pk)
    assert "has no prices in USD per year" in state.parked_reason
    assert (state.attempts, state.retry_at) == (1, START + timedelta(hours=1))


def test_an_unexpected_error_parks_one_subscription_and_bills_the_others(calls, monkeypatch, caplog):
    subscriptions = make_customers(3, FEE)
    broken = subscriptions[1].pk

    def fail_for_one(subscription):
        if subscription.subscription_id == broken and not subscription.progress.opened:
            raise ZeroDivisionError("a bug")
        return next_invoice.next_invoice(subscription)

    monkeypatch.setattr(billing_run, "next_invoice", fail_for_one)
    run = run_to_end(as_of=START)
    assert (run.invoices_made, run.failed) == (2, 1)
    assert BillingState.objects.get(pk=broken).parked_reason == "Unexpected error, ZeroDivisionError: a bug"


def test_two_failing_subscriptions_among_many_are_found_in_few_tries(calls, monkeypatch, caplog):
    subscriptions = make_customers(16, FEE)
    broken = {subscriptions[2].pk, subscriptions[13].pk}
    tries = []

    def fail_for_two(ids):
        tries.append(len(ids))
        if broken & set(ids):
            raise ZeroDivisionError("a bug")
        return load_subscriptions(ids)

    monkeypatch.setattr(billing_run, "load_subscriptions", fail_for_two)
    run = run_to_end(as_of=START)
    assert (run.invoices_made, run.failed) == (14, 2)
    assert set(BillingState.objects.exclude(parked_at=None).values_list("pk", flat=True)) == broken
    assert sorted(tries, reverse=True) == [16, 8, 8, 4, 4, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1]
    assert "can't be billed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_an_unexpected_error_outside_a_run_parks_the_subscription(calls, monkeypatch):
    [subscription] = make_customers(1, FEE)
    refresh_states()
    monkeypatch.setattr(billing_run, "next_invoice", _explode)
    assert bill_subscriptions([subscription.pk], as_of=START, retrying=True).failed == 1
    assert BillingState.objects.get(pk=subscription.pk).parked_reason.startswith("Unexpected error")


def test_a_parked_subscription_is_retried_after_increasing_delays(calls, monkeypatch):
    [subscription] = make_customers(1, FEE)
    monkeypatch.setattr(billing_run, "next_invoice", _explode)
    waits = []
    now = START
    for _ in range(7):
        run_to_end(as_of=now)
        state = BillingState.objects.get(pk=subscription.pk)
        waits.append(state.retry_at - now)
        assert run_to_end(as_of=now + timedelta(minutes=59)) is None
        now = state.retry_at or now
    assert waits == [timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24, 24)]
    monkeypatch.undo()
    assert run_to_end(as_of=now).invoices_made == 1
    assert BillingState.objects.get(pk=subscription.pk).parked_at is None


def test_an_expected_error_is_retried_after_increasing_delays_too():
    subscription = make_customers(1, FEE)[0]
    Subscription.objects.filter(pk=subscription.pk).update(interval="year")
    run_to_end(as_of=START)
    run_to_end(as_of=START + timedelta(hours=1))
    state = BillingState.objects.get(pk=subscription.pk)
    assert (state.attempts, state.parked_at, state.retry_at) == (2, START, START + timedelta(hours=3))


def _explode(subscription):
    raise ZeroDivisionError


def test_a_cancellation_makes_the_due_date_earlier():
    [subscription] = make_customers(1, {**FEE, "cadence": "arrears"})
    bill(START)
    assert BillingState.objects.get().due_at == END
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [final] = bill(utc(2026, 9, 11))
    assert final.total == D(10)


def test_a_revoked_cancellation_restores_the_due_date():
    [subscription] = make_customers(1, FEE)
    bill(START)
    cancel_at_period_end(subscription, now=utc(2026, 9, 10), by=None)
    withdraw_scheduled_change(subscription, now=utc(2026, 9, 20), by=None)
    [cycle] = bill(END)
    assert (cycle.kind, cycle.total) == ("cycle", D(30))


def test_a_subscription_is_due_at_its_start_its_trials_end_or_never():
    version = make_version(FEE)
    future = make_subscription(customer=make_customer(), plan=version, starts_at=utc(2027, 1, 1), now=START)
    trial = make_subscription(customer=make_customer(), plan=version, starts_at=START, now=START, trial_days=40)
    ended = make_subscription(customer=make_customer(), plan=version, starts_at=START, now=START)
    cancel(ended, at=START, now=START, by=None)
    run_to_end(as_of=utc(2026, 9, 2))
    due = dict(BillingState.objects.values_list("pk", "due_at"))
    assert due == {future.pk: utc(2027, 1, 1), trial.pk: utc(2026, 9, 11), ended.pk: None}
    # Periods count from the trial's end on 11 October; the one before is trial only, and there is nothing to show.
    assert run_to_end(as_of=END).invoices_made == 0
    assert BillingState.objects.get(pk=trial.pk).due_at == utc(2026, 10, 11)


def test_a_lost_billing_state_duplicates_no_invoice():
    make_customers(1, FEE)
    bill(END)
    BillingState.objects.all().delete()
    assert bill(END) == []
    assert BillingState.objects.get().billed_until == END


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_make_one_invoice_each(calls, monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 2)
    make_customers(9, FEE, {"feature": calls, "unit_amount": D("0.01")}, feature=calls)
    failures = []

    def work():
        try:
            run_to_end(as_of=END)
        except Exception as error:  # noqa: BLE001  the thread's failure is the test's
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    run_to_end(as_of=END)
    assert BillingRun.objects.count() == 1
    assert BillingRun.objects.get().state == "finished"
    assert Invoice.objects.count() == 18
    assert Invoice.objects.values("subscription", "kind", "period_start").distinct().count() == 18


KILLED = """
import os, sys, django
django.setup()
from datetime import UTC, datetime
from billing.runs import billing_run
billing_run.CHUNK_SIZE = 2
real, calls = billing_run.save_states, []
def save_states(states):
    real(states)
    calls.append(1)
    if len(calls) == 2:
        print("in the middle", flush=True)
        import time; time.sleep(60)
billing_run.save_states = save_states
billing_run.run_to_end(as_of=datetime(2026, 9, 1, tzinfo=UTC))
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_run_is_finished_by_the_next_without_duplicates():
    make_customers(6, FEE)
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, env=environment, cwd=root
    ) as worker:
        assert worker.stdout.readline() == "in the middle\n"
        os.kill(worker.pid, signal.SIGKILL)
    # The first chunk was committed, the second was not, the third had not begun.
    assert Invoice.objects.count() == 2
    assert RunChunk.objects.filter(finished_at=None).count() == 2
    later = START + timedelta(hours=1)
    run = run_to_end(as_of=later)
    assert (run.as_of, run.state, run.done, run.invoices_made) == (START, "finished", 6, 6)
    assert Invoice.objects.values("subscription").distinct().count() == 6


@pytest.mark.django_db(transaction=True)
def test_the_task_enqueues_the_chunks(monkeypatch):
    make_customers(3, FEE)
    handed: list[int] = []
    monkeypatch.setattr("billing.tasks.bill_chunk.delay", handed.append)
    assert run_billing() == 1
    assert handed == [RunChunk.objects.get().pk]
    # The worker died before it took the task: the next hour hands it out again.
    assert run_billing() == 1
    assert len(handed) == 2
