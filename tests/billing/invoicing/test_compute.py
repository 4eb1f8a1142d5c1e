"""Phases, prices and usage become invoice lines. Every amount is calculated by hand."""

from datetime import timedelta

import pytest

from billing.explanation.text import explain_line
from billing.models import BillingState, InvoiceKind
from catalog.publishing import publish
from customers.subscriptions import cancel, cancel_at_period_end, change_plan, pause, resume
from tests.billing.world import D, amounts, bill, invoices_of, lines, use, utc
from tests.factories import (
    make_customer,
    make_draft,
    make_entitlement,
    make_feature,
    make_price,
    make_subscription,
    make_version,
)

pytestmark = pytest.mark.django_db

SEPTEMBER = utc(2026, 9, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform fee"}


@pytest.fixture
def calls(db):
    return make_feature(name="API calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def customer(db):
    return make_customer(name="Acme")


def subscribed(customer, version, starts_at=SEPTEMBER, **given):
    return make_subscription(customer=customer, plan=version, starts_at=starts_at, now=starts_at, **given)


def test_the_opening_invoice_charges_advance_fees(customer):
    subscribed(customer, make_version(FEE))
    [opening] = bill(utc(2026, 9, 1))
    assert opening.kind == InvoiceKind.OPENING
    assert lines(opening) == [("Platform fee, 1–30 Sep 2026", D("30.00"))]
    assert (opening.period_start, opening.period_end) == (utc(2026, 9, 1), utc(2026, 10, 1))


def test_a_periods_invoice_charges_its_usage_and_the_next_advance_fee(customer, calls):
    version = make_version(FEE, {"feature": calls, "unit_amount": D("0.002")}, free_units={calls: 10_000})
    subscribed(customer, version)
    bill(utc(2026, 9, 1))
    use(customer, calls, utc(2026, 9, 20), 15_000)
    [cycle] = bill(utc(2026, 10, 1))
    assert cycle.kind == InvoiceKind.CYCLE
    # 15,000 - 10,000 free = 5,000 × $0.002 = $10.00
    assert lines(cycle) == [
        ("Platform fee, 1–31 Oct 2026", D("30.00")),
        ("API calls, 1–30 Sep 2026 · 15,000 calls used, 10,000 free, 5,000 × $0.002", D("10.00")),
    ]
    usage = cycle.lines.get(kind="usage")
    assert (usage.quantity, usage.free_units, usage.billable_quantity) == (15_000, 10_000, 5_000)
    assert (usage.unit_amount, usage.exact_amount) == (D("0.002"), D("10"))
    assert (usage.events_count, usage.events_checksum, usage.plan_version) == (15_000, 7, version)
    assert cycle.total == D("40.00")


def test_a_period_isnt_invoiced_before_it_ends(customer):
    subscribed(customer, make_version(FEE))
    bill(utc(2026, 9, 1))
    assert bill(utc(2026, 10, 1) - timedelta(seconds=1)) == []


def test_a_period_without_fees_and_usage_has_no_invoice(customer, calls):
    subscription = subscribed(customer, make_version({"feature": calls}))
    assert bill(utc(2026, 10, 1)) == []
    assert BillingState.objects.get(pk=subscription.pk).billed_until == utc(2026, 10, 1)


def test_free_usage_is_shown_on_an_invoice_of_zero(customer, calls):
    subscribed(customer, make_version({"feature": calls}, free_units={calls: 1000}))
    use(customer, calls, utc(2026, 9, 2), 400)
    [cycle] = bill(utc(2026, 10, 1))
    assert cycle.total == 0
    assert lines(cycle) == [("API calls, 1–30 Sep 2026 · 400 calls used, 400 free", D(0))]


def test_unlimited_usage_is_shown_and_free(customer, calls):
    subscribed(customer, make_version({"feature": calls}, free_units={calls: None}))
    use(customer, calls, utc(2026, 9, 2), 123_456)
    [cycle] = bill(utc(2026, 10, 1))
    assert lines(cycle) == [("API calls, 1–30 Sep 2026 · 123,456 calls used, unlimited", D(0))]


def test_three_missed_months_are_caught_up_in_order(customer, calls):
    subscribed(customer, make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}))
    for month, used in ((9, 100), (10, 200), (11, 300)):
        use(customer, calls, utc(2026, month, 15), used)
    found = bill(utc(2026, 12, 3))
    assert [(each.kind, each.period_start, each.total) for each in sorted(found, key=lambda each: each.pk)] == [
        ("opening", utc(2026, 9, 1), D(30)),
        ("cycle", utc(2026, 9, 1), D(31)),
        ("cycle", utc(2026, 10, 1), D(32)),
        ("cycle", utc(2026, 11, 1), D(33)),
    ]


