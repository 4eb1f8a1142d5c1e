"""The examples of the decisions, by the independent rater. Every figure is the page's."""

from decimal import Decimal

import pytest

from tests.billing.proofs.rater.questions import (
    MONTH,
    amount_of,
    ask,
    feature,
    fee,
    free_units,
    phase,
    price,
    subscription,
    usage_of,
    version,
)

APRIL = {"start": "2026-04-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}
CHANGE = "2026-04-16T00:00:00Z"
D = Decimal


def in_april(*phases, **values):
    """Return April of a subscription that began with the month."""
    cycle = {"unit": "month", "count": 1, "anchor": APRIL["start"], "timezone": "UTC", "alignment": "anniversary"}
    began = {"cycle": cycle, "started_at": APRIL["start"], "phases": list(phases) or [phase(start=APRIL["start"])]}
    return {"subscription": subscription(**began, **values), "period": APRIL}


def fees_of(question, *fees):
    answer = ask({"subscription": question["subscription"], "fees": list(fees)})
    return [D(line["amount"]) for line in answer["fees"]]


def on(number, held=(), at=APRIL["start"]):
    return {"price": number, "at": at, "held": [[APRIL["start"], amount, discount] for amount, discount in held]}


CHANGED = [phase(start=APRIL["start"], end=CHANGE), phase(number=2, start=CHANGE)]
FEES = {"1": version(fees=[fee(1, 30)]), "2": version(fees=[fee(2, 60)])}


def test_a_plan_change_charges_both_fees_by_the_day_and_takes_off_what_is_invoiced():
    question = in_april(*CHANGED, versions=FEES)
    assert fees_of(question, on(1, [("30.00", "0")]), on(2)) == [D(-15), D(30)]


@pytest.mark.parametrize(("in_advance", "amounts"), [(True, [30, 0]), (False, [0, 60])])
def test_without_proration_one_fee_is_charged_in_full(in_advance, amounts):
    versions = {number: version(fees=[fee(int(number), 30 * int(number), in_advance=in_advance)]) for number in "12"}
    question = in_april(*CHANGED, versions=versions, prorate=False)
    assert fees_of(question, on(1), on(2)) == [D(amount) for amount in amounts]


def test_a_credited_fee_takes_back_its_share_of_the_discount():
    question = in_april(phase(start=APRIL["start"], end="2026-04-16T00:00:00Z"), versions=FEES)
    answer = ask({"subscription": question["subscription"], "fees": [on(1, [("30.00", "15.00")])]})["fees"]
    assert answer == [{"amount": "-15", "discount_back": "7.5"}]


def test_each_plan_version_has_its_own_free_units():
    versions = {
        "1": version([price(1, unit_amount="0.01")], free={"1": free_units(1000)}),
        "2": version([price(2, unit_amount="0.02")], free={"1": free_units(2000)}),
    }
    question = in_april(*CHANGED, versions=versions)
    used = [("2026-04-10T00:00:00Z", 1500), ("2026-04-20T00:00:00Z", 2500)]
    lines = ask(question, {1: used})["usage"]
    assert [(line["price"], D(line["amount"])) for line in lines] == [(1, D(5)), (2, D(10))]


def test_a_running_total_is_charged_again_every_month_after_its_free_units():
    versions = {"1": version([price(unit_amount="0.50")], free={"1": free_units(100, "never")})}
    question = in_april(versions=versions, features=[feature(cumulative=True)])
    stored = ("2026-03-10T00:00:00Z", 120), ("2026-04-10T00:00:00Z", 10)
    assert amount_of(question, *stored) == D(15)


def test_free_units_come_off_single_events_in_their_order():
    percentage = price(model="percentage", rate_percent="1.5", fixed_amount_per_event="0.30")
    question = in_april(versions={"1": version([percentage], free={"1": free_units(100)})})
    events = [(f"2026-04-0{day}T00:00:00Z", value) for day, value in ((1, 60), (2, 60), (3, 200))]
    assert usage_of(question, *events) == {
        "quantity": D(320),
        "free": D(100),
        "billable": D(220),
        "amount": D("3.90"),
        "missing": D(0),
        "events": D(3),
    }


def test_weekly_free_units_lapse():
    versions = {"1": version([price(unit_amount="0.10")], free={"1": free_units(100, "weekly")})}
    assert amount_of(in_april(versions=versions), ("2026-04-03T00:00:00Z", 80), ("2026-04-10T00:00:00Z", 150)) == D(5)


def test_a_minimum_shrinks_with_a_pause():
    versions = {"1": version([price(unit_amount="1", minimum="60")])}
    paused = [phase(start=APRIL["start"], end="2026-04-11T00:00:00Z"), phase(start="2026-04-21T00:00:00Z")]
    line = usage_of(in_april(*paused, versions=versions), ("2026-04-05T00:00:00Z", 12))
    assert (line["amount"], line["missing"]) == (D(12), D(28))


def test_the_rest_of_a_period_is_the_whole_less_the_part_that_is_invoiced():
    tiers = [{"up_to": "1000", "unit_amount": "0.01"}, {"up_to": None, "unit_amount": "0.005"}]
    question = in_april(versions={"1": version([price(model="graduated", tiers=tiers)])})
    rest = question | {"period": {"start": CHANGE, "end": APRIL["end"]}}
    used = ("2026-04-10T00:00:00Z", 1500), ("2026-04-20T00:00:00Z", 1000)
    assert amount_of(rest, *used) == D(5)


def test_no_usage_and_nothing_due_makes_no_line():
    question = {"subscription": subscription(versions={"1": version([price(unit_amount="1")])}), "period": MONTH}
    assert ask(question)["usage"] == []


def test_discounts_come_off_in_their_order_then_taxes():
    coupons = [
        {"number": 1, "percent": None, "amount": "12", "scope": "everything"},
        {"number": 2, "percent": "20", "amount": None, "scope": "everything"},
        {"number": 3, "percent": "10", "amount": None, "scope": "chosen", "features": [1]},
    ]
    charges = [{"kind": "usage", "amount": "100", "feature": 1}, {"kind": "fee", "amount": "50", "version": 1}]
    taxes = [{"percent": "20", "inclusive": False}]
    totals = ask({"totals": {"places": 2, "charges": charges, "coupons": coupons, "taxes": taxes, "reversed": False}})
    assert {name: D(totals["totals"][name]) for name in ("subtotal", "discount", "tax", "total")} == {
        "subtotal": D(150),
        "discount": D(50),
        "tax": D(20),
        "total": D(120),
    }


def test_included_tax_does_not_change_the_total():
    charges, taxes = [{"kind": "fee", "amount": "119"}], [{"percent": "19", "inclusive": True}]
    totals = ask({"totals": {"places": 2, "charges": charges, "coupons": [], "taxes": taxes, "reversed": False}})
    assert (totals["totals"]["total"], totals["totals"]["tax"], totals["totals"]["tax_included"]) == ("119", "0", "19")
