"""Commitments of a whole subscription, for half a year each. Every amount is calculated by hand, and proved."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest

from billing.invoicing.commitment_progress import commitment_progress
from billing.invoicing.upcoming import upcoming
from billing.lifecycle.void import reissue
from billing.models import Invoice
from catalog.models import Feature
from customers.kinds import CommitmentKind
from customers.models import Subscription
from customers.signals import invoice_start
from customers.subscriptions import CommitmentTerms, agree_commitment, cancel, commit_at_start
from tests.billing.late import arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in range(1, 8))
type Charges = list[tuple[str, Decimal]]


@pytest.fixture
def calls() -> Feature:
    return make_feature(name="Calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def proved() -> Iterator[None]:
    """Prove everything at the end of July's first night."""
    yield
    work_late(JULY)
    assert differences(prove_night(JULY)) == []


def subscribe_acme(calls: Feature, terms: CommitmentTerms) -> Subscription:
    """Subscribe Acme to $1.00 a call from January on, with a commitment."""
    plan = make_version({"feature": calls, "unit_amount": D(1)})
    customer = make_customer(name="Acme", external_id="acme")
    subscription = make_subscription(customer=customer, plan=plan, starts_at=JANUARY)
    commit_at_start(subscription, terms, now=JANUARY, by=None, reason="")
    invoice_start(subscription, now=JANUARY)
    return subscription


def charged(*invoices: Invoice) -> list[Charges]:
    return [[(short(line.description), line.amount) for line in invoice.lines.all()] for invoice in invoices]


def short(description: str) -> str:
    return description.partition(" 2026")[0]


def billed(subscription: Subscription, moment: datetime) -> Charges:
    """Bill a moment, after the upcoming invoice said the same."""
    expected = [
        [(short(line.description), line.amount) for line in invoice.lines]
        for invoice in upcoming(subscription.pk, now=moment).earlier
    ]
    made = charged(*invoice_at(moment))
    assert made == expected
    return made[0] if made else []


def total() -> Decimal:
    return sum((invoice.total for invoice in Invoice.objects.exclude(state="void")), D(0))


def test_a_prepaid_commitment_with_overage(calls, proved):
    # $100.00 a quarter in advance, and usage above that at one and a half times its price.
    terms = CommitmentTerms(D(100), CommitmentKind.PREPAID, 3, D("1.5"))
    acme = subscribe_acme(calls, terms)
    assert charged(*Invoice.objects.all()) == [[("Prepaid commitment, 1 Jan – 31 Mar", D("100.00"))]]
    drawn = "Drawn from the prepaid commitment, 1 Jan – 31 Mar"

    arrive_many(30, utc(2026, 1, 20))
    assert billed(acme, FEBRUARY) == [("Calls, 1–31 Jan", D("30.00")), (drawn, D("-30.00"))]
    arrive_many(50, utc(2026, 2, 20))
    status = commitment_progress(acme.pk, now=utc(2026, 2, 21))
    assert status is not None
    assert (status.used, status.drawn, status.remaining, status.above) == (80, 80, 20, 0)
    assert billed(acme, MARCH) == [("Calls, 1–28 Feb", D("50.00")), (drawn, D("-50.00"))]

    arrive_many(40, utc(2026, 3, 20))
    assert billed(acme, APRIL) == [
        ("Calls, 1–31 Mar", D("40.00")),
        (drawn, D("-20.00")),  # all of the 100
        ("Overage, 1 Jan – 31 Mar", D("10.00")),  # 20 above, half as much again
        ("Prepaid commitment, 1 Apr – 30 Jun", D("100.00")),
    ]

    # Ten calls of March arrive late: they are overage of the first term.
    arrive_many(10, utc(2026, 3, 25))
    work_late(utc(2026, 4, 3))
    arrive_many(20, utc(2026, 4, 20))
    drawn = "Drawn from the prepaid commitment, 1 Apr – 30 Jun"
    assert billed(acme, MAY) == [
        ("Calls, 1–30 Apr", D("20.00")),
        ("Calls, 1–31 Mar", D("10.00")),
        ("Overage, 1 Jan – 31 Mar", D("5.00")),
        (drawn, D("-20.00")),
    ]
    arrive_many(60, utc(2026, 5, 20))
    assert billed(acme, JUNE) == [("Calls, 1–31 May", D("60.00")), (drawn, D("-60.00"))]
    arrive_many(30, utc(2026, 6, 20))
    assert billed(acme, JULY) == [
        ("Calls, 1–30 Jun", D("30.00")),
        (drawn, D("-20.00")),
        ("Overage, 1 Apr – 30 Jun", D("5.00")),
        ("Prepaid commitment, 1 Jul – 30 Sep", D("100.00")),
    ]
    # 100 + 0 + 0 + 130 + 15 + 0 + 115
    assert total() == D("360.00")


