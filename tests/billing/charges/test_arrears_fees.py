"""An arrears fee is charged once, by its own period's invoice, whatever happens to other invoices."""

from datetime import timedelta

import pytest

from billing.lifecycle.finalize import finalize_due
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue
from customers.subscriptions import cancel, change_plan
from tests.billing.world import D, amounts, bill, invoices_of, lines, utc
from tests.factories import make_subscription, make_version

pytestmark = pytest.mark.django_db

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1), utc(2026, 12, 1)
GRACE = timedelta(days=2)
PLATFORM = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D("9.99"), "name": "Platform"}
SUPPORT = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D("4.95"), "name": "Support"}
MONTHLY = [D("4.95"), D("9.99")]


@pytest.fixture
def subscription(db):
    """$9.99 a month in advance and $4.95 in arrears, from 1 September 2026."""
    return make_subscription(plan=make_version(PLATFORM, SUPPORT), starts_at=SEPTEMBER, now=SEPTEMBER)


def live(subscription):
    """Return a subscription's invoices that aren't void, by period."""
    return list(subscription.invoices.exclude(state="void").order_by("period_end", "kind", "pk"))


def test_a_backdated_subscription_can_be_billed_and_finalized_in_one_run(subscription):
    bill(DECEMBER)
    finalize_due(now=DECEMBER + GRACE)
    assert [amounts(invoice) for invoice in invoices_of(subscription)] == [[D("9.99")], MONTHLY, MONTHLY, MONTHLY]


def test_drafts_of_two_periods_dont_change_when_finalized_together(subscription):
    bill(OCTOBER)
    bill(NOVEMBER)
    said = [lines(invoice) for invoice in invoices_of(subscription)]
    finalize_due(now=NOVEMBER + GRACE)
    assert [lines(invoice) for invoice in invoices_of(subscription)] == said
    assert said[1] == [("Support, 1–30 Sep 2026", D("4.95")), ("Platform, 1–31 Oct 2026", D("9.99"))]


def test_recalculating_a_draft_after_the_next_periods_invoice_doesnt_change_it(subscription):
    bill(NOVEMBER)
    for invoice in invoices_of(subscription):
        recompute(invoice, now=NOVEMBER)
    assert [amounts(invoice) for invoice in invoices_of(subscription)] == [[D("9.99")], MONTHLY, MONTHLY]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_reissued_invoice_equals_the_first_even_if_later_periods_are_invoiced(subscription, place):
    for month in (OCTOBER, NOVEMBER, DECEMBER):
        bill(month)
        finalize_due(now=month + GRACE)
    chosen = invoices_of(subscription)[place]
    again = reissue(chosen, reason="Wrong address", by=None, now=DECEMBER)
    finalize_due(now=DECEMBER + 2 * GRACE)
    assert lines(again) == lines(chosen)


def test_an_end_before_invoiced_periods_credits_their_arrears_fees(subscription):
    for month in (OCTOBER, NOVEMBER, DECEMBER):
        bill(month)
        finalize_due(now=month + GRACE)
    cancel(subscription, at=OCTOBER, now=DECEMBER, by=None, reason="Agreed")
    [final] = bill(DECEMBER)
    # All that October, November and December were invoiced for: the fees of three months, the arrears of two.
    assert final.total == D("-39.87")
    assert sum(invoice.total for invoice in live(subscription)) == D("14.94")


def test_drafts_finalized_together_credit_a_plan_change_once(subscription):
    """The change is recorded when October's fee stands on a draft, and credited by the next: $9.99 × 15/31 = $4.83."""
    bill(OCTOBER)
    better = make_version({**PLATFORM, "unit_amount": D(31), "name": "Better"}, name="Better")
    change_plan(subscription, better, at=utc(2026, 10, 17), now=utc(2026, 10, 17), by=None)
    bill(NOVEMBER)
    said = [invoice.total for invoice in invoices_of(subscription)]
    finalize_due(now=NOVEMBER + GRACE)
    first, second, third = invoices_of(subscription)
    assert [first.total, second.total, third.total] == said
    assert lines(second) == [
        ("Support, 1–30 Sep 2026", D("4.95")),
        ("Platform, 1–16 Oct 2026: 16 of 31 days plus $4.83 that another invoice credits", D("9.99")),
    ]
    # October's rest of the old plan and Support for 16 of 31 days ($2.55), 15 of 31 days of Better, and November's fee.
    assert sorted(amounts(third)) == [D("-4.83"), D("2.55"), D("15.00"), D("31.00")]
