"""The figures and the revenue of the Home page: by currency, after discounts, voids and credit notes, without tax."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import void
from billing.month_end.months import Month
from billing.overview import figures as home_figures
from billing.overview.figures import figures, upcoming_totals
from billing.overview.revenue import RevenuePart, revenue_by_month
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from tests.billing.invoices import make_draft
from tests.factories import make_subscription

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MONTHS = [Month(date(2026, 2, 1)), Month(date(2026, 3, 1))]
ITEMS = RevenuePart("", "One-off items and credits")


def test_revenue_of_a_month_is_reduced_by_its_voids_and_credit_notes():
    invoice = finalize(make_draft("100"), now=NOW)
    voided = finalize(make_draft("30"), now=datetime(2026, 2, 5, tzinfo=UTC))
    void(voided, reason="Wrong customer", now=NOW, by=None)
    note = draft_credit_note(invoice, {invoice.lines.get().pk: Decimal(40)}, reason="duplicate", by=None)
    finalize_credit_note(note, now=NOW, by=None)
    assert revenue_by_month(MONTHS) == {"USD": {ITEMS: [Decimal(30), Decimal(30)]}}


def test_months_without_invoices_have_no_revenue():
    assert revenue_by_month(MONTHS) == {}


def test_figures_compare_this_month_with_the_month_before():
    finalize(make_draft("100"), now=NOW)
    finalize(make_draft("30"), now=datetime(2026, 2, 5, tzinfo=UTC))
    totals = figures(now=datetime(2026, 3, 20, tzinfo=UTC))
    assert totals.invoiced == {"USD": Decimal(100)}
    assert totals.invoiced_before == {"USD": Decimal(30)}
    assert totals.open == {"USD": Decimal(130)}
    assert totals.overdue == {"USD": Decimal(30)}


def test_upcoming_revenue_is_in_the_month_in_which_it_is_due():
    make_subscription(starts_at=datetime(2026, 3, 1, tzinfo=UTC))
    totals = upcoming_totals(now=NOW)
    assert totals.subscriptions == 1
    assert {month: amount for (_, month), amount in totals.revenue.items()} == {
        Month(date(2026, 3, 1)): Decimal(10),
        Month(date(2026, 4, 1)): Decimal(10),
    }
    assert totals.total == {"USD": Decimal(20)}


def test_upcoming_isnt_calculated_for_too_many_subscriptions(monkeypatch):
    monkeypatch.setattr(home_figures, "MOST_UPCOMING", 1)
    make_subscription()
    assert upcoming_totals(now=NOW) is not None
    make_subscription()
    assert upcoming_totals(now=NOW) is None
