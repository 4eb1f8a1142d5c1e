"""Concurrent changes to one customer's money wait for each other without a deadlock. Real threads."""

import threading
import time
from contextlib import contextmanager

import pytest
from django.db import connections, transaction

from billing.late_usage.checks import find_checks
from billing.late_usage.reconcile import reconcile_due
from billing.lifecycle import void as voiding
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.void import reissue, void
from billing.models import Invoice, InvoiceState
from billing.runs.billing_run import run_to_end
from billing.settlement import invoice_credit, refunds
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import Receipt, record_payment
from billing.settlement.wallets import grant_credit, open_wallet
from tests.billing.adjusting import give, make_coupon, make_credit
from tests.billing.invoices import ISSUED, make_draft, make_finalized
from tests.billing.late import arrive, invoice_at, work_late
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db(transaction=True)

SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
IN_SEPTEMBER = utc(2026, 9, 20, 9)
PAUSE = 0.7


def one_behind_the_other(first, second, reached):
    """Begin the second job when the first has reached a point, where it lingers; return what either raised."""
    errors = []

    def run(job):
        try:
            job()
        except Exception as error:  # noqa: BLE001  the test looks at what was raised
            errors.append(repr(error))
        finally:
            reached.set()
            connections.close_all()

    threads = [threading.Thread(target=run, args=[job]) for job in (first, second)]
    threads[0].start()
    assert reached.wait(20)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    return errors


@contextmanager
def lingering(monkeypatch, module, name):
    """Have the first call of a function linger after its work; the event says that it does."""
    reached, does = threading.Event(), getattr(module, name)

    def slowly(*args, **kwargs):
        result = does(*args, **kwargs)
        if not reached.is_set():
            reached.set()
            time.sleep(PAUSE)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(module, name, slowly)
        yield reached


def held_open(job, reached):
    """Make a job of one transaction that stays open for a while after the work."""

    def work():
        with transaction.atomic():
            job()
            reached.set()
            time.sleep(PAUSE)

    return work


@pytest.fixture
def invoice(db):
    """September's invoice over one call of $1, whose customer has one more late call."""
    version = make_version({"feature": make_feature(name="API calls"), "unit_amount": D(1)})
    acme = make_customer(external_id="acme")
    make_subscription(customer=acme, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    arrive(IN_SEPTEMBER)
    [made] = invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)
    return made


def test_voiding_an_invoice_while_its_late_usage_is_calculated(invoice):
    find_checks(now=OCTOBER)
    reached = threading.Event()
    reconciling = held_open(lambda: reconcile_due(now=OCTOBER), reached)
    assert one_behind_the_other(reconciling, lambda: void(invoice, reason="Wrong", by=None, now=OCTOBER), reached) == []
    assert Invoice.objects.get(pk=invoice.pk).state == InvoiceState.VOID


def test_voiding_an_invoice_while_a_run_bills_its_late_usage(invoice):
    work_late(OCTOBER)
    reached = threading.Event()
    running = held_open(lambda: run_to_end(as_of=NOVEMBER), reached)
    assert one_behind_the_other(running, lambda: void(invoice, reason="Wrong", by=None, now=NOVEMBER), reached) == []
    assert Invoice.objects.get(pk=invoice.pk).state == InvoiceState.VOID


def test_finalizing_a_negative_invoice_while_a_credit_note_adds_to_the_wallet(monkeypatch):
    customer = make_customer()
    paid = make_finalized("100", customer=customer)
    record_payment(paid, Receipt(D(100), ISSUED.date()), now=ISSUED, by=None)
    make_credit(customer, 7, now=ISSUED)
    note = draft_credit_note(paid, {paid.lines.get().pk: D(50)}, reason="billing_error", refund_to="wallet", by=None)
    below = make_draft("-20", customer=customer)
    with lingering(monkeypatch, refunds, "get_or_open_invoice_wallet") as reached:
        errors = one_behind_the_other(
            lambda: finalize_credit_note(note, now=ISSUED, by=None), lambda: finalize(below, now=ISSUED), reached
        )
    assert errors == []
    assert customer.wallets.get().balance == D(77)  # 7 + 50 + 20


def test_finalizing_a_negative_invoice_while_one_paid_from_two_wallets_is_voided(monkeypatch):
    customer = make_customer()
    for priority, amount in enumerate((10, 100)):
        wallet = open_wallet(customer, "USD", by=None, priority=priority)
        grant_credit(wallet, D(amount), kind="promotional", reason="Welcome", now=ISSUED, by=None)
    used = make_finalized("60", customer=customer)  # takes the first wallet's $10 and $50 of the second's
    below = make_draft("-20", customer=customer)
    with lingering(monkeypatch, invoice_credit, "get_or_open_invoice_wallet") as reached:
        errors = one_behind_the_other(
            lambda: finalize(below, now=ISSUED), lambda: void(used, reason="Wrong", by=None, now=ISSUED), reached
        )
    assert errors == []
    assert sorted(wallet.balance for wallet in customer.wallets.all()) == [D(30), D(100)]


def test_reissuing_while_another_draft_uses_the_same_discount_and_credit(monkeypatch):
    customer = make_customer(external_id="acme")
    for name in ("API calls", "Seats"):
        feature = make_feature(name=name)
        version = make_version({"feature": feature, "unit_amount": D(1)}, name=name)
        make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
        use(customer, feature, IN_SEPTEMBER, 10)
    give(make_coupon(10), customer)
    make_credit(customer, 1000)
    first, second = bill(OCTOBER)
    finalize(first, now=OCTOBER)
    with lingering(monkeypatch, voiding, "return_credits") as reached:
        errors = one_behind_the_other(
            lambda: reissue(first, reason="Wrong", by=None, now=OCTOBER),
            lambda: finalize_due(now=utc(2026, 10, 20)),
            reached,
        )
    assert errors == []
    assert Invoice.objects.get(pk=second.pk).credits_applied == D(9)  # $10 less 10%
