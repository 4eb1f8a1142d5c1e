"""An end that is moved to and fro, with invoices in between: what all of them come to is what is due in the end.

An end can be moved only until it has come, by the clock of whoever moves it; a run by a faster clock, or at that very
moment, has then invoiced it. $30 a month in advance, and $6 in arrears, from 1 September 2026.
"""

import pytest

from billing.lifecycle.finalize import finalize_due
from billing.lifecycle.void import reissue, void
from billing.models import InvoiceState
from customers.subscriptions import cancel, withdraw_scheduled_change
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, amounts, bill, invoices_of, lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
ADVANCE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform"}
ARREARS = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(6), "name": "Support"}


def subscribed(*prices):
    subscription = make_subscription(plan=make_version(*prices), starts_at=SEPTEMBER, now=SEPTEMBER)
    bill(SEPTEMBER)
    return subscription


def end(subscription, *day):
    """Move the end, by a clock that shows 2 September."""
    cancel(subscription, at=utc(2026, *day), now=utc(2026, 9, 2), by=None, reason="Agreed")


def charged(subscription):
    """Add up what a subscription's live invoices come to."""
    return sum(invoice.total for invoice in subscription.invoices.exclude(state=InvoiceState.VOID))


def test_an_end_that_moves_before_its_second_invoice_is_settled():
    subscription = subscribed(ADVANCE)
    for day in (15, 20, 15):
        end(subscription, 9, day)
        bill(utc(2026, 9, 20) if day == 20 else utc(2026, 9, 15))
    bill(utc(2026, 9, 20))
    # 14 of 30 days: 30 - 16; five days more; five days less.
    assert [amounts(invoice) for invoice in invoices_of(subscription)] == [[D(30)], [D(-16)], [D(5)], [D(-5)]]


@pytest.mark.parametrize(
    ("days", "due"), [((15, 20, 15, 20), 19), ((15, 20, 15, 20, 15), 14), ((20, 10, 20, 10), 9), ((15, 20, 1), 0)]
)
def test_the_days_before_an_end_are_charged_however_often_it_moves(days, due):
    subscription = subscribed(ADVANCE)
    for day in days:
        end(subscription, 9, day)
        bill(utc(2026, 9, 20))
    assert charged(subscription) == D(due)
    assert bill(utc(2026, 9, 20)) == []


def test_settlements_that_are_still_drafts_add_up_too():
    subscription = subscribed(ADVANCE)
    for day in (15, 20, 15, 20, 15):
        end(subscription, 9, day)
        bill(utc(2026, 9, 20))
    finalize_due(now=OCTOBER)
    assert charged(subscription) == D(14)


def test_an_end_that_moves_later_charges_the_refunded_periods_again():
    subscription = subscribed(ADVANCE, ARREARS)
    bill(NOVEMBER)
    assert charged(subscription) == D(102)  # three months in advance, two in arrears
    end(subscription, 9, 16)
    [settled] = bill(NOVEMBER)
    # 15 of 30 days of each fee are due: 15 + 3
    assert (settled.kind, charged(subscription)) == ("final", D(18))
    end(subscription, 11, 16)
    [final] = bill(utc(2026, 11, 16))
    assert lines(final)[:2] == [
        ("Platform, 1–30 Sep 2026: 30 of 30 days less $15.00 invoiced before", D(15)),
        ("Support, 1–30 Sep 2026: 30 of 30 days less $3.00 invoiced before", D(3)),
    ]
    # September and October in full, November's 15 of 30 days.
    assert charged(subscription) == D("90")
    finalize_due(now=DECEMBER)
    assert charged(subscription) == D("90")


def test_an_end_that_moves_past_a_period_is_billed_when_the_period_ends():
    subscription = subscribed(ADVANCE)
    end(subscription, 9, 15)
    bill(utc(2026, 9, 15))
    end(subscription, 11, 20)
    [september] = bill(OCTOBER)
    # September's 16 days that were given back, and October.
    assert (september.kind, amounts(september)) == ("cycle", [D(16), D(30)])


def test_a_reissued_rest_of_a_period_includes_all_charges_of_the_period():
    subscription = subscribed(ADVANCE)
    invoice_at(OCTOBER)
    end(subscription, 10, 15)
    invoice_at(utc(2026, 10, 15))
    withdraw_scheduled_change(subscription, now=utc(2026, 9, 2), by=None, reason="Stays")
    [rest] = invoice_at(NOVEMBER)
    # October's 17 of 31 days that were given back, and November.
    assert amounts(rest) == [D("16.45"), D(30)]
    invoice_at(DECEMBER)
    again = reissue(rest, reason="Wrong address", by=None, now=DECEMBER)
    assert lines(again) == lines(rest)


def test_a_revoked_end_charges_the_refund_again():
    subscription = subscribed(ADVANCE, ARREARS)
    bill(NOVEMBER)
    end(subscription, 9, 16)
    bill(NOVEMBER)
    withdraw_scheduled_change(subscription, now=utc(2026, 9, 2), by=None, reason="Stays")
    bill(DECEMBER)
    # Four months in advance, three in arrears.
    assert charged(subscription) == D(138)
    finalize_due(now=utc(2026, 12, 5))
    assert charged(subscription) == D(138)
    for invoice in invoices_of(subscription):
        reissue(invoice, reason="Wrong address", by=None, now=utc(2026, 12, 5))
    assert charged(subscription) == D(138)


@pytest.fixture
def agreed(db):
    """End a subscription on 1 October, agreed in November, when October's two calls are invoiced already."""
    calls = make_feature(name="API calls")
    customer = make_customer(external_id="acme")
    version = make_version(ADVANCE, {"feature": calls, "unit_amount": D("0.25")})
    subscription = make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)
    arrive_many(2, utc(2026, 10, 20))
    invoice_at(NOVEMBER)
    now = utc(2026, 11, 3)
    cancel(subscription, at=OCTOBER, now=now, by=None, reason="Agreed")
    invoice_at(now)
    return subscription


def test_late_usage_after_the_end_is_compared_with_its_own_invoice(agreed):
    settlement = invoices_of(agreed)[-1]
    assert (settlement.kind, settlement.period_start, settlement.total) == ("final", OCTOBER, D(-60))
    arrive(utc(2026, 10, 21))
    work_late(utc(2026, 11, 4))
    [late] = adjustments(agreed)
    assert (late.amount_before, late.amount_after) == (D("0.50"), D("0.75"))


def test_voiding_a_settlement_leaves_late_usage_of_the_period_that_begins_there(agreed):
    arrive(utc(2026, 10, 21))
    work_late(utc(2026, 11, 4))
    void(invoices_of(agreed)[-1], reason="Not agreed after all", by=None, now=utc(2026, 11, 4))
    assert [each.state for each in adjustments(agreed)] == ["waiting"]