def test_short_months_keep_the_anchors_day(customer):
    subscribed(customer, make_version(FEE), starts_at=utc(2026, 1, 31))
    found = bill(utc(2026, 4, 30))
    assert [(each.period_start, each.period_end) for each in found if each.kind == "cycle"] == [
        (utc(2026, 1, 31), utc(2026, 2, 28)),
        (utc(2026, 2, 28), utc(2026, 3, 31)),
        (utc(2026, 3, 31), utc(2026, 4, 30)),
    ]
    assert {each.total for each in found} == {D(30)}


def test_months_start_at_local_midnight_across_daylight_saving(calls):
    customer = make_customer(timezone="Europe/Berlin")
    version = make_version({"feature": calls, "unit_amount": D(1)})
    subscribed(customer, version, starts_at=utc(2026, 2, 28, 23))  # 1 March, 0:00 there
    use(customer, calls, utc(2026, 3, 31, 21, 30), 1)  # 23:30 summer time on 31 March
    use(customer, calls, utc(2026, 3, 31, 22), 10)  # midnight: April
    [march] = bill(utc(2026, 3, 31, 22))
    assert march.period_end == utc(2026, 3, 31, 22)
    assert lines(march) == [("API calls, 1–31 Mar 2026 · 1 call used, 1 × $1.00", D(1))]


def test_a_yearly_plan_is_billed_yearly(customer, calls):
    yearly = {"interval": "year"}
    version = make_version(
        {**FEE, "unit_amount": D(300), **yearly}, {"feature": calls, "unit_amount": D("0.5"), **yearly}
    )
    subscribed(customer, version, interval="year")
    use(customer, calls, utc(2026, 12, 24), 7)
    opening, cycle = bill(utc(2027, 9, 1))
    assert lines(opening) == [("Platform fee, 1 Sep 2026 – 31 Aug 2027", D(300))]
    assert amounts(cycle) == [D(300), D("3.5")]
    assert bill(utc(2028, 8, 31)) == []


