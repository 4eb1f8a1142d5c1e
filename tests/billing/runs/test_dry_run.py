"""Dry runs show what a billing run would do, by the same code, and save nothing but themselves."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.charges import next_invoice
from billing.models import BillingRun, BillingState, Invoice, RunChunk, RunFinding
from billing.runs import billing_run
from billing.runs.billing_run import run_to_end, start_run, unfinished_chunks
from billing.runs.dry_run import dry_run_chunk, start_dry_run
from billing.tasks import run_billing
from customers.models import Subscription
from customers.subscriptions import cancel, cancel_at_period_end, change_plan, pause
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
START, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


@pytest.fixture
def calls(db):
    return make_feature(name="API calls")


@pytest.fixture
def plan(calls):
    return make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})


def subscribed(plan, **given):
    customer = make_customer()
    return make_subscription(**{"customer": customer, "plan": plan, "starts_at": START, "now": START} | given)


def dry_run(as_of, now=None):
    """Make a dry run from start to finish, as a worker would."""
    run = start_dry_run(as_of=as_of, now=now or as_of)
    for chunk_id in unfinished_chunks(run):
        dry_run_chunk(chunk_id, now=now or as_of)
    run.refresh_from_db()
    return run


def foreseen(run):
    """List the invoices that a dry run found."""
    rows = run.findings.filter(problem="").order_by("subscription", "pk")
    return [(row.subscription_id, row.kind, row.period_start, row.total) for row in rows]


def drafted():
    """List the invoices that there are."""
    rows = Invoice.objects.order_by("subscription", "pk")
    return [(row.subscription_id, row.kind, row.period_start, row.total) for row in rows]


def everything_but_runs():
    """Count the rows of every table that isn't a run's."""
    own = (BillingRun, RunChunk, RunFinding)
    return {model.__name__: model._base_manager.count() for model in apps.get_models() if model not in own}


def test_a_dry_run_expects_what_the_run_then_makes(plan, calls):
    for used in (100, 250):
        subscription = subscribed(plan)
        use(subscription.customer, calls, utc(2026, 9, 5), used)
    run = dry_run(OCTOBER)
    # Two openings of $30, and $30 + $1.00 and $30 + $2.50 for September.
    assert (run.subscriptions, run.done, run.invoices_made, run.failed) == (2, 2, 4, 0)
    assert (run.kind, run.state, run.amounts) == ("dry", "finished", {"USD": "123.5"})
    said = foreseen(run)
    run_to_end(as_of=OCTOBER)
    assert said == drafted()


def test_a_dry_run_saves_nothing_but_itself(plan, calls):
    use(subscribed(plan).customer, calls, utc(2026, 9, 5), 100)
    bill(START)
    subscribed(plan)
    before, states = everything_but_runs(), list(BillingState.objects.values())
    assert dry_run(NOVEMBER).invoices_made == 5
    assert (everything_but_runs(), list(BillingState.objects.values())) == (before, states)


def test_a_dry_run_can_look_into_the_future(plan):
    subscribed(plan)
    bill(START)
    run = dry_run(NOVEMBER, now=utc(2026, 9, 10))
    assert [(kind, total) for _, kind, _, total in foreseen(run)] == [("cycle", D(30)), ("cycle", D(30))]
    assert dry_run(START).invoices_made == 0


def test_a_dry_run_includes_changes_that_a_run_would_notice(plan):
    ended, moved, paused, changed = (subscribed(plan) for _ in range(4))
    cancel_at_period_end(moved, now=utc(2026, 9, 2), by=None)
    bill(START)
    subscribed(plan)
    subscribed(plan, starts_at=utc(2026, 9, 20), trial_days=5)
    cancel(ended, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    cancel(moved, at=utc(2026, 9, 21), now=utc(2026, 9, 12), by=None)
    pause(paused, at=utc(2026, 9, 16), now=utc(2026, 9, 16), by=None)
    change_plan(changed, make_version(FEE), at=utc(2026, 9, 16), now=utc(2026, 9, 16), by=None)
    for as_of in (utc(2026, 9, 11), utc(2026, 9, 26), OCTOBER, NOVEMBER):
        said = foreseen(dry_run(as_of))
        known = set(drafted())
        run_to_end(as_of=as_of)
        assert said == [row for row in drafted() if row not in known], as_of


def test_each_invoice_is_compared_with_the_period_before(plan, calls):
    customer = subscribed(plan).customer
    use(customer, calls, utc(2026, 9, 5), 1000)
    use(customer, calls, utc(2026, 10, 5), 400)
    run = dry_run(NOVEMBER)
    changes = list(run.findings.order_by("pk").values_list("kind", "total", "change"))
    # $30 in advance, then $30 + $10 without one before it, then $30 + $4, six dollars less.
    assert changes == [("opening", D(30), None), ("cycle", D(40), None), ("cycle", D(34), D(-6))]
    bill(OCTOBER)
    assert list(dry_run(NOVEMBER).findings.values_list("total", "change")) == [(D(34), D(-6))]


def test_a_subscription_that_would_be_parked_is_reported_and_not_parked(plan):
    subscribed(plan)
    bad = subscribed(plan)
    Subscription.objects.filter(pk=bad.pk).update(interval="year")
    run = dry_run(START)
    assert (run.invoices_made, run.failed) == (1, 1)
    assert "has no prices in USD per year" in run.findings.exclude(problem="").get().problem
    assert not BillingState.objects.exists()


def test_an_unexpected_error_affects_only_its_own_subscription(plan, monkeypatch, caplog):
    broken = [subscribed(plan) for _ in range(3)][1].pk

    def fail_for_one(subscription):
        if subscription.subscription_id == broken:
            raise ZeroDivisionError("a bug")
        return next_invoice.next_invoice(subscription)

    monkeypatch.setattr(billing_run, "next_invoice", fail_for_one)
    run = dry_run(START)
    assert (run.done, run.invoices_made, run.failed) == (3, 2, 1)
    problem = run.findings.exclude(problem="").get()
    assert (problem.subscription_id, problem.problem) == (broken, "Unexpected error, ZeroDivisionError: a bug")
    assert "couldn't be billed" in caplog.text


def test_a_parked_subscription_is_included_before_its_retry_is_due(plan):
    subscription = subscribed(plan)
    Subscription.objects.filter(pk=subscription.pk).update(interval="year")
    run_to_end(as_of=START)
    Subscription.objects.filter(pk=subscription.pk).update(interval="month")
    assert dry_run(START + timedelta(minutes=1)).invoices_made == 1


def test_a_dry_run_with_nothing_due_is_finished_at_once(plan):
    run = dry_run(START)
    assert (run.state, run.subscriptions, run.invoices_made, run.amounts) == ("finished", 0, 0, {})


def test_a_dry_run_can_run_beside_a_billing_run(plan):
    subscribed(plan)
    real = start_run(as_of=START, now=START)
    first, second = dry_run(START), dry_run(START)
    assert (first.invoices_made, second.invoices_made) == (1, 1)
    assert BillingRun.objects.get(pk=real.pk).state == "running"


def test_a_chunk_of_a_dry_run_is_calculated_once(plan):
    subscribed(plan)
    run = start_dry_run(as_of=START, now=START)
    [chunk_id] = unfinished_chunks(run)
    assert dry_run_chunk(chunk_id, now=START).invoices == 1
    assert dry_run_chunk(chunk_id, now=START) is None
    assert run.findings.count() == 1


def test_a_chunk_costs_the_same_queries_whatever_its_size(plan, calls):
    def queries(count):
        for _ in range(count):
            use(subscribed(plan).customer, calls, utc(2026, 9, 5), 100)
        run = start_dry_run(as_of=OCTOBER, now=OCTOBER)
        [chunk_id] = unfinished_chunks(run)
        with CaptureQueriesContext(connection) as captured:
            dry_run_chunk(chunk_id, now=OCTOBER)
        return len(captured)

    assert queries(2) == queries(10)


@pytest.mark.django_db(transaction=True)
def test_an_unfinished_dry_run_is_enqueued_again_every_hour(plan, monkeypatch):
    subscribed(plan, starts_at=utc(2026, 11, 1))
    handed: list[int] = []
    monkeypatch.setattr("billing.tasks.dry_run_chunk.delay", handed.append)
    monkeypatch.setattr("billing.tasks.bill_chunk.delay", lambda chunk_id: None)
    run = start_dry_run(as_of=NOVEMBER, now=NOVEMBER)
    run_billing()
    assert handed == unfinished_chunks(run)


def test_a_billing_run_keeps_the_reasons_for_parking(plan):
    bad = subscribed(plan)
    Subscription.objects.filter(pk=bad.pk).update(interval="year")
    run = run_to_end(as_of=START)
    found = run.findings.get()
    assert (found.subscription, found.currency, found.total) == (bad, "USD", None)
    assert "has no prices in USD per year" in found.problem


def test_amounts_of_all_chunks_and_currencies_are_added_up(monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 1)
    for currency, amount in (("USD", "10.10"), ("EUR", "7.05"), ("USD", "0.90"), ("JPY", "500")):
        plan = make_version({**FEE, "currency": currency, "unit_amount": Decimal(amount)})
        subscribed(plan, currency=currency)
    assert dry_run(START).amounts == {"EUR": "7.05", "JPY": "500", "USD": "11"}
    assert run_to_end(as_of=START).amounts == {"EUR": "7.05", "JPY": "500", "USD": "11"}
