"""Events that arrive while their period is invoiced are on the invoice or late, in any order. Real threads."""

import threading

import pytest
from django.db import connections, transaction

from billing.invoicing import compute
from billing.late_usage import checks, reconcile
from billing.late_usage.reconcile import reconcile_due
from billing.lifecycle.finalize import finalize
from billing.models import Invoice, LateAdjustment
from billing.runs import billing_run
from events.ledger.processing import process_batch
from events.models import InboxEvent
from events.usage.meter import usage_many as count_again
from tests.billing.late import arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, utc
from tests.events.senders import send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db(transaction=True)
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
IN_SEPTEMBER = utc(2026, 9, 20, 9)


@pytest.fixture
def subscription():
    calls = make_feature(name="API calls")
    version = make_version({"feature": calls, "unit_amount": D(1)})
    customer = make_customer(external_id="acme")
    return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


def charged(subscription):
    """Add up what was invoiced and what waits to be."""
    invoiced = sum(Invoice.objects.values_list("total", flat=True))
    waiting = LateAdjustment.objects.filter(state="waiting")
    return invoiced + sum(waiting.values_list("amount", flat=True))


def in_thread(function, *args):
    def work():
        try:
            function(*args)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_batch_that_began_before_the_run_is_on_the_invoice(subscription):
    arrive(IN_SEPTEMBER)
    send(at=IN_SEPTEMBER)
    counted, may_commit = threading.Event(), threading.Event()

    def batch():
        with transaction.atomic():
            process_batch()
            counted.set()
            may_commit.wait(20)

    worker = in_thread(batch)
    assert counted.wait(20)
    run = in_thread(invoice_at, OCTOBER)
    run.join(0.5)
    assert run.is_alive()  # the run waits until the batch is there to be read
    may_commit.set()
    worker.join(20)
    run.join(20)
    assert Invoice.objects.get().total == D(2)
    work_late(OCTOBER)
    assert LateAdjustment.objects.count() == 0


def test_a_batch_that_commits_between_calculating_and_finalizing_is_late(subscription, monkeypatch):
    arrive(IN_SEPTEMBER)
    send(at=IN_SEPTEMBER)
    worked_out = compute.compute_invoices

    def compute_many(works):
        found = worked_out(works)
        if works[0].invoice.kind == "cycle":
            in_thread(process_batch).join(20)  # the invoice is worked out and not written yet
        return found

    monkeypatch.setattr(billing_run, "compute_invoices", compute_many)
    billing_run.run_to_end(as_of=OCTOBER)
    monkeypatch.undo()
    [invoice] = Invoice.objects.all()
    assert (invoice.total, InboxEvent.objects.count()) == (D(1), 0)

    finalize(invoice, now=OCTOBER)
    work_late(OCTOBER)
    assert charged(subscription) == D(2)


def test_an_event_that_arrives_while_its_period_is_recalculated_is_not_lost(subscription, monkeypatch):
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)

    checks.find_checks(now=OCTOBER)

    def usage_many(requests):
        found = count_again(requests)
        monkeypatch.undo()
        in_thread(arrive, IN_SEPTEMBER).join(20)
        finder = in_thread(lambda: checks.find_checks(now=OCTOBER))
        finder.join(0.3)  # it waits for the check that is being done, and notes it anew
        assert finder.is_alive()
        finders.append(finder)
        return found

    finders: list[threading.Thread] = []
    monkeypatch.setattr(reconcile, "usage_many", usage_many)
    reconcile_due(now=OCTOBER)
    for finder in finders:
        finder.join(20)
    assert len(finders) == 1
    work_late(OCTOBER)  # unless the same round took the new check up
    assert charged(subscription) == D(3)


def test_concurrent_workers_make_one_adjustment(subscription):
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(5, IN_SEPTEMBER)
    threads = [in_thread(work_late, OCTOBER) for _ in range(4)]
    for thread in threads:
        thread.join(30)
    work_late(OCTOBER)
    assert list(LateAdjustment.objects.values_list("amount", "state")) == [(D(5), "waiting")]


def test_events_runs_and_checks_at_once_charge_every_event_once(subscription):
    stop = threading.Event()

    def count():
        while not stop.is_set():
            process_batch(7)

    def look():
        while not stop.is_set():
            work_late(OCTOBER)

    workers = [in_thread(count), in_thread(look)]
    for _ in range(60):
        send(at=IN_SEPTEMBER)
    invoice_at(OCTOBER)
    for _ in range(60):
        send(at=IN_SEPTEMBER)
    while InboxEvent.objects.exists():
        stop.wait(0.05)
    stop.set()
    for worker in workers:
        worker.join(30)
    work_late(OCTOBER)
    assert charged(subscription) == D(120)
    invoice_at(NOVEMBER)
    assert sum(Invoice.objects.values_list("total", flat=True)) == D(120)
