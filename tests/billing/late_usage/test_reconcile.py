"""Usage that changes after its period was invoiced: the signed difference on the next invoice. Amounts by hand."""

import pytest

from billing.explanation.proof import prove
from billing.explanation.text import explain_line
from billing.invoicing.upcoming import upcoming
from billing.late_usage.decisions import approve
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue, void
from billing.models import Invoice, LateAdjustment, LateCheck
from billing.runs.late_usage import bill_ended, check_recent
from customers.subscriptions import cancel, change_plan
from events.ledger.voiding import void_event
from events.models import Event, LedgerHorizon, TouchedUsage
from tests.billing.adjusting import give, make_coupon, make_tax
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, amounts, bill, invoices_of, lines, utc
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
SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
IN_SEPTEMBER, IN_OCTOBER = utc(2026, 9, 20, 9), utc(2026, 10, 20, 9)


@pytest.fixture
def calls(db):
    return make_feature(name="API calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def customer(db):
    return make_customer(name="Acme", external_id="acme")


def subscribed(customer, *prices, starts_at=SEPTEMBER, currency="USD", **given):
    version = make_version(*prices, **given)
    return make_subscription(customer=customer, plan=version, starts_at=starts_at, now=starts_at, currency=currency)


def figures(adjustment):
    return (
        adjustment.quantity_before,
        adjustment.quantity_after,
        adjustment.amount_before,
        adjustment.amount_after,
        adjustment.state,
    )


def test_late_events_are_charged_on_the_next_invoice_by_their_own_period(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D("0.25")})
    arrive_many(4, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    assert september.total == D("1.00")
    arrive_many(2, IN_SEPTEMBER)
    arrive(IN_OCTOBER)
    work_late(IN_OCTOBER)
    [late] = adjustments(subscription)
    assert figures(late) == (4, 6, D("1.00"), D("1.50"), "waiting")
    assert (late.invoice, late.amount, late.currency) == (september, D("0.50"), "USD")
    [october] = invoice_at(NOVEMBER)
    assert lines(october) == [
        ("API calls, 1–31 Oct 2026 · 1 call used, 1 × $0.25", D("0.25")),
        (
            f"API calls, 1–30 Sep 2026 · late usage: 6 calls used, 4 invoiced on {september}: $1.50 instead of $1.00",
            D("0.50"),
        ),
    ]
    line = october.lines.get(kind="late_usage")
    assert (line.quantity, line.events_count, line.adjusts_invoice) == (2, 2, september)
    assert line.adjusts == september.lines.get()
    assert (line.period_start, line.period_end) == (SEPTEMBER, OCTOBER)
    late.refresh_from_db()
    assert (late.state, late.line) == ("invoiced", line)


def test_events_in_time_make_no_adjustment(customer, calls):
    subscription = subscribed(customer, {"feature": calls})
    arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_OCTOBER)
    work_late(IN_OCTOBER)
    assert adjustments(subscription) == []


