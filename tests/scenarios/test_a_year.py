"""A year of a company, billed monthly by the tasks with a set clock. Every amount is calculated by hand.

The year is 2025. Billing runs on the first of each month at 06:05 UTC, when it is past midnight in New York too. Calls
are counted, tokens are summed, and storage is a running total since the start.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing import tasks
from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import reissue
from billing.models import BillingRun, Invoice
from billing.money import round_amount
from billing.runs.billing_states import parked
from catalog.models import Feature
from customers.models import Subscription
from customers.subscriptions import cancel, change_plan, pause, resume
from tests.billing.world import use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

D = Decimal
MONTHS = [utc(2025, month, 1, 6, 5) for month in range(1, 13)] + [utc(2026, 1, 1, 6, 5)]
ADVANCE = {"kind": "fixed", "model": "flat", "cadence": "advance"}
ARREARS = {**ADVANCE, "cadence": "arrears"}

# The invoice totals of every customer, in order. Totals without an explanation are only the next month's fee.
EXPECTED = {
    # $31 per month in advance by New York's calendar, from 15 January; 1,000 free calls per month, then $0.01.
    "Hudson": [
        "17.00",  # 15-31 January: 17 of 31 days × 31
        "36.00",  # January: 1,500 calls, 500 × 0.01 = 5.00, + 31 for February
        "31.00",  # February: 900 calls, all free
        "33.50",  # March: 1,000 and 250 on the 31st at 23:30, when summer time began: 250 × 0.01 = 2.50
        "41.00",  # April: 2,000 on the 1st at 00:00, 1,000 × 0.01 = 10.00
        "31.00",
        "31.00",
        "31.01",  # July: 1,001 calls, 1 × 0.01
        "31.00",
        "31.00",
        "32.00",  # October: 1,100 on the 31st at 23:59, still summer time: 100 × 0.01 = 1.00
        "51.00",  # November: 3,000 on the 30th at 23:30, winter time again: 2,000 × 0.01 = 20.00
        "31.00",
    ],
    # €45 in arrears from 31 January in Berlin, periods to the 28th, 31st, 30th …; €2 a started package of 1,000 tokens.
    "Nordlicht": [
        "51.00",  # to 27 February: 2,500 tokens are 3 packages, 6.00
        "51.00",  # to 30 March: 2,999, and 1 at 23:30 that day, summer time: 3,000 are 3 packages, 6.00
        "47.00",  # to 29 April: 1 token at 00:00 on 31 March, 1 package, 2.00
        "45.00",
        "45.00",
        "45.00",
        "45.00",
        "67.00",  # to 29 September: 10,001 tokens are 11 packages, 22.00
        "45.00",
        "45.00",
        "45.00",  # to 30 December
    ],
    # ¥9,800 a month in advance by Tokyo's calendar; tokens: the first 1,000 at ¥1.50, the rest at ¥0.75.
    "Sakura": [
        "9800",
        "11301",  # January: 1,001 tokens, 1,500 + 0.75 = 1,500.75, so 1,501
        "10300",  # February: 333 tokens, 499.5, so 500
        "9800",
        "9800",
        "9800",
        "13551",  # June: 4,001.5 tokens, 1,500 + 3,001.5 × 0.75 = 2,251.125, in all 3,751.125, so 3,751
        "9800",
        "9800",
        "9800",
        "9800",
        "9800",
        "9800",
    ],
    # $1,200 a year in advance, from 1 March.
    "Atlas": ["1200.00"],
    # $30 a month and $0.01 a call; from 16 April on $60 and $0.005.
    "Brook": [
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        # April: 100 calls × 0.01 = 1.00, 300 × 0.005 = 1.50. 15 of 30 days of the old fee are credited, -15;
        # 15 of 30 days of the new one are 30; May is 60. 1 + 1.50 - 15 + 30 + 60
        "77.50",
        "60.00",
        "60.00",
        "60.00",
        "60.00",
        "60.00",
        "60.00",
        "60.00",
        "60.00",
    ],
    # $30 a month in advance, paused from 11 June to 15 July.
    "Cedar": [
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "-20.00",  # June: 10 of 30 days are 10, of 30 invoiced; at that time the pause has no end
        "45.48",  # July: 16 of 31 days × 30 = 15.4838…, + 30 for August
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
    ],
    # $30 a month in advance and $0.10 a call, cancelled on 11 September.
    "Delta": [
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "30.00",
        "5.00",  # 1-10 September: 250 calls × 0.10 = 25; 10 of 30 days are 10, of 30 invoiced, so -20
    ],
    # $20 a month in advance and $1 a call, from 1 February with 14 days of trial.
    "Elm": [
        "20.00",  # 1-14 February: 5 calls, free during the trial; 20 for the month from the 15th
        "23.00",  # to 14 March: 3 calls, 3.00
        "20.00",
        "20.00",
        "20.00",
        "20.00",
        "20.00",
        "20.00",
        "20.00",
        "20.00",
        "20.00",  # on 15 December, to 14 January
    ],
    # $0.10 for each GB stored at the month's end, 5 of them free.
    "Glacier": [
        "0.70",  # 12 GB were added in January: 7 × 0.10
        "0.70",
        "1.55",  # and 8.5 in March: 20.5 in all, 15.5 × 0.10
        "1.55",
        "1.55",
        "1.55",
        "0.55",  # 10 GB were removed in July: 10.5 GB remain, 5.5 × 0.10
        "0.55",
        "0.55",
        "0.55",
        "0.55",
        "0.55",
    ],
}


class Year:
    """The company: its customers, their usage and their changes, each with its time."""

    def __init__(self) -> None:
        self.calls = make_feature(name="API calls")
        self.tokens = make_feature(name="Tokens", event_name="model.usage", field="tokens")
        self.storage = make_feature(name="Stored data", event_name="file.stored", field="gb", reset="cumulative")
        self.subscriptions: dict[str, Subscription] = {}
        self.scheduled: list[tuple[datetime, Callable[[datetime], object]]] = []
        self.add_customers()
        self.add_changes()
        self.add_usage()

    def at(self, moment: datetime, do: Callable[[datetime], object]) -> None:
        self.scheduled.append((moment, do))

    def add_customer(self, name: str, moment: datetime, plan: Any, *, timezone: str = "UTC", **terms: Any) -> None:
        customer = make_customer(name=name, external_id=name.lower(), timezone=timezone)

        def subscribe(now: datetime) -> None:
            defaults = {"customer": customer, "plan": plan, "starts_at": now, "now": now}
            self.subscriptions[name] = make_subscription(**defaults | terms)

        self.at(moment, subscribe)

    def add_customers(self) -> None:
        def version(*prices: dict[str, Any], **terms: Any) -> Any:
            return make_version(*prices, now=utc(2024, 12, 1), **terms)

        calls, tokens = {"feature": self.calls}, {"feature": self.tokens}
        hudson = version(
            {**ADVANCE, "unit_amount": D(31)}, {**calls, "unit_amount": D("0.01")}, free_units={self.calls: 1000}
        )
        self.add_customer("Hudson", utc(2025, 1, 15, 5), hudson, timezone="America/New_York", alignment="calendar")
        packages = {**tokens, "currency": "EUR", "model": "package", "package_size": 1000, "unit_amount": D(2)}
        nordlicht = version({**ARREARS, "currency": "EUR", "unit_amount": D(45)}, packages)
        self.add_customer("Nordlicht", utc(2025, 1, 30, 23), nordlicht, timezone="Europe/Berlin", currency="EUR")
        tiers = [(1000, D("1.50")), (None, D("0.75"))]
        graduated = {**tokens, "currency": "JPY", "model": "graduated", "tiers": tiers}
        sakura = version({**ADVANCE, "currency": "JPY", "unit_amount": D(9800)}, graduated)
        tokyo = {"timezone": "Asia/Tokyo", "alignment": "calendar", "currency": "JPY"}
        self.add_customer("Sakura", utc(2024, 12, 31, 15), sakura, **tokyo)
        self.add_customer("Atlas", utc(2025, 3, 1), version({**ADVANCE, "interval": "year", "unit_amount": D(1200)}),
                   interval="year")  # fmt: skip
        basic = version({**ADVANCE, "unit_amount": D(30)}, {**calls, "unit_amount": D("0.01")})
        self.pro = version({**ADVANCE, "unit_amount": D(60)}, {**calls, "unit_amount": D("0.005")})
        self.add_customer("Brook", utc(2025, 1, 1), basic)
        self.add_customer("Cedar", utc(2025, 1, 1), version({**ADVANCE, "unit_amount": D(30)}))
        delta = version({**ADVANCE, "unit_amount": D(30)}, {**calls, "unit_amount": D("0.10")})
        self.add_customer("Delta", utc(2025, 1, 1), delta)
        elm = version({**ADVANCE, "unit_amount": D(20)}, {**calls, "unit_amount": D(1)})
        self.add_customer("Elm", utc(2025, 2, 1), elm, trial_days=14)
        glacier = version({"feature": self.storage, "unit_amount": D("0.10")}, free_units={self.storage: 5})
        self.add_customer("Glacier", utc(2025, 1, 1), glacier)

    def add_changes(self) -> None:
        subscriptions = self.subscriptions
        self.at(utc(2025, 4, 16), lambda now: change_plan(subscriptions["Brook"], self.pro, at=now, now=now, by=None))
        self.at(utc(2025, 6, 11), lambda now: pause(subscriptions["Cedar"], at=now, now=now, by=None))
        self.at(utc(2025, 7, 16), lambda now: resume(subscriptions["Cedar"], at=now, now=now, by=None))
        self.at(utc(2025, 9, 11), lambda now: cancel(subscriptions["Delta"], at=now, now=now, by=None))

    def add_usage(self) -> None:
        for name, feature, moment, value in (
            ("Hudson", self.calls, utc(2025, 1, 20), 1500),
            ("Hudson", self.calls, utc(2025, 2, 10), 900),
            ("Hudson", self.calls, utc(2025, 3, 10), 1000),
            ("Hudson", self.calls, utc(2025, 4, 1, 3, 30), 250),
            ("Hudson", self.calls, utc(2025, 4, 1, 4), 2000),
            ("Hudson", self.calls, utc(2025, 7, 4), 1001),
            ("Hudson", self.calls, utc(2025, 11, 1, 3, 59), 1100),
            ("Hudson", self.calls, utc(2025, 12, 1, 4, 30), 3000),
            ("Nordlicht", self.tokens, utc(2025, 2, 27, 22), 2500),
            ("Nordlicht", self.tokens, utc(2025, 3, 10), 2999),
            ("Nordlicht", self.tokens, utc(2025, 3, 30, 21, 30), 1),
            ("Nordlicht", self.tokens, utc(2025, 3, 30, 22), 1),
            ("Nordlicht", self.tokens, utc(2025, 9, 15), 10001),
            ("Sakura", self.tokens, utc(2025, 1, 31, 14), 1001),
            ("Sakura", self.tokens, utc(2025, 1, 31, 15), 333),
            ("Sakura", self.tokens, utc(2025, 6, 15), "4001.5"),
            ("Brook", self.calls, utc(2025, 4, 3), 100),
            ("Brook", self.calls, utc(2025, 4, 20), 300),
            ("Delta", self.calls, utc(2025, 9, 5), 250),
            ("Elm", self.calls, utc(2025, 2, 3), 5),
            ("Elm", self.calls, utc(2025, 3, 3), 3),
            ("Glacier", self.storage, utc(2025, 1, 4), 12),
            ("Glacier", self.storage, utc(2025, 3, 20), "8.5"),
            ("Glacier", self.storage, utc(2025, 7, 2), -10),
        ):
            self.at(moment, self.use_feature(name, feature, value))

    def use_feature(self, name: str, feature: Feature, value: Any) -> Callable[[datetime], object]:
        return lambda now: use(self.subscriptions[name].customer, feature, now, value)

    def run_until(self, moment: datetime) -> None:
        """Run everything scheduled before a time, in order."""
        for when, do in sorted((entry for entry in self.scheduled if entry[0] < moment), key=lambda entry: entry[0]):
            do(when)
        self.scheduled = [entry for entry in self.scheduled if entry[0] >= moment]


@pytest.fixture
def clock(monkeypatch):
    """Set the tasks' clock, and run their chunks immediately."""
    monkeypatch.setattr("billing.tasks.bill_chunk.delay", tasks.bill_chunk)

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr("billing.tasks.read_clock", lambda: moment)

    return set_to


