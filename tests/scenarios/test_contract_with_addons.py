"""A contract with add-ons that come and go in mid-period, over six months. Every amount is calculated by hand."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing.invoicing.upcoming import upcoming
from billing.models import Invoice
from catalog.agreed import PriceEdit
from config.approvals.kinds import ApprovalKind
from config.approvals.people import Person
from config.approvals.requests import approve
from customers.kinds import ChangeInvoicing
from customers.models import Subscription
from customers.signals import invoice_start
from customers.subscriptions import add_addon, change_plan, remove_addon
from tests.approving import colleague, requested, require
from tests.billing.late import arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_addon, make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in range(1, 8))


def fee(name: str, amount: int) -> dict[str, Any]:
    return {"kind": "fixed", "cadence": "advance", "name": name, "unit_amount": D(amount)}


def charges(lines: Any) -> list[tuple[str, Decimal]]:
    return [(line.description.partition(" 2026")[0], line.amount) for line in lines]


def bill(subscription: Subscription, moment: datetime) -> list[tuple[str, Decimal]]:
    """Bill a moment, and return what the invoice charges, which the upcoming invoice said before."""
    preview = [charges(invoice.lines) for invoice in upcoming(subscription.pk, now=moment).earlier]
    invoices = [charges(invoice.lines.all()) for invoice in invoice_at(moment)]
    assert invoices == preview
    return [charge for invoice in invoices for charge in invoice]


def test_support_is_added_in_mid_period_twice_and_removed():
    calls = make_feature(name="Calls", unit_singular="call", unit_plural="calls")
    growth = make_version(
        fee("Platform", 99), {"feature": calls, "unit_amount": D(1), "position": 1}, free_units={calls: D(2)}
    )
    pro = make_version(fee("Pro", 199))
    support = make_addon(fee("Support", 31), free_units={calls: D(3)}, maximum=2)
    acme = make_subscription(customer=make_customer(name="Acme", external_id="acme"), plan=growth, starts_at=JANUARY)
    invoice_start(acme, now=JANUARY)
    assert bill(acme, FEBRUARY) == [("Platform, 1–28 Feb", D("99.00"))]

    # Support from 15 February, 14 of 28 days, invoiced at once. From then on 3 more calls are free.
    middle = utc(2026, 2, 15)
    added = add_addon(acme, support.plan, at=middle, now=middle, by=None, invoicing=ChangeInvoicing.IMMEDIATE)
    at_once = Invoice.objects.order_by("pk").last()
    assert charges(at_once.lines.all()) == [("Support, 15–28 Feb", D("15.50"))]
    arrive_many(3, utc(2026, 2, 5))
    arrive_many(6, utc(2026, 2, 20))
    assert bill(acme, MARCH) == [
        ("Platform, 1–31 Mar", D("99.00")),
        ("Support, 1–31 Mar", D("31.00")),
        ("Calls, 1–14 Feb", D("1.00")),  # 3 - 2
        ("Calls, 15–28 Feb", D("1.00")),  # 6 - (2 + 3)
    ]

    # A second time from 11 March until June: 21 of 31 days are left.
    add_addon(acme, support.plan, at=utc(2026, 3, 11), until=JUNE, now=utc(2026, 3, 11), by=None)
    assert bill(acme, APRIL) == [
        ("Support, 11–31 Mar", D("-21.00")),  # 10/31 of 31 are due
        ("Support, 11–31 Mar", D("42.00")),  # 21/31 of 62
        ("Platform, 1–30 Apr", D("99.00")),
        ("Support, 1–30 Apr", D("62.00")),
    ]
    arrive_many(10, utc(2026, 4, 10))
    assert bill(acme, MAY) == [
        ("Platform, 1–31 May", D("99.00")),
        ("Support, 1–31 May", D("62.00")),
        ("Calls, 1–30 Apr", D("2.00")),  # 10 - (2 + 2 × 3)
    ]
    assert bill(acme, JUNE) == [("Platform, 1–30 Jun", D("99.00")), ("Support, 1–30 Jun", D("31.00"))]

    # Another plan from 11 June, with the same add-on, which is removed from the 21st on.
    change_plan(acme, pro, at=utc(2026, 6, 11), now=utc(2026, 6, 11), by=None)
    remove_addon(added, at=utc(2026, 6, 21), now=utc(2026, 6, 15), by=None)
    assert bill(acme, JULY) == [
        ("Platform, 11–30 Jun", D("-66.00")),  # 10/30 of 99 are due
        ("Support, 21–30 Jun", D("-10.33")),  # 20/30 of 31 are 20.67
        ("Pro, 11–30 Jun", D("132.67")),  # 20/30 of 199
        ("Pro, 1–31 Jul", D("199.00")),
    ]
    # 99 + 99 + 15.50 + 132 + 182 + 163 + 130 + 255.34
    assert sum(invoice.total for invoice in Invoice.objects.all()) == D("1075.84")
    work_late(JULY)
    assert differences(prove_night(JULY)) == []


def test_support_at_an_agreed_price():
    """Support at $20.00 instead of $31.00 from 15 February, and a second one at the list price in March."""
    calls = make_feature(name="Calls", unit_singular="call", unit_plural="calls")
    growth = make_version(
        fee("Platform", 99), {"feature": calls, "unit_amount": D(1), "position": 1}, free_units={calls: D(2)}
    )
    support = make_addon(fee("Support", 31), free_units={calls: D(3)})
    acme = make_subscription(customer=make_customer(name="Acme", external_id="acme"), plan=growth, starts_at=JANUARY)
    invoice_start(acme, now=JANUARY)
    bill(acme, FEBRUARY)
    middle = utc(2026, 2, 15)
    edits = [PriceEdit(support.prices.get(), {"unit_amount": D(20)})]
    at_once = ChangeInvoicing.IMMEDIATE
    added = add_addon(acme, support, at=middle, now=middle, by=None, invoicing=at_once, edits=edits)
    assert str(added.version) == f"{support}, agreed terms"
    # 14 of 28 days of $20.00.
    assert charges(Invoice.objects.order_by("pk").last().lines.all()) == [("Support, 15–28 Feb", D("10.00"))]
    arrive_many(6, utc(2026, 2, 20))
    assert bill(acme, MARCH) == [
        ("Platform, 1–31 Mar", D("99.00")),
        ("Support, 1–31 Mar", D("20.00")),
        ("Calls, 15–28 Feb", D("1.00")),  # 6 - (2 + 3)
    ]
    add_addon(acme, support, at=utc(2026, 3, 11), now=utc(2026, 3, 11), by=None)
    assert bill(acme, APRIL) == [
        ("Support, 11–31 Mar", D("21.00")),  # 21/31 of 31
        ("Platform, 1–30 Apr", D("99.00")),
        ("Support, 1–30 Apr", D("31.00")),
        ("Support, 1–30 Apr", D("20.00")),
    ]
    remove_addon(added, at=utc(2026, 4, 16), now=utc(2026, 4, 15), by=None)
    assert bill(acme, MAY) == [
        ("Support, 16–30 Apr", D("-10.00")),  # 15/30 of 20 are due
        ("Platform, 1–31 May", D("99.00")),
        ("Support, 1–31 May", D("31.00")),
    ]
    work_late(MAY)
    assert differences(prove_night(MAY)) == []


def test_an_agreed_price_of_an_add_on_waits_for_approval():
    support = make_addon(fee("Support", 31))
    acme = make_subscription(plan=make_version(fee("Platform", 99)), starts_at=JANUARY)
    edits = [PriceEdit(support.prices.get(), {"unit_amount": D(20)})]
    require(ApprovalKind.PRICES)
    asks, decides = colleague()[0], colleague()[0]
    approval = requested(lambda: add_addon(acme, support, at=JANUARY, now=JANUARY, by=asks, edits=edits, reason="Deal"))
    assert not acme.addons.exists()
    approve(approval, now=timezone.now(), by=Person(decides))
    assert [price.unit_amount for price in acme.addons.get().version.prices.all()] == [D(20)]