def test_late_events_push_usage_into_the_next_tier(customer, calls):
    tiers = [(5, D("1.00")), (None, D("0.10"), D(2))]
    subscription = subscribed(customer, {"feature": calls, "model": "graduated", "tiers": tiers})
    arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(3, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    # 5 × 1.00 + 2 × 0.10 + 2 flat = 7.20, of which 4.00 were invoiced.
    assert [figures(each) for each in adjustments(subscription)] == [(4, 7, D("4.00"), D("7.20"), "waiting")]


def test_with_volume_prices_more_usage_can_cost_less(customer, calls):
    tiers = [(5, D("1.00")), (None, D("0.50"))]
    subscription = subscribed(customer, {"feature": calls, "model": "volume", "tiers": tiers})
    arrive_many(5, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    # 6 × 0.50 = 3.00 instead of 5 × 1.00
    assert [each.amount for each in adjustments(subscription)] == [D("-2.00")]
    [october] = invoice_at(NOVEMBER)
    assert october.total == D("-2.00")


def test_late_usage_within_the_free_units_is_shown_and_costs_nothing(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)}, free_units={calls: 10})
    arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(4, 6, 0, 0, "waiting")]
    arrive_many(6, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    # 12 - 10 free = 2 × $1.00
    assert [figures(each) for each in adjustments(subscription)] == [(4, 12, 0, D("2.00"), "waiting")]
    [october] = invoice_at(NOVEMBER)
    line = october.lines.get()
    assert (line.quantity, line.free_units, line.billable_quantity, line.amount) == (8, 6, 2, D("2.00"))


def test_a_feature_without_a_line_on_the_invoice_gets_a_late_line(customer, calls):
    tokens = make_feature(name="Tokens", event_name="model.usage", field="tokens")
    subscription = subscribed(
        customer, {"feature": calls, "unit_amount": D(1)}, {"feature": tokens, "unit_amount": D("0.01")}
    )
    arrive(IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER, event_name="model.usage", tokens=150)
    work_late(IN_OCTOBER)
    [late] = adjustments(subscription)
    assert (late.invoice, late.adjusts, late.feature, late.amount) == (september, None, tokens, D("1.50"))
    [october] = invoice_at(NOVEMBER)
    assert lines(october) == [
        (f"Tokens, 1–30 Sep 2026 · late usage: 150 used, 0 invoiced on {september}: $1.50 instead of $0.00", D("1.50"))
    ]


def test_usage_of_a_period_without_an_invoice_is_late_usage(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    assert invoice_at(OCTOBER) == []
    arrive_many(3, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [late] = adjustments(subscription)
    assert (late.invoice, late.period_start, late.period_end, late.amount) == (None, SEPTEMBER, OCTOBER, D(3))
    [october] = invoice_at(NOVEMBER)
    assert lines(october) == [
        ("API calls, 1–30 Sep 2026 · late usage: 3 calls used, 0 invoiced: $3.00 instead of $0.00", D(3))
    ]


def test_a_voided_event_is_refunded(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D("0.25")})
    [first, *_] = arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    void_event(Event.objects.get(event_id=first), reason="Sent by a test", now=IN_OCTOBER)
    arrive(IN_OCTOBER)
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(4, 3, D("1.00"), D("0.75"), "waiting")]
    [october] = invoice_at(NOVEMBER)
    assert amounts(october) == [D("0.25"), D("-0.25")]
    assert october.lines.get(kind="late_usage").events_count == -1


def test_a_minimum_commitment_includes_late_usage(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1), "minimum_amount": D(10)})
    arrive_many(4, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    assert amounts(september) == [D(4), D(6)]
    arrive_many(5, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    # 9 of 10: the commitment covers it.
    assert [figures(each) for each in adjustments(subscription)] == [(4, 9, D(10), D(10), "waiting")]
    arrive_many(3, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(4, 12, D(10), D(12), "waiting")]


def test_reconciling_twice_changes_nothing(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    before = LateAdjustment.objects.values().get()
    arrive(utc(2026, 9, 20, 9))
    work_late(IN_OCTOBER)
    work_late(IN_OCTOBER)
    after = LateAdjustment.objects.values().get()
    assert (before["id"], before["amount"], after["amount"]) == (after["id"], D(1), D(2))
    assert LateCheck.objects.count() == 0
    assert len(adjustments(subscription)) == 1


def test_a_difference_that_disappears_cancels_its_adjustment(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    [late] = arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    void_event(Event.objects.get(event_id=late), reason="A mistake", now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    [adjustment] = adjustments(subscription)
    assert (adjustment.state, adjustment.reason) == ("cancelled", "The period totals what was invoiced for it")
    assert invoice_at(NOVEMBER) == []


def test_a_second_late_adjustment_takes_the_first_into_account(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    arrive_many(4, IN_SEPTEMBER)
    work_late(utc(2026, 11, 5))
    assert [figures(each) for each in adjustments(subscription)] == [
        (1, 3, D(1), D(3), "invoiced"),
        (3, 7, D(3), D(7), "waiting"),
    ]
    [november] = invoice_at(DECEMBER)
    assert [september.total, october.total, november.total] == [D(1), D(2), D(4)]
    assert november.lines.get().adjusts_invoice == september


def test_usage_of_two_periods_ago_is_on_the_next_invoice(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive(IN_OCTOBER)
    invoice_at(NOVEMBER)
    arrive(IN_SEPTEMBER)
    work_late(utc(2026, 11, 5))
    [late] = adjustments(subscription)
    assert (late.invoice, late.period_start, late.amount) == (september, SEPTEMBER, D(1))
    [november] = invoice_at(DECEMBER)
    assert amounts(november) == [D(1)]


def test_repeated_distinct_values_cost_nothing(customer):
    users = make_feature(name="Users", aggregation="unique_count", field="user")
    subscription = subscribed(customer, {"feature": users, "unit_amount": D(5)})
    arrive(IN_SEPTEMBER, user="ada")
    invoice_at(OCTOBER)
    arrive(utc(2026, 9, 25), user="ada")
    arrive(utc(2026, 9, 25), user="bob")
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(1, 2, D(5), D(10), "waiting")]


def test_a_maximum_changes_only_when_it_is_exceeded(customer):
    seats = make_feature(name="Seats", aggregation="max", field="seats")
    subscription = subscribed(customer, {"feature": seats, "unit_amount": D(2)})
    arrive(IN_SEPTEMBER, seats=5)
    invoice_at(OCTOBER)
    arrive(utc(2026, 9, 3), seats=3)
    work_late(IN_OCTOBER)
    [late] = adjustments(subscription)
    assert figures(late) == (5, 5, D(10), D(10), "waiting")
    assert (late.events_before, late.events_after) == (1, 2)
    arrive(utc(2026, 9, 4), seats=8)
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(5, 8, D(10), D(16), "waiting")]


def test_a_running_total_changes_in_every_later_period(customer):
    stored = make_feature(name="Stored data", event_name="stored", field="gb", reset="cumulative")
    subscription = subscribed(customer, {"feature": stored, "unit_amount": D("0.10")})
    arrive(IN_SEPTEMBER, event_name="stored", gb=10)
    [september] = invoice_at(OCTOBER)
    arrive(IN_OCTOBER, event_name="stored", gb=5)
    [october] = invoice_at(NOVEMBER)
    assert [september.total, october.total] == [D("1.00"), D("1.50")]
    arrive(IN_SEPTEMBER, event_name="stored", gb=20)
    work_late(utc(2026, 11, 5))
    assert [(each.invoice, *figures(each)) for each in adjustments(subscription)] == [
        (september, 10, 30, D("1.00"), D("3.00"), "waiting"),
        (october, 15, 35, D("1.50"), D("3.50"), "waiting"),
    ]


def test_lifetime_free_units_used_by_late_usage_are_missing_later(customer, calls):
    draft = make_draft()
    make_entitlement(version=draft, feature=calls, free_units=5, reset="never")

    make_price(version=draft, feature=calls, unit_amount=D(1))
    subscription = make_subscription(customer=customer, plan=draft.plan, starts_at=SEPTEMBER, now=SEPTEMBER)
    arrive_many(4, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(3, IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    # 5 - 4 = 1 free unit was left for October's 3 calls.
    assert october.total == D(2)
    arrive(IN_SEPTEMBER)
    work_late(utc(2026, 11, 5))
    assert [figures(each) for each in adjustments(subscription)] == [
        (4, 5, 0, 0, "waiting"),
        (3, 3, D(2), D(3), "waiting"),
    ]


def test_late_usage_is_rated_by_the_plan_version_of_its_time(customer, calls):
    basic = make_version({"feature": calls, "unit_amount": D("0.10")}, name="Basic")
    pro = make_version({"feature": calls, "unit_amount": D("0.05")}, name="Pro")
    subscription = make_subscription(customer=customer, plan=basic, starts_at=SEPTEMBER, now=SEPTEMBER)
    change_plan(subscription, pro, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    arrive(utc(2026, 9, 5), utc(2026, 9, 15))
    [september] = invoice_at(OCTOBER)
    assert amounts(september) == [D("0.10"), D("0.05")]
    arrive(utc(2026, 9, 5), utc(2026, 9, 5), utc(2026, 9, 15))
    work_late(IN_OCTOBER)
    assert [each.amount for each in adjustments(subscription)] == [D("0.20"), D("0.05")]


def test_a_plan_change_after_the_invoice_is_not_late_usage(customer, calls):
    basic = make_version({"feature": calls, "unit_amount": D("0.10")}, name="Basic")
    pro = make_version({"feature": calls, "unit_amount": D("0.05")}, name="Pro")
    subscription = make_subscription(customer=customer, plan=basic, starts_at=SEPTEMBER, now=SEPTEMBER)
    arrive(utc(2026, 9, 5), utc(2026, 9, 15))
    invoice_at(OCTOBER)
    change_plan(subscription, pro, at=utc(2026, 9, 11), now=IN_OCTOBER, by=None, reason="Agreed in September")
    arrive(utc(2026, 9, 15))
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(2, 3, D("0.20"), D("0.30"), "waiting")]


def test_the_local_midnight_of_a_summer_time_zone_separates_periods(calls):
    customer = make_customer(timezone="Europe/Berlin", external_id="acme")
    starts_at = utc(2026, 2, 28, 23)  # 1 March, 0:00 there
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)}, starts_at=starts_at)
    march_ends = utc(2026, 3, 31, 22)  # midnight in summer time
    arrive(utc(2026, 3, 10))
    [march] = invoice_at(march_ends)
    arrive(utc(2026, 3, 31, 21, 59))
    arrive(utc(2026, 3, 31, 22))
    work_late(utc(2026, 4, 2))
    [late] = adjustments(subscription)
    assert (late.invoice, late.quantity_after, late.amount) == (march, 2, D(1))


def test_a_period_that_ends_within_an_hour_is_separate_from_the_next(calls, customer):
    starts_at = utc(2026, 9, 1, 10, 23)
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)}, starts_at=starts_at)
    arrive(utc(2026, 9, 10))
    invoice_at(utc(2026, 10, 1, 10, 23))
    arrive(utc(2026, 10, 1, 10, 22))
    arrive(utc(2026, 10, 1, 10, 23))
    work_late(utc(2026, 10, 2))
    assert [figures(each) for each in adjustments(subscription)] == [(1, 2, D(1), D(2), "waiting")]


def test_yen_are_adjusted_in_whole_yen(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D("0.5"), "currency": "JPY"}, currency="JPY")
    arrive_many(3, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    assert september.total == D(2)  # 1.5 → 2
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(3, 4, D(2), D(2), "waiting")]
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    assert amounts(october) == [D(1)]  # 2.5 → 3, less 2
    assert lines(october)[0][0].endswith(": ¥3 instead of ¥2")