def test_a_minimum_of_a_term_with_late_usage_and_a_cancellation(calls, proved):
    acme = subscribe_acme(calls, CommitmentTerms(D(90), periods=3))
    arrive_many(10, utc(2026, 1, 20))
    assert billed(acme, FEBRUARY) == [("Calls, 1–31 Jan", D("10.00"))]
    arrive_many(10, utc(2026, 2, 20))
    assert billed(acme, MARCH) == [("Calls, 1–28 Feb", D("10.00"))]
    arrive_many(20, utc(2026, 3, 20))
    assert billed(acme, APRIL) == [
        ("Calls, 1–31 Mar", D("20.00")),
        ("Minimum commitment, 1 Jan – 31 Mar", D("50.00")),  # 90 - 40
    ]

    # Five calls of March arrive late: they are part of the minimum that is charged already.
    arrive_many(5, utc(2026, 3, 25))
    work_late(utc(2026, 4, 3))
    arrive_many(4, utc(2026, 4, 20))
    assert billed(acme, MAY) == [
        ("Calls, 1–30 Apr", D("4.00")),
        ("Calls, 1–31 Mar", D("5.00")),
        ("Minimum commitment, 1 Jan – 31 Mar", D("-5.00")),
    ]

    # April's invoice is voided and made again: nothing changes.
    april = Invoice.objects.get(period_start=APRIL, kind="cycle")
    reissue(april, now=utc(2026, 5, 2), by=None, reason="Wrong address")
    assert total() == D("94.00")

    # Canceled on 16 May: 45 of the term's 91 days are $44.51 of $90.00.
    cancel(acme, at=utc(2026, 5, 16), now=utc(2026, 5, 10), by=None)
    arrive_many(2, utc(2026, 5, 12))
    assert billed(acme, utc(2026, 5, 16)) == [
        ("Calls, 1–15 May", D("2.00")),
        ("Minimum commitment, 1 Apr – 15 May", D("38.51")),  # 44.51 - 4 - 2
    ]
    # 90 for the first term, 44.51 for the second
    assert total() == D("134.51")


def test_a_commitment_of_the_current_period_is_invoiced_at_once_and_only_its_overage_is_discounted(calls, proved):
    plan = make_version({"feature": calls, "unit_amount": D(1)})
    customer = make_customer(name="Acme", external_id="acme")
    acme = make_subscription(customer=customer, plan=plan, starts_at=JANUARY)
    invoice_start(acme, now=JANUARY)
    arrive_many(15, utc(2026, 1, 5))
    now = utc(2026, 1, 10)
    terms = CommitmentTerms(D(20), CommitmentKind.PREPAID)
    agree_commitment(acme, terms, starts_at=JANUARY, now=now, by=None)
    assert charged(*Invoice.objects.all()) == [[("Prepaid commitment, 1–31 Jan", D("20.00"))]]
    # The same again changes nothing.
    agree_commitment(acme, terms, starts_at=JANUARY, now=now, by=None)
    arrive_many(10, utc(2026, 1, 20))
    assert billed(acme, FEBRUARY) == [
        ("Calls, 1–31 Jan", D("25.00")),
        ("Drawn from the prepaid commitment, 1–31 Jan", D("-20.00")),
        ("Prepaid commitment, 1–28 Feb", D("20.00")),
    ]