def test_a_plan_change_splits_fees_by_days_and_rates_usage_by_window(customer, calls):
    basic = make_version(FEE, {"feature": calls, "unit_amount": D("0.10")}, name="Basic")
    pro = make_version(
        {**FEE, "unit_amount": D(60), "name": "Pro fee"}, {"feature": calls, "unit_amount": D("0.05")}, name="Pro"
    )
    subscription = subscribed(customer, basic)
    bill(utc(2026, 9, 1))
    change_plan(subscription, pro, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    use(customer, calls, utc(2026, 9, 5), 100)
    use(customer, calls, utc(2026, 9, 25), 100)
    [cycle] = bill(utc(2026, 10, 1))
    # Basic ran 10 of 30 days: 30 × 10/30 = 10, of 30 invoiced, so -20. Pro 20 of 30 days: 60 × 20/30 = 40.
    assert lines(cycle) == [
        ("Platform fee, 11–30 Sep 2026: credit for 20 unused of 30 days", D(-20)),
        ("Pro fee, 11–30 Sep 2026 · 20 of 30 days", D(40)),
        ("Pro fee, 1–31 Oct 2026", D(60)),
        ("API calls, 1–10 Sep 2026 · 100 calls used, 100 × $0.10", D(10)),
        ("API calls, 11–30 Sep 2026 · 100 calls used, 100 × $0.05", D(5)),
    ]
    assert cycle.total == D(95)


def test_arrears_fees_are_prorated_by_days(customer):
    arrears = {**FEE, "cadence": "arrears"}
    basic = make_version(arrears, name="Basic")
    pro = make_version({**arrears, "unit_amount": D(60), "name": "Pro fee"}, name="Pro")
    subscription = subscribed(customer, basic)
    change_plan(subscription, pro, at=utc(2026, 9, 16), now=utc(2026, 9, 16), by=None)
    [cycle] = bill(utc(2026, 10, 1))
    assert lines(cycle) == [
        ("Platform fee, 1–15 Sep 2026 · 15 of 30 days", D(15)),
        ("Pro fee, 16–30 Sep 2026 · 15 of 30 days", D(30)),
    ]


def test_cancelling_now_invoices_the_usage_and_credits_the_unused_days(customer, calls):
    subscription = subscribed(customer, make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}))
    bill(utc(2026, 9, 1))
    use(customer, calls, utc(2026, 9, 9), 250)
    cancel(subscription, at=utc(2026, 9, 11, 15), now=utc(2026, 9, 11, 15), by=None)
    [final] = bill(utc(2026, 9, 11, 15))
    # The day of termination isn't charged: 10 of 30 days, so 30 - 10 = 20 go back. 250 × 0.01 = 2.50
    assert final.kind == InvoiceKind.FINAL
    assert lines(final) == [
        ("Platform fee, 11–30 Sep 2026: credit for 20 unused of 30 days", D(-20)),
        ("API calls, 1–11 Sep 2026 · 250 calls used, 250 × $0.01", D("2.5")),
    ]
    assert BillingState.objects.get(pk=subscription.pk).due_at is None
    assert bill(utc(2026, 12, 1)) == []


def test_cancelling_at_the_periods_end_invoices_usage_and_no_next_fee(customer, calls):
    subscription = subscribed(customer, make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}))
    bill(utc(2026, 9, 1))
    use(customer, calls, utc(2026, 9, 29), 250)
    cancel_at_period_end(subscription, now=utc(2026, 9, 10), by=None)
    [final] = bill(utc(2026, 10, 1))
    assert (final.kind, amounts(final)) == (InvoiceKind.FINAL, [D("2.5")])
    assert bill(utc(2026, 12, 1)) == []


def test_an_end_before_the_billed_period_credits_fees_paid_in_advance(customer):
    subscription = subscribed(customer, make_version(FEE))
    bill(utc(2026, 10, 1))
    cancel(subscription, at=utc(2026, 9, 16), now=utc(2026, 10, 5), by=None, reason="Agreed by phone")
    [final] = bill(utc(2026, 10, 5))
    # September: 15 of 30 days used, -15. October, paid on 1 October, wholly unused: -30.
    assert lines(final) == [
        ("Platform fee, 16–30 Sep 2026: credit for 15 unused of 30 days", D(-15)),
        ("Platform fee, 1–31 Oct 2026: credit for 31 unused of 31 days", D(-30)),
    ]


def test_a_trial_is_shown_as_free_and_the_first_fee_is_due_at_its_end(customer, calls):
    version = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})
    subscribed(customer, version, trial_days=14)
    use(customer, calls, utc(2026, 9, 3), 500)
    use(customer, calls, utc(2026, 9, 20), 100)
    assert bill(utc(2026, 9, 14)) == []
    [trial] = bill(utc(2026, 9, 15))
    assert lines(trial) == [
        ("Platform fee, 15 Sep – 14 Oct 2026", D(30)),
        ("API calls, 1–14 Sep 2026 · 500 calls used, free during the trial", D(0)),
    ]
    [cycle] = bill(utc(2026, 10, 15))
    assert amounts(cycle) == [D(30), D(1)]


