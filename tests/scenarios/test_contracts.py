"""Contracts as customers sign them, for half a year each. Every amount is calculated by hand.

Each contract is billed month by month, and proved at the end by the independent rater.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.upcoming import upcoming
from billing.models import Invoice
from catalog.agreed import FreeTierEdit, PriceEdit, QuantityEdit
from catalog.drafting import Tier
from catalog.models import Feature, PlanVersion
from customers.kinds import ChangeInvoicing
from customers.models import Subscription
from customers.signals import invoice_start
from customers.subscriptions import agree_terms, cancel, change_plan
from tests.billing.late import arrive, arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in range(1, 8))


def fee(name: str, amount: int, **values: Any) -> dict[str, Any]:
    """Describe a recurring fee in advance."""
    return {"kind": "fixed", "cadence": "advance", "name": name, "unit_amount": D(amount)} | values


@pytest.fixture
def calls() -> Feature:
    return make_feature(name="Calls", unit_singular="call", unit_plural="calls")


def subscribe_acme(plan: PlanVersion, **values: Any) -> Subscription:
    """Subscribe Acme from January on, and invoice the start."""
    customer = make_customer(name="Acme", external_id="acme")
    subscription = make_subscription(customer=customer, plan=plan, starts_at=JANUARY, **values)
    invoice_start(subscription, now=JANUARY)
    return subscription


def charged(*invoices: Invoice) -> list[list[tuple[str, Decimal]]]:
    """Return what each invoice says: the first part of each description, and its amount."""
    return [[(short(line.description), line.amount) for line in invoice.lines.all()] for invoice in invoices]


def short(description: str) -> str:
    return description.partition(" 2026")[0]


def all_charged() -> list[list[tuple[str, Decimal]]]:
    return charged(*Invoice.objects.order_by("pk"))


def as_previewed(subscription: Subscription, moment: datetime) -> list[list[tuple[str, Decimal]]]:
    """Bill a moment, after the upcoming invoice said the same."""
    preview = upcoming(subscription.pk, now=moment)
    expected = [[(short(line.description), line.amount) for line in one.lines] for one in preview.earlier]
    billed = charged(*invoice_at(moment))
    assert billed == expected
    return billed


@pytest.fixture
def proved() -> Iterator[None]:
    """Prove everything at the end of July's first night."""
    yield
    work_late(JULY)
    assert differences(prove_night(JULY)) == []


def test_a_committed_quantity(calls, proved):
    """100 calls a month are committed: 50 at $1.00 and 50 at $0.50, $75.00. The plan ends on 16 March."""
    plan = make_version({"feature": calls, "unit_amount": D(1)})
    price = plan.prices.get()
    acme = subscribe_acme(plan)
    tiers = [Tier(D(50), D(1)), Tier(None, D("0.5"))]
    columns = {"model": "graduated", "minimum_quantity": D(100)}
    agree_terms(acme, [PriceEdit(price, columns, tiers)], at=JANUARY, now=JANUARY, by=None, reason="Signed")
    arrive_many(60, utc(2026, 1, 20))
    assert as_previewed(acme, FEBRUARY) == [
        [("Calls, 1–31 Jan", D("55.00")), ("Calls, 1–31 Jan", D("20.00"))]  # 50 + 10 × 0.50; 75 - 55
    ]
    true_up = Invoice.objects.get().lines.get(kind="true_up")
    assert true_up.description == (
        "Calls, 1–31 Jan 2026 · minimum commitment of 100 calls: $75.00, less $55.00 of usage"
    )
    arrive_many(120, utc(2026, 2, 20))
    assert as_previewed(acme, MARCH) == [[("Calls, 1–28 Feb", D("85.00"))]]  # 50 + 70 × 0.50
    cancel(acme, at=utc(2026, 3, 16), now=MARCH, by=None)
    arrive_many(10, utc(2026, 3, 5))
    assert as_previewed(acme, utc(2026, 3, 16)) == [
        [("Calls, 1–15 Mar", D("10.00")), ("Calls, 1–15 Mar", D("26.29"))]  # 15/31 × 75 = 36.29
    ]


