"""A subscription continues after a final invoice within a period: the next invoice charges the usage of the whole
period minus the usage already invoiced. Free units, tiers, maximums and minimums don't start again.

An end can be moved only until it is reached. Here a run with a faster clock has already invoiced it.
"""

import pytest

from billing.explanation.line_events import list_events
from billing.explanation.proof import prove
from billing.explanation.text import explain_line
from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize_due
from billing.lifecycle.void import reissue
from billing.runs.late_usage import bill_ended, check_recent
from customers.subscriptions import cancel, change_plan, withdraw_scheduled_change
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, amounts, invoices_of, lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
FIRST, SECOND = utc(2026, 9, 5), utc(2026, 9, 17)


@pytest.fixture
def calls(db):
    return make_feature(name="API calls", unit_singular="call", unit_plural="calls")


def subscribed(*prices, terms=None, **given):
    version = make_version(*prices, **given)
    acme = make_customer(external_id="acme")
    return make_subscription(customer=acme, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER, **terms or {})


def end(subscription, day):
    """Move the end, as of 2 September."""
    cancel(subscription, at=utc(2026, 9, day), now=utc(2026, 9, 2), by=None, reason="Agreed")


def gone_on(subscription, before, after, **given):
    """Bill an end on 15 September after some events, then an end on 20 September after more events."""
    arrive_many(before, FIRST, **given)
    end(subscription, 15)
    [first] = invoice_at(utc(2026, 9, 15))
    end(subscription, 20)
    arrive_many(after, SECOND, **given)
    [second] = invoice_at(utc(2026, 9, 20))
    return first, second


def test_free_units_are_given_once(calls):
    subscription = subscribed({"feature": calls, "unit_amount": D(1)}, free_units={calls: 5})
    first, second = gone_on(subscription, 4, 3)
    assert lines(first) == [("API calls, 1–14 Sep 2026 · 4 calls used, 4 free", D(0))]
    # 4 + 3 - 5 free = 2
    assert lines(second) == [
        ("API calls, 1–19 Sep 2026 · 7 calls used, 5 free, 2 × $1.00; minus $0.00 invoiced for 1–14 Sep 2026", D(2))
    ]
    line = second.lines.get()
    assert (line.quantity, line.free_units, line.billable_quantity, line.events_count) == (3, 1, 2, 3)
    assert (line.period_start, line.period_end) == (utc(2026, 9, 15), utc(2026, 9, 20))
    assert "less the amount already charged for the period: 4 = $0.00" in explain_line(line, "USD")


@pytest.mark.parametrize(
    ("price", "free", "billed"),
    [
        # 5 × 1.00 + 2 × 0.10 = 5.20, less 4.00
        ({"model": "graduated", "tiers": [(5, D(1)), (None, D("0.10"))]}, None, [[D(4)], [D("1.20")]]),
        # 7 × 0.50 = 3.50, less 4.00
        ({"model": "volume", "tiers": [(5, D(1)), (None, D("0.50"))]}, None, [[D(4)], [D("-0.50")]]),
        # two packages of 5, less one
        ({"model": "package", "package_size": 5, "unit_amount": D(3)}, None, [[D(3)], [D(3)]]),
        # 14 of 30 days of 30: 14 - 4 on top; 19 of them: 19 - 7 = 12 on top, of which 10 are invoiced
        ({"unit_amount": D(1), "minimum_amount": D(30)}, None, [[D(4), D(10)], [D(3), D(2)]]),
        # 14 of 30 days of 15: 7 - 6 on top; 19 of them are 9.50, which usage of 10.50 covers
        ({"unit_amount": D("1.50"), "minimum_amount": D(15)}, None, [[D(6), D(1)], [D("4.50"), D(-1)]]),
    ],
)
def test_tiers_packages_and_minimums_do_not_start_again(calls, price, free, billed):
    first, second = gone_on(subscribed({"feature": calls, **price}), 4, 3)
    assert [amounts(first), amounts(second)] == billed


def test_a_maximum_is_charged_once():
    seats = make_feature(name="Seats", aggregation="max", field="seats")
    subscription = subscribed({"feature": seats, "unit_amount": D(2)})
    arrive(FIRST, seats=5)
    end(subscription, 15)
    [first] = invoice_at(utc(2026, 9, 15))
    end(subscription, 20)
    arrive(SECOND, seats=8)
    [second] = invoice_at(utc(2026, 9, 20))
    # 8 × 2 = 16, of which 10 are invoiced
    assert [first.total, second.total] == [D(10), D(6)]


def test_a_running_total_is_charged_once_across_two_versions():
    stored = make_feature(name="Stored", event_name="stored", field="gb", reset="cumulative")
    subscription = subscribed({"feature": stored, "unit_amount": D(1)})
    dearer = make_version({"feature": stored, "unit_amount": D(2)}, now=SEPTEMBER)
    arrive(FIRST, event_name="stored", gb=10)
    end(subscription, 15)
    [first] = invoice_at(utc(2026, 9, 15))
    end(subscription, 20)
    change_plan(subscription, dearer, at=utc(2026, 9, 16), now=utc(2026, 9, 16), by=None)
    arrive(SECOND, event_name="stored", gb=5)
    [second] = invoice_at(utc(2026, 9, 20))
    # 15 × 2 = 30, of which 10 × 1 are invoiced
    assert [first.total, second.total] == [D(10), D(20)]
    assert prove(second.lines.get()).agrees