def test_a_draft_includes_late_events_of_its_own_period(customer, calls, settings):
    settings.INVOICE_GRACE_DAYS = 3
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    [draft] = bill(OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(utc(2026, 10, 2))
    assert (adjustments(subscription), LateCheck.objects.count()) == ([], 1)
    finalize_due(now=utc(2026, 10, 4))
    work_late(utc(2026, 10, 4))
    draft.refresh_from_db()
    assert (draft.total, adjustments(subscription), LateCheck.objects.count()) == (D(2), [], 0)


def test_a_draft_finalized_as_shown_leaves_later_events_to_the_next_invoice(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    [draft] = bill(OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(OCTOBER)
    finalize(draft, now=utc(2026, 10, 2))
    work_late(utc(2026, 10, 2))
    assert [figures(each) for each in adjustments(subscription)] == [(1, 2, D(1), D(2), "waiting")]


def test_the_upcoming_invoice_shows_late_usage_as_the_run_will_bill_it(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive(IN_SEPTEMBER)
    arrive(IN_OCTOBER)
    work_late(IN_OCTOBER)
    shown = upcoming(subscription.pk, now=NOVEMBER).earlier[0].lines
    [october] = invoice_at(NOVEMBER)
    assert lines(october) == [(line.description, line.amount) for line in shown]
    assert len(shown) == 2


def test_recomputing_a_draft_keeps_its_late_lines_and_adds_more(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    arrive(IN_OCTOBER)
    work_late(IN_OCTOBER)
    [draft] = bill(NOVEMBER)
    assert draft.total == D(3)
    arrive_many(4, IN_SEPTEMBER)
    work_late(NOVEMBER)
    fresh = recompute(draft, now=NOVEMBER)
    assert (fresh.total, sorted(amounts(fresh))) == (D(7), [D(1), D(2), D(4)])
    assert [each.state for each in adjustments(subscription)] == ["invoiced", "invoiced"]
    assert recompute(draft, now=NOVEMBER).total == D(7)


def test_voiding_the_invoice_releases_its_late_adjustments(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    void(october, reason="Wrong address", by=None, now=NOVEMBER)
    assert [figures(each) for each in adjustments(subscription)] == [(1, 3, D(1), D(3), "waiting")]
    again = reissue(october, reason="Wrong address", by=None, now=NOVEMBER)
    assert (lines(again), again.total) == (lines(october), D(2))
    assert [each.line for each in adjustments(subscription)] == [again.lines.get()]


def test_an_adjustment_released_by_a_void_merges_with_later_usage(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    arrive_many(4, IN_SEPTEMBER)
    work_late(utc(2026, 11, 5))
    void(october, reason="Wrong address", by=None, now=utc(2026, 11, 6))
    first, second = adjustments(subscription)
    assert first.state == "cancelled"
    assert figures(second) == (1, 7, D(1), D(7), "waiting")
    work_late(utc(2026, 11, 6))
    [november] = invoice_at(DECEMBER)
    assert november.total == D(6)


def test_reissuing_the_corrected_invoice_includes_its_pending_adjustment(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    again = reissue(september, reason="Late events", by=None, now=IN_OCTOBER)
    assert again.total == D(3)
    finalize(again, now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    assert [each.state for each in adjustments(subscription)] == ["cancelled"]
    assert invoice_at(NOVEMBER) == []


def test_reissuing_a_corrected_invoice_leaves_out_charges_of_later_invoices(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive_many(2, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    again = reissue(september, reason="Wrong address", by=None, now=utc(2026, 11, 5))
    # 3 calls in all; October's invoice holds 2 of them.
    assert lines(again) == [
        ("API calls, 1–30 Sep 2026 · 3 calls used, 3 × $1.00", D(3)),
        ("API calls, 1–30 Sep 2026 · 3 calls used, of which later invoices settled $2.00", D(-2)),
    ]
    assert again.total == D(1)
    finalize(again, now=utc(2026, 11, 5))
    work_late(utc(2026, 11, 5))
    assert {each.state for each in adjustments(subscription)} == {"invoiced"}
    assert october.total + again.total == D(3)


def test_an_ended_subscription_gets_an_invoice_for_its_late_usage(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(utc(2026, 9, 5))
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [final] = invoice_at(utc(2026, 9, 11))
    arrive_many(2, utc(2026, 9, 6))
    arrive(utc(2026, 9, 12))  # after the end: not its usage
    work_late(IN_SEPTEMBER)
    assert upcoming(subscription.pk, now=IN_SEPTEMBER).total == D(2)
    [late] = bill_ended(now=IN_SEPTEMBER)
    assert (late.kind, late.total, late.subscription) == ("late", D(2), subscription)
    assert lines(late) == [
        (f"API calls, 1–10 Sep 2026 · late usage: 3 calls used, 1 invoiced on {final}: $3.00 instead of $1.00", D(2))
    ]
    assert bill_ended(now=IN_SEPTEMBER) == []
    arrive(utc(2026, 9, 7))
    work_late(utc(2026, 9, 21))
    assert [each.pk for each in bill_ended(now=utc(2026, 9, 21))] == [late.pk]
    finalize_due(now=utc(2026, 9, 22))
    assert [(each.kind, each.total, each.state) for each in invoices_of(subscription)] == [
        ("final", D(1), "finalized"),
        ("late", D(3), "finalized"),
    ]


def test_an_ended_subscription_is_refunded_voided_usage(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    first, _ = arrive(utc(2026, 9, 5), utc(2026, 9, 5))
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    invoice_at(utc(2026, 9, 11))
    void_event(Event.objects.get(event_id=first), reason="A mistake", now=IN_SEPTEMBER)
    work_late(IN_SEPTEMBER)
    [late] = bill_ended(now=IN_SEPTEMBER)
    assert finalize(late, now=IN_SEPTEMBER).total == D(-1)


@pytest.fixture
def over_late_usage(customer, calls):
    """An invoice over two late calls, $2.00, of a subscription that has ended."""
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    invoice_at(utc(2026, 9, 11))
    arrive_many(2, utc(2026, 9, 6))
    work_late(IN_SEPTEMBER)
    [late] = bill_ended(now=IN_SEPTEMBER)
    return finalize(late, now=IN_SEPTEMBER)


def test_a_void_late_invoice_is_not_drafted_again_until_staff_approve(over_late_usage):
    subscription = over_late_usage.subscription
    void(over_late_usage, reason="Agreed by phone", by=None, now=IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert bill_ended(now=IN_OCTOBER) == []
    [row] = adjustments(subscription)
    assert (row.state, row.reason) == ("held", f"{over_late_usage} was voided")
    approve([row.pk], by=None, now=IN_OCTOBER)
    assert [each.total for each in bill_ended(now=IN_OCTOBER)] == [D(2)]


def test_a_reissued_late_invoice_charges_late_usage_once(over_late_usage):
    again = reissue(over_late_usage, reason="Wrong address", by=None, now=IN_SEPTEMBER)
    assert (again.kind, again.total) == ("late", D(2))
    finalize(again, now=IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert bill_ended(now=IN_OCTOBER) == []


def test_two_drafts_of_one_subscription_do_not_both_charge_it(customer, calls):
    subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER, IN_OCTOBER, utc(2026, 11, 5))
    invoice_at(OCTOBER)
    bill(DECEMBER)
    arrive(IN_SEPTEMBER)
    work_late(DECEMBER)
    finalize_due(now=DECEMBER)
    assert list(Invoice.objects.order_by("pk").values_list("total", flat=True)) == [D(1), D(2), D(1)]


def test_a_late_line_can_be_verified_until_a_later_line_corrects_it(customer, calls):
    tiers = [(5, D("1.00")), (None, D("0.10"))]
    subscribed(customer, {"feature": calls, "model": "graduated", "tiers": tiers})
    arrive_many(4, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive_many(3, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    late = october.lines.get(kind="late_usage")
    assert prove(late).agrees
    assert [finding.on_invoice for finding in prove(late).findings if finding.name != "Checksum"] == [7, 7, D("5.20")]
    # 5 × 1.00 + 2 × 0.10 = 5.20
    assert explain_line(late, "USD")[:4] == [
        "charged before: 4 = $4.00",
        "recalculated: 7 = $5.20",
        "  tier 1, over 0 up to 5: 5 × $1.00 = $5.00",
        "  tier 2, over 5 without limit: 2 × $0.10 = $0.20",
    ]
    original = prove(september.lines.get())
    assert (original.agrees, list(original.corrected_by)) == (False, [late])
    arrive(IN_SEPTEMBER)
    work_late(NOVEMBER)
    assert (prove(late).agrees, prove(late).corrected_by) == (False, ())
    [november] = invoice_at(DECEMBER)
    assert list(prove(late).corrected_by) == [november.lines.get()]
    assert prove(november.lines.get()).agrees


def test_a_refund_includes_its_discounts_and_taxes(customer, calls):
    make_tax(20)
    give(make_coupon(50), customer)
    subscribed(customer, {"feature": calls, "unit_amount": D(10)})
    first, *_ = arrive_many(4, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    # 40 - 50% = 20, + 20% = 24
    assert september.total == D(24)
    void_event(Event.objects.get(event_id=first), reason="A mistake", now=IN_OCTOBER)
    work_late(IN_OCTOBER)
    [october] = invoice_at(NOVEMBER)
    # A quarter of it: 10 - 5 = 5, + 20% = 6
    assert (october.subtotal, october.total) == (D(-10), D(-6))


def test_the_nightly_check_finds_usage_that_changed_without_a_note(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)})
    arrive(IN_SEPTEMBER)
    invoice_at(OCTOBER)
    assert check_recent(now=IN_OCTOBER) == 0
    arrive_many(2, IN_SEPTEMBER)
    TouchedUsage.objects.all().delete()
    work_late(IN_OCTOBER)
    assert adjustments(subscription) == []
    assert check_recent(now=IN_OCTOBER) == 1
    work_late(IN_OCTOBER)
    assert [figures(each) for each in adjustments(subscription)] == [(1, 3, D(1), D(3), "waiting")]
    assert check_recent(now=IN_OCTOBER) == 0


def test_a_period_whose_partial_hours_were_pruned_is_not_adjusted(customer, calls):
    subscription = subscribed(customer, {"feature": calls, "unit_amount": D(1)}, starts_at=utc(2026, 9, 1, 10, 23))
    arrive(IN_SEPTEMBER)
    invoice_at(utc(2026, 10, 1, 10, 23))
    LedgerHorizon.objects.create(hour=utc(2026, 9, 10), pruned_at=IN_OCTOBER)
    arrive(IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    assert (adjustments(subscription), LateCheck.objects.count()) == ([], 0)