def test_a_trial_that_ends_within_a_period_is_followed_by_a_prorated_fee(customer, calls):
    version = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})
    subscribed(customer, version, trial_days=14, anchor=SEPTEMBER)
    use(customer, calls, utc(2026, 9, 3), 500)
    use(customer, calls, utc(2026, 9, 20), 100)
    [opening] = bill(utc(2026, 9, 15))
    # 15 to 30 September: 16 of 30 days of $30 = $16
    assert (opening.kind, lines(opening)) == ("opening", [("Platform fee, 15–30 Sep 2026 · 16 of 30 days", D(16))])
    [cycle] = bill(utc(2026, 10, 1))
    assert lines(cycle) == [
        ("Platform fee, 1–31 Oct 2026", D(30)),
        ("API calls, 1–14 Sep 2026 · 500 calls used, free during the trial", D(0)),
        ("API calls, 15–30 Sep 2026 · 100 calls used, 100 × $0.01", D(1)),
    ]


def test_a_pause_charges_nothing_and_doesnt_renew_free_units(customer, calls):
    version = make_version(FEE, {"feature": calls, "unit_amount": D(1)}, free_units={calls: 100})
    subscription = subscribed(customer, version)
    bill(utc(2026, 9, 1))
    pause(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    resume(subscription, at=utc(2026, 9, 21), now=utc(2026, 9, 21), by=None)
    for day, used in ((5, 80), (15, 1000), (25, 50)):
        use(customer, calls, utc(2026, 9, day), used)
    [cycle] = bill(utc(2026, 10, 1))
    # 80 + 50 = 130 used outside the pause, 100 free. 20 of 30 days of the fee: 30 × 20/30 - 30 = -10.
    assert lines(cycle) == [
        ("Platform fee, 11–20 Sep 2026: credit for 10 unused of 30 days", D(-10)),
        ("Platform fee, 1–31 Oct 2026", D(30)),
        ("API calls, 1–10 Sep 2026 and 21–30 Sep 2026 · 130 calls used, 100 free, 30 × $1.00", D(30)),
    ]


def test_a_cumulative_feature_is_charged_its_running_total_every_period(customer):
    storage = make_feature(
        name="Storage", event_name="stored", field="gb", reset="cumulative", unit_singular="GB", unit_plural="GB"
    )
    subscribed(customer, make_version({"feature": storage, "unit_amount": D("0.5")}, free_units={storage: 10}))
    use(customer, storage, utc(2026, 7, 1), 5)  # before the subscription began
    use(customer, storage, utc(2026, 9, 10), 25)
    use(customer, storage, utc(2026, 10, 10), 20)
    september, october = bill(utc(2026, 11, 1))
    # 5 + 25 = 30, 10 free, 20 × 0.5 = 10. October: 50 in all, 40 × 0.5 = 20.
    assert lines(september) == [("Storage, 1–30 Sep 2026 · running total 30 GB at the end, 10 free, 20 × $0.50", D(10))]
    assert amounts(october) == [D(20)]


def test_a_cumulative_feature_is_charged_once_when_the_plan_changes(customer):
    storage = make_feature(name="Storage", event_name="stored", field="gb", reset="cumulative")
    cheap = make_version({"feature": storage, "unit_amount": D(1)})
    dear = make_version({"feature": storage, "unit_amount": D(2)})
    subscription = subscribed(customer, cheap)
    use(customer, storage, utc(2026, 9, 5), 10)
    change_plan(subscription, dear, at=utc(2026, 9, 20), now=utc(2026, 9, 20), by=None)
    [cycle] = bill(utc(2026, 10, 1))
    assert amounts(cycle) == [D(20)]


@pytest.mark.parametrize(
    ("price", "amount", "says"),
    [
        # 1,000 × 0.10 + 1,500 × 0.08 = 100 + 120
        ({"model": "graduated", "tiers": [(1000, D("0.10")), (None, D("0.08"))]}, D(220), "2,500 in 2 tiers"),
        # all 2,500 at the second tier's price, plus its flat 5: 2,500 × 0.08 + 5
        ({"model": "volume", "tiers": [(1000, D("0.10")), (None, D("0.08"), D(5))]}, D(205), "2,500 × $0.08 (tier 2)"),
        # 2.5 packages, rounded up to 3
        ({"model": "package", "package_size": 1000, "unit_amount": D(7)}, D(21), "3 packages of 1,000 × $7.00"),
        (
            {"model": "package", "package_size": 1000, "unit_amount": D(7), "package_rounding": "down"},
            D(14),
            "2 packages of 1,000 × $7.00",
        ),
        ({"model": "flat", "unit_amount": D(99)}, D(99), "flat $99.00"),
        # 2,500 ÷ 1,000 = 2.5, up to 3 × 4
        (
            {"unit_amount": D(4), "convert_divide_by": 1000, "convert_rounding": "ceil"},
            D(12),
            "3 × $4.00",
        ),
        ({"unit_amount": D(1), "maximum_amount": D(800)}, D(800), "2,500 × $1.00"),
    ],
)
def test_every_pricing_model(customer, calls, price, amount, says):
    subscribed(customer, make_version({"feature": calls, **price}))
    use(customer, calls, utc(2026, 9, 10), 2500)
    [cycle] = bill(utc(2026, 10, 1))
    assert lines(cycle) == [(f"API calls, 1–30 Sep 2026 · 2,500 calls used, {says}", amount)]


def test_a_lines_computation_records_its_tiers(customer, calls):
    tiers = [(1000, D("0.10")), (None, D("0.08"), D(5))]
    subscribed(customer, make_version({"feature": calls, "model": "graduated", "tiers": tiers}))
    use(customer, calls, utc(2026, 9, 10), 2500)
    [cycle] = bill(utc(2026, 10, 1))
    line = cycle.lines.get()
    assert line.computation["reset"] == "periodic"
    assert line.computation["tiers"] == [
        {"kind": "tier", "tier": 1, "from": "0", "to": "1000", "quantity": "1000", "unit_amount": "0.1",
         "flat_amount": "0", "amount": "100"},
        {"kind": "tier", "tier": 2, "from": "1000", "to": None, "quantity": "1500", "unit_amount": "0.08",
         "flat_amount": "5", "amount": "125"},
    ]  # fmt: skip


def test_a_minimum_commitment_has_a_line_for_the_difference(customer, calls):
    subscribed(customer, make_version({"feature": calls, "unit_amount": D("0.01"), "minimum_amount": D(50)}))
    use(customer, calls, utc(2026, 9, 10), 1200)
    [cycle] = bill(utc(2026, 10, 1))
    assert lines(cycle) == [
        ("API calls, 1–30 Sep 2026 · 1,200 calls used, 1,200 × $0.01", D(12)),
        ("API calls, 1–30 Sep 2026 · minimum commitment $50.00, less $12.00 of usage", D(38)),
    ]


def test_a_minimum_commitment_is_prorated_in_a_short_period(customer, calls):
    version = make_version({"feature": calls, "unit_amount": D("0.01"), "minimum_amount": D(60)})
    subscription = subscribed(customer, version)
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [final] = bill(utc(2026, 9, 11))
    assert amounts(final) == [D(20)]  # 60 × 10/30 days


@pytest.mark.parametrize(
    ("reset", "used", "billed"),
    [
        # 100 free each day: 150 on the 5th leaves 50, 90 on the 6th is free, 300 on the 7th leaves 200
        ("daily", [(5, 150), (6, 90), (7, 300)], 250),
        # Weeks from Tuesday 1 September: 5th to 7th are one week, 100 of 540 are free; the 8th begins another
        ("weekly", [(5, 150), (6, 90), (7, 300), (8, 120)], 460),
        ("monthly", [(5, 150), (6, 90)], 140),
        ("period", [(5, 150), (6, 90)], 140),
        ("never", [(5, 150), (6, 90)], 140),
    ],
)
def test_free_units_are_granted_by_their_reset(customer, calls, reset, used, billed):

    draft = make_draft()
    make_price(version=draft, feature=calls, unit_amount=D(1))
    make_entitlement(version=draft, feature=calls, free_units=100, reset=reset)
    subscribed(customer, publish(draft, now=utc(2026, 8, 1), by=None))
    for day, quantity in used:
        use(customer, calls, utc(2026, 9, day), quantity)
    [cycle] = bill(utc(2026, 10, 1))
    assert amounts(cycle) == [D(billed)]


def test_a_lifetime_allowance_is_used_up_once(customer, calls):

    draft = make_draft()
    make_price(version=draft, feature=calls, unit_amount=D(1))
    make_entitlement(version=draft, feature=calls, free_units=1000, reset="never")
    subscribed(customer, publish(draft, now=utc(2026, 8, 1), by=None))
    for month, quantity in ((9, 700), (10, 500), (11, 400)):
        use(customer, calls, utc(2026, month, 10), quantity)
    september, october, november = bill(utc(2026, 12, 1))
    # 1,000 - 700 = 300 left for October: 500 - 300 = 200. Nothing left for November.
    assert [amounts(each) for each in (september, october, november)] == [[D(0)], [D(200)], [D(400)]]


def test_a_monthly_allowance_of_a_daily_billed_plan_lasts_the_month(customer, calls):

    draft = make_draft()
    make_price(version=draft, feature=calls, unit_amount=D(1), interval="day")
    make_entitlement(version=draft, feature=calls, free_units=100, reset="monthly")
    subscription = subscribed(customer, publish(draft, now=utc(2026, 8, 1), by=None), interval="day")
    for day in (1, 2, 3):
        use(customer, calls, utc(2026, 9, day, 9), 60)
    bill(utc(2026, 9, 4))
    # 60 free; then 40 of 60 free, 20 charged; then 60 charged
    assert [each.total for each in invoices_of(subscription)] == [D(0), D(20), D(60)]


@pytest.mark.parametrize(
    ("currency", "unit_amount", "used", "amount"),
    [
        ("JPY", "0.7", 5, "4"),  # 3.5 yen, halves go up
        ("BHD", "0.0005", 25, "0.013"),  # 0.0125 dinar to three places
        ("USD", "0.001", 1235, "1.24"),  # 1.235 dollars
    ],
)
def test_a_line_is_rounded_once_to_the_currencys_precision(calls, currency, unit_amount, used, amount):
    customer = make_customer()
    subscribed(
        customer,
        make_version({"feature": calls, "unit_amount": D(unit_amount), "currency": currency}),
        currency=currency,
    )
    use(customer, calls, utc(2026, 9, 10), used)
    [cycle] = bill(utc(2026, 10, 1))
    assert cycle.total == D(amount)


def test_a_short_first_period_is_prorated_by_days(customer):
    subscribed(customer, make_version(FEE), starts_at=utc(2026, 9, 16), alignment="calendar")
    opening, cycle = bill(utc(2026, 10, 1))
    assert lines(opening) == [("Platform fee, 16–30 Sep 2026 · 15 of 30 days", D(15))]
    assert lines(cycle) == [("Platform fee, 1–31 Oct 2026", D(30))]


def test_the_explanation_of_a_prorated_fee_with_a_quantity_gives_its_amount(customer):
    version = make_version(FEE | {"quantity": 3, "name": "Seats"})
    subscription = subscribed(customer, version, ends_at=utc(2026, 9, 11))
    [opening] = bill(SEPTEMBER)
    [line] = opening.lines.all()
    # Three at $30 are $90; ten days of thirty are a third of it.
    assert (line.amount, explain_line(line, "USD")) == (D(30), ["3 × $30.00 × 10/30 days"])
    assert subscription.invoices.count() == 1