def test_seats_and_usage(calls, proved):
    plan = make_version(
        fee("Seats", 10, quantity=D(10)),
        {"feature": calls, "unit_amount": D(1), "position": 1},
        free_units={calls: D(2)},
    )
    seats = plan.prices.get(name="Seats")
    acme = subscribe_acme(plan)
    arrive_many(5, utc(2026, 1, 20))
    assert as_previewed(acme, FEBRUARY) == [[("Seats, 1–28 Feb", D("100.00")), ("Calls, 1–31 Jan", D("3.00"))]]

    # Four seats more on 15 February: 14 of 28 days are left.
    arrive(utc(2026, 2, 5))
    change = utc(2026, 2, 15)
    at_once = ChangeInvoicing.IMMEDIATE
    agree_terms(acme, [QuantityEdit(seats, D(14))], at=change, now=change, by=None, invoicing=at_once)
    assert all_charged()[2:] == [
        [
            ("Seats, 15–28 Feb", D("-50.00")),  # 14/28 of 100 are due
            ("Seats, 15–28 Feb", D("70.00")),  # 14/28 of 140
        ]
    ]
    arrive_many(4, utc(2026, 2, 20))
    # 1 + 4 - 2 free: the change doesn't start the free units again.
    assert as_previewed(acme, MARCH) == [[("Seats, 1–31 Mar", D("140.00")), ("Calls, 1–28 Feb", D("3.00"))]]

    # Eight seats from 11 March: 21 of 31 days are left.
    change = utc(2026, 3, 11)
    agree_terms(acme, [QuantityEdit(seats, D(8))], at=change, now=change, by=None)
    assert as_previewed(acme, APRIL) == [
        [
            ("Seats, 11–31 Mar", D("-94.84")),  # 10/31 of 140 are 45.16
            ("Seats, 11–31 Mar", D("54.19")),  # 21/31 of 80
            ("Seats, 1–30 Apr", D("80.00")),
        ]
    ]

    # Back to the list from June.
    agree_terms(acme, [QuantityEdit(seats, D(10))], at=JUNE, now=utc(2026, 4, 7), by=None)
    assert as_previewed(acme, MAY) == [[("Seats, 1–31 May", D("80.00"))]]
    assert as_previewed(acme, JUNE) == [[("Seats, 1–30 Jun", D("100.00"))]]
    arrive_many(3, utc(2026, 6, 2))
    assert as_previewed(acme, JULY) == [[("Seats, 1–31 Jul", D("100.00")), ("Calls, 1–30 Jun", D("1.00"))]]
    # 100 + 103 + 20 + 143 + 39.35 + 80 + 100 + 101
    assert sum(invoice.total for invoice in Invoice.objects.all()) == D("686.35")


def test_an_enterprise_override_with_a_minimum(calls, proved):
    plan = make_version(
        fee("Platform", 99), {"feature": calls, "unit_amount": D(1), "position": 1}, free_units={calls: D(2)}
    )
    platform, price = plan.prices.get(name="Platform"), plan.prices.get(feature=calls)
    tiers = [Tier(D(5), D("0.80")), Tier(None, D("0.50"))]
    deal = [
        PriceEdit(platform, {"unit_amount": D(79)}),
        PriceEdit(price, {"model": "graduated", "minimum_amount": D(10)}, tiers),
        FreeTierEdit(calls, {"free_units": D(3)}),
    ]
    acme = subscribe_acme(plan, terms=deal)
    assert all_charged() == [[("Platform, 1–31 Jan", D("79.00"))]]

    arrive_many(4, utc(2026, 1, 20))
    assert as_previewed(acme, FEBRUARY) == [
        [
            ("Platform, 1–28 Feb", D("79.00")),
            ("Calls, 1–31 Jan", D("0.80")),  # 4 - 3 free; 1 × 0.80
            ("Calls, 1–31 Jan", D("9.20")),  # up to the minimum of 10
        ]
    ]
    arrive_many(30, utc(2026, 2, 20))
    assert as_previewed(acme, MARCH) == [
        [("Platform, 1–31 Mar", D("79.00")), ("Calls, 1–28 Feb", D("15.00"))]  # 27: 5 × 0.80 + 22 × 0.50
    ]
    # A call of February comes late, after its invoice: 28: 5 × 0.80 + 23 × 0.50 = 15.50.
    arrive(utc(2026, 2, 21), received_at=utc(2026, 3, 2))
    work_late(utc(2026, 3, 3))
    # From 1 May on, the list price again, and 10 free.
    agree_terms(
        acme,
        [PriceEdit(price, {"model": "per_unit", "unit_amount": D(1), "minimum_amount": None})],
        at=MAY, now=utc(2026, 3, 4), by=None,
    )  # fmt: skip
    agree_terms(acme, [FreeTierEdit(calls, {"free_units": D(10)})], at=MAY, now=utc(2026, 3, 4), by=None)
    assert as_previewed(acme, APRIL) == [
        [
            ("Platform, 1–30 Apr", D("79.00")),
            ("Calls, 1–31 Mar", D("10.00")),
            ("Calls, 1–28 Feb", D("0.50")),
        ]
    ]
    assert as_previewed(acme, MAY) == [[("Platform, 1–31 May", D("79.00")), ("Calls, 1–30 Apr", D("10.00"))]]
    arrive_many(12, utc(2026, 5, 9))
    assert as_previewed(acme, JUNE) == [[("Platform, 1–30 Jun", D("79.00")), ("Calls, 1–31 May", D("2.00"))]]
    assert as_previewed(acme, JULY) == [[("Platform, 1–31 Jul", D("79.00"))]]


