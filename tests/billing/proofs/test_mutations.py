"""A wrong rule in the product's rating is caught: the independent rater, which doesn't have it, names the line."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.charges import fees, usage_lines
from billing.money import ZERO, round_to
from billing.rating import rate
from billing.rating.proration import factor
from customers.periods import Period
from customers.subscriptions import change_plan
from events.usage import meter
from tests.billing.late import arrive, arrive_many, invoice_at
from tests.billing.proofs.proving import counts, differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
USED = utc(2026, 9, 20, 9)
DAY = timedelta(days=1)


@pytest.fixture
def calls():
    return make_feature(name="API calls")


def sell(*prices, **values):
    """Subscribe Acme on 1 September to a plan with these prices."""
    customer, plan = make_customer(name="Acme", external_id="acme"), make_version(*prices, now=SEPTEMBER, **values)
    return make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER)


def amounts_that_differ(now):
    """Prove a night, and return each stated and calculated amount."""
    run = prove_night(now)
    return [(stated, again) for _, figure, stated, again in differences(run) if figure == "Amount"]


def bound_in_the_next_tier(billable, terms):
    for number, tier in enumerate(terms.tiers, start=1):
        if tier.up_to is None or billable < tier.up_to:
            return [rate._tier_part(number, tier, ZERO, billable, terms.model)]
    return []


def rounded_per_unit(billable, terms):
    unit = round_to(terms.unit_amount, 2)
    return [rate.RatedPart("units", billable * unit, billable, unit)]


def free_units_after_tiers(billable, terms):
    """Deduct five free units, at the first tier's price, from the amount of all units."""
    whole = rate.rate(billable + 5, terms)
    return replace(whole, amount=whole.amount - 5 * terms.tiers[0].unit_amount, billable_quantity=billable)


def day_of_change_to_the_old_plan(full, window, timezone):
    start = window.start if window.start == full.start else window.start + DAY
    return factor(full, Period(start, window.end if window.end == full.end else window.end + DAY), timezone)


def test_right_rules_are_proved(calls):
    sell({"feature": calls, "model": "volume", "tiers": [(10, D(1)), (None, D("0.5"))]})
    arrive_many(10, USED)
    [invoice] = invoice_at(OCTOBER)
    run = prove_night(OCTOBER)
    assert (invoice.total, counts(run)["lines"], differences(run)) == (D(10), (1, 0, 0), [])


def test_a_bound_in_the_wrong_tier(calls, monkeypatch):
    monkeypatch.setattr(rate, "_volume_parts", bound_in_the_next_tier)
    sell({"feature": calls, "model": "volume", "tiers": [(10, D(1)), (None, D("0.5"))]})
    arrive_many(10, USED)
    invoice_at(OCTOBER)
    assert amounts_that_differ(OCTOBER) == [("5.00", "10.00")]


def test_rounding_per_unit(calls, monkeypatch):
    monkeypatch.setattr(rate, "_unit_parts", rounded_per_unit)
    sell({"feature": calls, "unit_amount": D("0.005")})
    arrive_many(3, USED)
    invoice_at(OCTOBER)
    assert amounts_that_differ(OCTOBER) == [("0.03", "0.02")]


def test_free_units_after_tiers(calls, monkeypatch):
    monkeypatch.setattr(usage_lines, "rate", free_units_after_tiers)
    tiers = [(5, D(1)), (None, D("0.1"))]
    sell({"feature": calls, "model": "graduated", "tiers": tiers}, free_units={calls: 5})
    arrive_many(10, USED)
    invoice_at(OCTOBER)
    assert amounts_that_differ(OCTOBER) == [("0.50", "5.00")]


def test_the_day_of_a_change_to_the_old_plan(monkeypatch):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "name": "Platform"}
    subscription = sell(fee | {"unit_amount": D(30)})
    invoice_at(SEPTEMBER)
    dearer = make_version(fee | {"unit_amount": D(60)}, now=SEPTEMBER)
    change_plan(subscription, dearer, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    monkeypatch.setattr(fees, "factor", day_of_change_to_the_old_plan)
    invoice_at(OCTOBER)
    assert amounts_that_differ(OCTOBER) == [("-19.00", "-20.00"), ("38.00", "40.00")]


def test_a_running_total_that_starts_again_every_month(monkeypatch):
    seats = make_feature(name="Seats", event_name="seats", field="change", reset="cumulative")
    sell({"feature": seats, "unit_amount": D(1)})
    arrive(USED, event_name="seats", change=10)
    invoice_at(OCTOBER)
    arrive(utc(2026, 10, 20), event_name="seats", change=5)
    monkeypatch.setattr(meter, "BEGINNING", OCTOBER)
    invoice_at(NOVEMBER)
    run = prove_night(NOVEMBER)
    [(name, *figures)] = differences(run)
    assert (name.split(" ")[0], figures) == ("INV-000002", ["Events", "1", "2"])
