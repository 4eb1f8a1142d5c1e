"""Three subscriptions of a customer on joint invoices, for half a year, calculated by hand and proved."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest

from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.review import hold, release
from billing.lifecycle.void import reissue, void
from billing.models import Invoice, JointInvoice, PaymentMethod
from billing.settlement.joint_invoices import record_joint_payment
from billing.settlement.payments import Receipt
from customers.models import Customer, Subscription
from customers.signals import invoice_start
from customers.subscriptions import cancel
from tests.billing.late import arrive, arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in range(1, 8))
FEE = {"kind": "fixed", "cadence": "advance"}


@pytest.fixture
def proved() -> Iterator[None]:
    """Prove everything at the end of July's first night."""
    yield
    work_late(JULY)
    assert differences(prove_night(JULY)) == []


@pytest.fixture
def acme() -> Customer:
    return make_customer(name="Acme", external_id="acme", joins_invoices=True)


@pytest.fixture
def contracts(acme: Customer) -> dict[str, Subscription]:
    """A platform for $1,200.00 a year from April 2025 on; calls for $1.00 and three seats for $30.00 a month."""
    calls = make_feature(name="Calls")
    plans = {
        "Platform": (
            make_version(FEE | {"unit_amount": D(1200), "interval": "year"}, name="Platform"),
            utc(2025, 4, 1),
        ),
        "Calls": (make_version({"feature": calls, "unit_amount": D(1)}, name="Calls"), JANUARY),
        "Seats": (make_version(FEE | {"unit_amount": D(10), "quantity": D(3)}, name="Seats"), JANUARY),
    }
    subscriptions = {}
    for name, (plan, start) in plans.items():
        interval = "year" if name == "Platform" else "month"
        subscriptions[name] = make_subscription(customer=acme, plan=plan, starts_at=start, interval=interval)
        invoice_start(subscriptions[name], now=start)
        finalize_due(now=start)
    return subscriptions


def documents(invoices: list[Invoice]) -> dict[str, list[tuple[str, Decimal]]]:
    """Return the sections of each document, as number and total."""
    result: dict[str, list[tuple[str, Decimal]]] = {}
    for invoice in invoices:
        number = str(invoice.joint or invoice)
        result.setdefault(number, []).append((invoice.number, invoice.total))
    return result


def billed(moment: datetime) -> dict[str, list[tuple[str, Decimal]]]:
    return documents(invoice_at(moment))


@pytest.mark.usefixtures("proved")
def test_three_subscriptions_for_half_a_year(contracts):
    assert [invoice.number for invoice in Invoice.objects.order_by("pk")] == ["INV-000001", "INV-000002"]
    arrive_many(13, utc(2026, 1, 10))
    assert billed(FEBRUARY) == {"INV-000003": [("INV-000003-1", D("13.00")), ("INV-000003-2", D("30.00"))]}
    arrive_many(5, utc(2026, 2, 10))
    assert billed(MARCH) == {"INV-000004": [("INV-000004-1", D("5.00")), ("INV-000004-2", D("30.00"))]}

    # The seats end after 15 of 31 days: $14.52 are due of $30.00. The invoice is the only one of that day.
    cancel(contracts["Seats"], at=utc(2026, 3, 16), now=utc(2026, 3, 10), by=None)
    assert billed(utc(2026, 3, 16)) == {"INV-000005": [("INV-000005", D("-15.48"))]}
    # A call of February arrives late, and is charged with the seven of March.
    arrive(utc(2026, 2, 20), received_at=utc(2026, 3, 20))
    work_late(utc(2026, 3, 21))
    arrive_many(7, utc(2026, 3, 20))
    assert billed(APRIL) == {"INV-000006": [("INV-000006-1", D("1200.00")), ("INV-000006-2", D("8.00"))]}
    joint = JointInvoice.objects.get(number="INV-000006")
    assert (joint.total, joint.credits_applied, joint.amount_due) == (D("1208.00"), D("15.48"), D("1192.52"))

    for month, calls in ((4, 4), (5, 6), (6, 2)):
        arrive_many(calls, utc(2026, month, 10))
        number = f"INV-{month + 3:06}"
        assert billed(utc(2026, month + 1, 1)) == {number: [(number, D(calls))]}
    # Only the documents of February, March and April have several sections.
    assert list(JointInvoice.objects.order_by("pk").values_list("number", flat=True)) == [
        "INV-000003",
        "INV-000004",
        "INV-000006",
    ]