def test_a_ramp_deal(calls, proved):
    """Half price for three months, then the list price; 50 seats from March on."""
    plan = make_version(fee("Seats", 20, quantity=D(10)), {"feature": calls, "unit_amount": D(1), "position": 1})
    seats = plan.prices.get(name="Seats")
    acme = subscribe_acme(plan)
    terms = {"now": JANUARY, "by": None, "reason": "Order 7"}
    agree_terms(acme, [QuantityEdit(seats, D(50))], at=MARCH, **terms)
    agree_terms(acme, [PriceEdit(seats, {"unit_amount": D(10)})], at=FEBRUARY, until=MAY, **terms)

    assert all_charged() == [[("Seats, 1–31 Jan", D("200.00"))]]
    assert as_previewed(acme, FEBRUARY) == [[("Seats, 1–28 Feb", D("100.00"))]]
    assert as_previewed(acme, MARCH) == [[("Seats, 1–31 Mar", D("500.00"))]]
    assert as_previewed(acme, APRIL) == [[("Seats, 1–30 Apr", D("500.00"))]]
    assert as_previewed(acme, MAY) == [[("Seats, 1–31 May", D("1000.00"))]]
    arrive(utc(2026, 5, 9))
    assert as_previewed(acme, JUNE) == [[("Seats, 1–30 Jun", D("1000.00")), ("Calls, 1–31 May", D("1.00"))]]


def test_freemium_to_paid(calls, proved):
    """Free up to 3 calls and no fee; paid from 11 March on, with two free months agreed."""
    free = make_version({"feature": calls, "unit_amount": D(0)}, free_units={calls: D(3)}, name="Free")
    paid = make_version(
        fee("Pro", 31), {"feature": calls, "unit_amount": D(2), "position": 1}, free_units={calls: D(1)}, name="Pro"
    )
    acme = subscribe_acme(free)
    arrive_many(3, utc(2026, 1, 5))
    assert as_previewed(acme, FEBRUARY) == [[("Calls, 1–31 Jan", D("0.00"))]]
    assert as_previewed(acme, MARCH) == []
    upgrade = utc(2026, 3, 11)
    arrive_many(2, utc(2026, 3, 2))
    now = {"now": upgrade, "by": None}
    change_plan(acme, paid, at=upgrade, invoicing=ChangeInvoicing.IMMEDIATE, **now)
    assert all_charged()[1:] == [[("Pro, 11–31 Mar", D("21.00"))]]  # 21 of 31 days
    agree_terms(acme, [PriceEdit(paid.prices.get(name="Pro"), {"unit_amount": D(0)})], at=APRIL, until=JUNE, **now)
    arrive_many(4, utc(2026, 3, 20))
    assert as_previewed(acme, APRIL) == [
        [
            ("Calls, 1–10 Mar", D("0.00")),
            ("Calls, 11–31 Mar", D("6.00")),  # (4 - 1) × 2
        ]
    ]
    assert as_previewed(acme, MAY) == []
    assert as_previewed(acme, JUNE) == [[("Pro, 1–30 Jun", D("31.00"))]]
    assert as_previewed(acme, JULY) == [[("Pro, 1–31 Jul", D("31.00"))]]


def test_seats_that_are_counted_from_events(proved):
    # Who was active counts as a seat: $8.00 each, at least five a month.
    seats = make_feature(name="Active users", aggregation="unique_count", field="user_id")
    plan = make_version({"feature": seats, "unit_amount": D(8), "minimum_amount": D(40)})
    acme = subscribe_acme(plan)
    for user in ("ann", "ben", "cem", "dan", "eve", "fay", "ann", "ben"):
        arrive(utc(2026, 1, 20), user_id=user)
    assert as_previewed(acme, FEBRUARY) == [[("Active users, 1–31 Jan", D("48.00"))]]
    arrive(utc(2026, 2, 3), user_id="ann")
    assert as_previewed(acme, MARCH) == [
        [("Active users, 1–28 Feb", D("8.00")), ("Active users, 1–28 Feb", D("32.00"))]
    ]
    # Gus and Hal of January arrive late: eight users.
    arrive(utc(2026, 1, 25), user_id="gus")
    arrive(utc(2026, 1, 25), user_id="hal")
    work_late(utc(2026, 3, 5))
    # A deal from April on: $6.00, without a minimum.
    price = plan.prices.get()
    deal = [PriceEdit(price, {"unit_amount": D(6), "minimum_amount": None})]
    agree_terms(acme, deal, at=APRIL, now=utc(2026, 3, 20), by=None)
    assert as_previewed(acme, APRIL) == [
        [("Active users, 1–31 Mar", D("40.00")), ("Active users, 1–31 Jan", D("16.00"))]
    ]
    for user in ("ann", "ben", "cem"):
        arrive(utc(2026, 4, 10), user_id=user)
    assert as_previewed(acme, MAY) == [[("Active users, 1–30 Apr", D("18.00"))]]
    assert as_previewed(acme, JUNE) == []
    arrive(utc(2026, 6, 10), user_id="ann")
    assert as_previewed(acme, JULY) == [[("Active users, 1–30 Jun", D("6.00"))]]
    # 48 + 40 + 56 + 18 + 6
    assert sum(invoice.total for invoice in Invoice.objects.all()) == D("168.00")