def bill_year(year: Year, clock: Callable[[datetime], None]) -> None:
    """Run the year, with the hourly tasks on the first of each month."""
    for moment in MONTHS:
        year.run_until(moment)
        clock(moment)
        tasks.run_billing()
        tasks.finalize_due()
        assert not parked().exists()


@pytest.mark.django_db(transaction=True)
def test_a_year_of_invoices_equals_the_amounts_calculated_by_hand(clock):
    year = Year()
    bill_year(year, clock)
    for name, expected in EXPECTED.items():
        totals = year.subscriptions[name].invoices.order_by("pk").values_list("total", flat=True)
        assert list(totals) == [D(amount) for amount in expected], name
    assert not Invoice.objects.exclude(customer__name__in=EXPECTED).exists()
    for invoice in Invoice.objects.prefetch_related("lines"):
        amounts = [(line.amount, round_amount(line.exact_amount, invoice.currency)) for line in invoice.lines.all()]
        assert all(amount == rounded for amount, rounded in amounts), invoice
        assert invoice.total == sum(amount for amount, _ in amounts)
    numbers = list(Invoice.objects.order_by("number").values_list("number", flat=True))
    assert numbers == [f"INV-{number:06}" for number in range(1, sum(map(len, EXPECTED.values())) + 1)]
    assert BillingRun.objects.filter(state="finished", failed=0).count() == BillingRun.objects.count()