@pytest.mark.usefixtures("contracts", "proved")
def test_the_same_run_twice_and_a_void_joint_invoice():
    arrive_many(13, utc(2026, 1, 10))
    drafts = bill(FEBRUARY)
    assert bill(FEBRUARY) == []
    assert len({draft.joint_id for draft in drafts}) == 1

    # A draft on hold keeps the others waiting.
    hold(drafts[0], reason="Checking", now=FEBRUARY, by=None)
    assert finalize_due(now=utc(2026, 2, 5)) == 0
    release(drafts[0], now=FEBRUARY, by=None)
    assert finalize_due(now=utc(2026, 2, 5)) == 2
    assert finalize_due(now=utc(2026, 2, 5)) == 0

    # The customer pays by one transfer, which covers the first section and a part of the second.
    joint = JointInvoice.objects.get()
    receipt = Receipt(D("40.00"), FEBRUARY.date(), PaymentMethod.BANK_TRANSFER, "wire 1", idempotency_key="k1")
    payment = record_joint_payment(joint, receipt, now=FEBRUARY, by=None)
    assert record_joint_payment(joint, receipt, now=FEBRUARY, by=None) == payment
    assert [(section.number, section.amount_paid) for section in JointInvoice.objects.get().parts] == [
        ("INV-000003-1", D("13.00")),
        ("INV-000003-2", D("27.00")),
    ]


def test_voiding_and_reissuing_concerns_all_sections(contracts):
    arrive_many(13, utc(2026, 1, 10))
    [calls, seats] = invoice_at(FEBRUARY)
    arrive_many(2, utc(2026, 1, 12))
    work_late(utc(2026, 2, 2))
    replacement = reissue(calls, reason="Two calls are missing", by=None, now=utc(2026, 2, 3))
    assert reissue(seats, reason="Again", by=None, now=utc(2026, 2, 3)).joint == replacement.joint
    assert {invoice.state for invoice in Invoice.objects.filter(pk__in=[calls.pk, seats.pk])} == {"void"}
    assert finalize_due(now=MARCH) == 0  # a person finalizes it
    finalize(replacement, now=utc(2026, 2, 4))
    joint = JointInvoice.objects.get(replaces=calls.joint)
    assert documents(joint.parts) == {"INV-000004": [("INV-000004-1", D("15.00")), ("INV-000004-2", D("30.00"))]}
    void(joint.parts[1], reason="Canceled", by=None, now=utc(2026, 2, 5))
    assert JointInvoice.objects.get(pk=joint.pk).state == "void"
    assert differences(prove_night(utc(2026, 2, 6))) == []


@pytest.mark.usefixtures("proved")
def test_usage_of_a_quarter_beside_a_monthly_fee(acme):
    calls = make_feature(name="Calls")
    seats = make_version(FEE | {"unit_amount": D(30)}, name="Seats")
    usage = make_version({"feature": calls, "unit_amount": D(1), "interval": "quarter"}, free_units={calls: D(10)})
    for plan, interval in ((seats, "month"), (usage, "quarter")):
        subscription = make_subscription(customer=acme, plan=plan, starts_at=JANUARY, interval=interval)
        invoice_start(subscription, now=JANUARY)
    finalize_due(now=JANUARY)
    for month, count in ((1, 4), (2, 5), (3, 6)):
        arrive_many(count, utc(2026, month, 10))
    assert billed(FEBRUARY) == {"INV-000002": [("INV-000002", D("30.00"))]}
    assert billed(MARCH) == {"INV-000003": [("INV-000003", D("30.00"))]}
    # 15 calls in the quarter, of which 10 are free.
    assert billed(APRIL) == {"INV-000004": [("INV-000004-1", D("30.00")), ("INV-000004-2", D("5.00"))]}