def test_the_rest_of_a_period_without_usage_has_no_line(calls):
    subscription = subscribed({"feature": calls, "unit_amount": D(1)})
    arrive(FIRST)
    end(subscription, 15)
    invoice_at(utc(2026, 9, 15))
    end(subscription, 20)
    assert invoice_at(utc(2026, 9, 20)) == []


def test_withdrawing_an_end_grants_the_periods_free_units_once(calls):
    subscription = subscribed({"feature": calls, "unit_amount": D(1)}, free_units={calls: 5})
    arrive_many(4, FIRST)
    end(subscription, 15)
    invoice_at(utc(2026, 9, 15))
    withdraw_scheduled_change(subscription, now=utc(2026, 9, 2), by=None, reason="Stays")
    arrive_many(3, SECOND)
    assert upcoming(subscription.pk, now=utc(2026, 9, 21)).total == D(2)
    [september] = invoice_at(OCTOBER)
    assert september.total == D(2)
    arrive_many(6, OCTOBER)
    [october] = invoice_at(utc(2026, 11, 1))
    assert october.total == D(1)  # 6 less 5 free
    again = reissue(september, reason="Wrong address", by=None, now=utc(2026, 11, 1))
    assert lines(again) == lines(september)


def test_the_line_is_proved_and_shows_its_own_events(calls):
    subscription = subscribed({"feature": calls, "unit_amount": D(1)}, free_units={calls: 5})
    _, second = gone_on(subscription, 4, 3)
    line = second.lines.get()
    assert prove(line).agrees
    assert [event.occurred_at for event in list_events(line, most=10)] == [SECOND] * 3
    assert check_recent(now=utc(2026, 9, 21)) == 0


def test_late_usage_of_the_first_part_changes_the_second(calls):
    subscription = subscribed({"feature": calls, "unit_amount": D(1)}, free_units={calls: 5})
    first, second = gone_on(subscription, 4, 3)
    arrive_many(2, FIRST)
    work_late(utc(2026, 9, 21))
    # 6 calls less 5 free are 1 by 14 September, and 9 less 5 are 4 in all, of which 2 are invoiced.
    assert [
        (adjustment.invoice, adjustment.amount_before, adjustment.amount_after)
        for adjustment in adjustments(subscription)
    ] == [
        (first, D(0), D(1)),
        (second, D(2), D(3)),
    ]
    bill_ended(now=utc(2026, 9, 21))
    finalize_due(now=utc(2026, 9, 21))
    assert sum(invoice.total for invoice in invoices_of(subscription)) == D(4)
    [late] = [invoice for invoice in invoices_of(subscription) if invoice.kind == "late"]
    assert all(prove(line).agrees for line in late.lines.all())


def test_a_running_total_that_was_priced_by_single_events_before_is_charged_once():
    stored = make_feature(name="Stored", event_name="stored", field="gb", reset="cumulative")
    share = {"model": "percentage", "rate_percent": D(10), "per_event_minimum": D(3)}
    subscription = subscribed({"feature": stored, **share})
    dearer = make_version({"feature": stored, "unit_amount": D(2)}, now=SEPTEMBER)
    arrive(FIRST, event_name="stored", gb=10)
    end(subscription, 15)
    [first] = invoice_at(utc(2026, 9, 15))
    end(subscription, 20)
    change_plan(subscription, dearer, at=utc(2026, 9, 16), now=utc(2026, 9, 16), by=None)
    arrive(SECOND, event_name="stored", gb=5)
    [second] = invoice_at(utc(2026, 9, 20))
    # 15 × 2 = 30, of which one event of at least 3 is invoiced
    assert [first.total, second.total] == [D(3), D(27)]
    assert prove(second.lines.get()).agrees


def test_a_running_total_after_a_free_trial_is_proved():
    stored = make_feature(name="Stored", event_name="stored", field="gb", reset="cumulative")
    subscription = subscribed(
        {"feature": stored, "model": "graduated", "tiers": [(5, D(1), D(7)), (None, D("0.10"))]},
        terms={"trial_days": 9, "anchor": SEPTEMBER},
    )
    arrive(utc(2026, 9, 3), event_name="stored", gb=10)
    end(subscription, 5)
    [trial] = invoice_at(utc(2026, 9, 5))
    end(subscription, 20)
    arrive(SECOND, event_name="stored", gb=5)
    [second] = invoice_at(utc(2026, 9, 20))
    # 7.00 + 5 × 1.00 + 10 × 0.10
    assert [trial.total, second.total] == [D(0), D(13)]
    assert prove(second.lines.get()).agrees


def test_late_usage_of_a_first_part_without_usage_leaves_the_line_of_the_rest_proved(calls):
    subscription = subscribed({"feature": calls, "unit_amount": D(1)})
    end(subscription, 15)
    invoice_at(utc(2026, 9, 15))
    end(subscription, 20)
    arrive_many(3, SECOND)
    [second] = invoice_at(utc(2026, 9, 20))
    assert lines(second) == [("API calls, 1–19 Sep 2026 · 3 calls used, 3 × $1.00", D(3))]
    arrive(FIRST)
    line = second.lines.get()
    assert (line.quantity, line.period_start) == (3, utc(2026, 9, 15))
    assert prove(line).agrees