@pytest.mark.django_db(transaction=True)
def test_voiding_and_reissuing_any_invoice_gives_the_same_amounts(clock):
    year = Year()
    bill_year(year, clock)
    # Cedar's credit of July is spent on its next invoice, which keeps it from being voided.
    for invoice in Invoice.objects.exclude(customer__name="Cedar").order_by("pk"):
        old = list(invoice.lines.filter(kind="usage").values_list("description", "amount", "computation"))
        new = reissue(invoice, reason="Wrong address", by=None, now=MONTHS[-1])
        assert new.total == invoice.total, (invoice.customer.name, invoice.period_start)
        assert list(new.lines.filter(kind="usage").values_list("description", "amount", "computation")) == old
        finalize(new, now=MONTHS[-1])


@pytest.mark.django_db(transaction=True)
def test_every_invoice_equals_its_preview_just_before(clock):
    year = Year()
    for moment in MONTHS:
        year.run_until(moment)
        previews = {}
        for name, subscription in year.subscriptions.items():
            previews[name] = [computed.total for computed in upcoming(subscription.pk, now=moment).earlier]
        known = set(Invoice.objects.values_list("pk", flat=True))
        clock(moment)
        tasks.run_billing()
        for name, subscription in year.subscriptions.items():
            made = subscription.invoices.exclude(pk__in=known).order_by("pk").values_list("total", flat=True)
            assert list(made) == previews[name], (name, moment)
