"""An annual fee in advance with monthly usage on the same invoices. Every amount is calculated by hand."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.upcoming import upcoming
from billing.models import Invoice, InvoiceLine
from catalog.agreed import PriceEdit
from catalog.models import Price
from customers.models import Subscription
from customers.signals import invoice_start
from customers.subscriptions import agree_terms, cancel, change_plan, pause
from tests.billing.late import arrive, arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db

ANNUAL = {"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(1200), "periods": 12}


def charges(lines: Any) -> list[tuple[str, Decimal]]:
    return [(line.description.partition(",")[0], line.amount) for line in lines]


def bill(subscription: Subscription, moment: datetime) -> list[tuple[str, Decimal]]:
    """Bill a moment, and return what the invoice charges, which the upcoming invoice said before."""
    preview = [charges(invoice.lines) for invoice in upcoming(subscription.pk, now=moment).earlier]
    invoices = [charges(invoice.lines.all()) for invoice in invoice_at(moment)]
    assert invoices == preview
    return [charge for invoice in invoices for charge in invoice]


def test_an_annual_fee_and_monthly_usage_for_fourteen_months():
    calls = make_feature(name="Calls", unit_singular="call", unit_plural="calls")
    support = {"kind": "fixed", "cadence": "arrears", "name": "Support", "unit_amount": D(31)}
    plan = make_version(
        ANNUAL,
        support | {"position": 1},
        {"feature": calls, "unit_amount": D(1), "position": 2},
        free_units={calls: D(2)},
    )
    platform = plan.prices.get(name="Platform")
    start = utc(2026, 1, 15)
    acme = make_subscription(customer=make_customer(name="Acme", external_id="acme"), plan=plan, starts_at=start)
    invoice_start(acme, now=start)
    opening = Invoice.objects.get()
    assert charges(opening.lines.all()) == [("Platform", D("1200.00"))]
    assert opening.lines.get().description == "Platform, 15 Jan 2026 – 14 Jan 2027"

    arrive_many(5, utc(2026, 2, 1))
    assert bill(acme, utc(2026, 2, 15)) == [("Support", D("31.00")), ("Calls", D("3.00"))]
    # A call of the first month arrives late: 6 - 2 free.
    arrive(utc(2026, 2, 2), received_at=utc(2026, 3, 1))
    work_late(utc(2026, 3, 2))
    assert bill(acme, utc(2026, 3, 15)) == [("Support", D("31.00")), ("Calls", D("1.00"))]
    for month in (4, 5, 6):
        assert bill(acme, utc(2026, month, 15)) == [("Support", D("31.00"))]

    # $1,500 a year from 15 July on, agreed on 1 July: 181 of 365 days of the old fee are over, 184 are left.
    july = utc(2026, 7, 15)
    agree_terms(acme, [PriceEdit(platform, {"unit_amount": D(1500)})], at=july, now=utc(2026, 7, 1), by=None)
    assert bill(acme, july) == [
        ("Support", D("31.00")),
        ("Platform", D("-604.93")),  # 181/365 × 1200 = 595.07
        ("Platform", D("756.16")),  # 184/365 × 1500
    ]
    for month in (8, 9):
        assert bill(acme, utc(2026, month, 15)) == [("Support", D("31.00"))]

    # A pause from 15 October to 15 November: 92 + 61 = 153 days are due, 628.77.
    october, november = utc(2026, 10, 15), utc(2026, 11, 15)
    pause(acme, at=october, until=november, now=utc(2026, 10, 1), by=None)
    arrive_many(3, utc(2026, 10, 10))
    assert bill(acme, october) == [("Support", D("31.00")), ("Platform", D("-127.39")), ("Calls", D("1.00"))]
    assert bill(acme, november) == []
    assert bill(acme, utc(2026, 12, 15)) == [("Support", D("31.00"))]

    # The second year, on one invoice with the last month of the first.
    assert bill(acme, utc(2027, 1, 15)) == [("Support", D("31.00")), ("Platform", D("1500.00"))]
    arrive_many(4, utc(2027, 2, 1))
    assert bill(acme, utc(2027, 2, 15)) == [("Support", D("31.00")), ("Calls", D("2.00"))]
    # The end after 59 of 365 days of the second year: 242.47 are due.
    end = utc(2027, 3, 15)
    cancel(acme, at=end, now=utc(2027, 3, 1), by=None)
    assert bill(acme, end) == [("Support", D("31.00")), ("Platform", D("-1257.53"))]

    # 595.07 + 628.77 + 242.47 of the fee, 13 × 31 of support, 3 + 1 + 1 + 2 calls.
    assert sum(line.amount for line in InvoiceLine.objects.all()) == D("1876.31")
    work_late(end)
    assert differences(prove_night(end)) == []


def test_a_fee_of_a_later_plan_waits_for_its_month():
    """A plan with an annual fee from the fourth month on is charged in that month, for the nine that are left."""
    monthly, annual = make_plan(), make_version(ANNUAL)
    start = utc(2026, 1, 1)
    acme = make_subscription(plan=monthly, starts_at=start)
    invoice_start(acme, now=start)
    change_plan(acme, annual, at=utc(2026, 4, 1), now=start, by=None)
    assert [[amount for _, amount in bill(acme, utc(2026, month, 1))] for month in (2, 3)] == [[D(10)], [D(10)]]
    # 275 of 365 days
    assert bill(acme, utc(2026, 4, 1)) == [("Platform", D("904.11"))]
    assert bill(acme, utc(2026, 5, 1)) == []


def test_the_prices_of_a_subscription_say_how_often_they_are_charged(api):
    plan = api.post("plans", {"name": "Growth"}, status=201)
    fee = {
        "entity_id": plan["id"], "type": "FIXED", "billing_model": "FLAT_FEE", "billing_period": "ANNUAL",
        "subscription_billing_period": "MONTHLY", "invoice_cadence": "ADVANCE", "currency": "USD", "amount": "1200",
    }  # fmt: skip
    created = api.post("prices", fee, status=201)
    names = ("billing_period", "billing_period_count", "subscription_billing_period")
    assert [created[name] for name in names] == ["ANNUAL", 1, "MONTHLY"]
    price = Price.objects.get(public_id=created["id"])
    assert (price.interval, price.periods) == ("month", 12)

    for wrong in (
        {"subscription_billing_period": "WEEKLY"},
        {"billing_period": "MONTHLY", "subscription_billing_period": "ANNUAL"},
    ):
        assert "subscription_billing_period" in api.post("prices", fee | wrong, status=400)["details"]

    make_customer(external_id="acme")
    added = {
        "price": {
            "type": "FIXED",
            "billing_model": "FLAT_FEE",
            "billing_period": "QUARTERLY",
            "amount": "90",
            "invoice_cadence": "ADVANCE",
            "display_name": "Review",
        }
    }
    terms = {"external_customer_id": "acme", "plan_id": plan["id"], "currency": "USD", "billing_period": "MONTHLY"}
    subscription = api.post("subscriptions", terms | {"line_items": [added]}, status=201)
    items = {item["display_name"]: item for item in subscription["line_items"]}
    assert [items[name]["billing_period"] for name in ("Recurring fee", "Review")] == ["ANNUAL", "QUARTERLY"]
    usage = {
        "price": {
            "type": "USAGE",
            "meter_id": make_feature().public_id,
            "billing_model": "FLAT_FEE",
            "billing_period": "ANNUAL",
            "amount": "1",
        }
    }
    assert (
        "line_items[0].price.billing_period"
        in api.post("subscriptions", terms | {"line_items": [usage]}, status=400)["details"]
    )
