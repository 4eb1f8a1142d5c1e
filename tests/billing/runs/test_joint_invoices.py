"""Joint invoices get all sections once, with chunks and crashes in any order, and while others finalize."""

import threading

import pytest
from django.db import transaction

from billing.lifecycle import finalize as finalizing
from billing.lifecycle.finalize import finalize, finalize_due
from billing.models import Invoice, JointInvoice
from billing.runs import billing_run
from billing.runs.billing_run import bill_chunk, bill_subscriptions, start_run, unfinished_chunks
from billing.runs.billing_states import refresh_states
from customers.models import Subscription
from tests.billing.lifecycle.test_lock_order import held_open, lingering, one_behind_the_other
from tests.billing.runs.test_interruptions import Crashed, crash_at
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_subscription, make_version

START, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)


def make_contracts(count: int) -> list[Subscription]:
    """Subscribe a customer with joint invoices to plans of $1.00, $2.00 and so on a month, in arrears."""
    acme = make_customer(name="Acme", joins_invoices=True)
    plans = [make_version({"kind": "fixed", "cadence": "arrears", "unit_amount": D(n)}) for n in range(1, count + 1)]
    contracts = [make_subscription(customer=acme, plan=plan, starts_at=START) for plan in plans]
    refresh_states()
    return contracts


def documents() -> list[tuple[str | None, list[str]]]:
    return [
        (joint.number, [str(section.total) for section in joint.parts]) for joint in JointInvoice.objects.order_by("pk")
    ]


@pytest.mark.django_db
def test_crashes_at_any_statement_of_chunks_and_of_finalizing(monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 1)
    make_contracts(3)
    run = start_run(as_of=NOVEMBER, now=NOVEMBER)
    chunks = unfinished_chunks(run)
    for number in range(1, 200, 3):
        for chunk_id in chunks:
            try:
                with transaction.atomic(), crash_at(number):
                    bill_chunk(chunk_id, now=NOVEMBER)
            except Crashed:
                continue
        if not unfinished_chunks(run):
            break
    for number in range(1, 200, 3):
        try:
            with transaction.atomic(), crash_at(number):
                finalize_due(now=utc(2026, 11, 5))
            break
        except Crashed:
            assert not Invoice.objects.exclude(number=None).exists()
    # Two periods of three subscriptions: two documents, and no section twice.
    assert documents() == [
        ("INV-000001", ["1.0000", "2.0000", "3.0000"]),
        ("INV-000002", ["1.0000", "2.0000", "3.0000"]),
    ]
    assert Invoice.objects.count() == 6
    assert bill(NOVEMBER) == []


@pytest.mark.django_db
def test_a_joint_invoice_is_not_finalized_in_the_middle_of_a_run(monkeypatch):
    monkeypatch.setattr(billing_run, "CHUNK_SIZE", 1)
    contracts = make_contracts(3)
    run = start_run(as_of=OCTOBER, now=OCTOBER)
    first, second, third = unfinished_chunks(run)
    bill_chunk(first, now=OCTOBER)
    bill_chunk(second, now=OCTOBER)
    assert finalize_due(now=OCTOBER) == 0
    # The third can't be billed: the others don't wait for it.
    Subscription.objects.filter(pk=contracts[2].pk).update(interval="year")
    bill_chunk(third, now=OCTOBER)
    assert finalize_due(now=OCTOBER) == 2
    assert documents() == [("INV-000001", ["1.0000", "2.0000"])]


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_share_one_joint_invoice():
    first, second = make_contracts(2)
    reached = threading.Event()
    running = held_open(lambda: bill_subscriptions([first.pk], as_of=OCTOBER), reached)
    assert one_behind_the_other(running, lambda: bill_subscriptions([second.pk], as_of=OCTOBER), reached) == []
    assert documents() == [(None, ["1.0000", "2.0000"])]


@pytest.mark.django_db(transaction=True)
def test_a_section_that_comes_while_its_joint_invoice_is_finalized_is_on_another(monkeypatch):
    contracts = make_contracts(3)
    bill_subscriptions([row.pk for row in contracts[:2]], as_of=OCTOBER)
    draft = Invoice.objects.earliest("pk")
    with lingering(monkeypatch, finalizing, "lock_joint_invoices") as reached:
        errors = one_behind_the_other(
            lambda: finalize(draft, now=OCTOBER),
            lambda: bill_subscriptions([contracts[2].pk], as_of=OCTOBER),
            reached,
        )
    assert errors == []
    assert documents() == [("INV-000001", ["1.0000", "2.0000"]), (None, ["3.0000"])]
    # On its own, it is an invoice like any other.
    assert finalize(Invoice.objects.latest("pk"), now=OCTOBER).number == "INV-000002"
    assert JointInvoice.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_finalizing_waits_for_a_section_that_is_being_drafted():
    contracts = make_contracts(3)
    bill_subscriptions([row.pk for row in contracts[:2]], as_of=OCTOBER)
    draft, reached = Invoice.objects.earliest("pk"), threading.Event()
    running = held_open(lambda: bill_subscriptions([contracts[2].pk], as_of=OCTOBER), reached)
    errors = one_behind_the_other(running, lambda: finalize(draft, now=OCTOBER), reached)
    assert [error for error in errors if "is another section now" not in error] == []
    finalize(draft, now=OCTOBER)
    assert documents() == [("INV-000001", ["1.0000", "2.0000", "3.0000"])]
