"""Draft review: counts and totals, comparison with the previous period, drafts on hold; unpaid amounts by age."""

from datetime import timedelta

import pytest

from billing.invoicing.numbering import set_default_series
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.review import finalize_many, hold, most_changed_first, release, total_drafts, with_previous
from billing.lifecycle.void import mark_paid, void
from billing.models import Invoice, NumberSeries
from billing.refusals import CannotChange
from billing.settlement.aging import BUCKETS, read_row, sum_by_currency, sum_by_customer, unpaid_invoices
from billing.settlement.payments import Receipt, record_payment
from config.refusals import ReasonRequired
from tests.billing.invoices import ISSUED, later, make_draft, make_finalized
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
NOW = later()


def test_drafts_are_counted_and_totaled_by_currency():
    make_draft("10.50")
    hold(make_draft("4.25"), reason="Ask first", now=NOW, by=None)
    make_draft("900", currency="JPY")
    make_finalized("7")
    assert [(row.currency, row.drafts, row.held, row.total) for row in total_drafts()] == [
        ("JPY", 1, 0, D(900)),
        ("USD", 2, 1, D("14.75")),
    ]


def test_a_draft_is_compared_with_the_previous_periods_invoice():
    calls = make_feature(name="API calls")
    customer = make_customer()
    version = make_version({"feature": calls, "unit_amount": D("0.01")})
    make_subscription(customer=customer, plan=version, starts_at=utc(2026, 8, 1), now=utc(2026, 8, 1))
    use(customer, calls, utc(2026, 8, 5), 500)
    use(customer, calls, utc(2026, 9, 5), 700)
    [august] = bill(utc(2026, 9, 1))
    [september] = bill(utc(2026, 10, 1))
    annotated = {row.pk: row for row in with_previous(Invoice.objects.drafts())}
    later_draft, first_draft = annotated[september.pk], annotated[august.pk]
    assert (later_draft.before_id, later_draft.before_total, later_draft.change) == (august.pk, D(5), D(2))
    assert (first_draft.before_id, first_draft.change) == (None, None)
    assert [row.pk for row in most_changed_first(with_previous(Invoice.objects.drafts()))] == [september.pk, august.pk]
    void(finalize(august, now=NOW), reason="Wrong", by=None, now=NOW)
    assert with_previous(Invoice.objects.drafts()).get().before_id is None


def test_a_draft_on_hold_isnt_finalized_until_it_is_released():
    draft, by = make_draft("10", finalize_at=ISSUED), make_user()
    with pytest.raises(ReasonRequired):
        hold(draft, reason=" ", now=NOW, by=by)
    held = hold(draft, reason="Price is disputed", now=NOW, by=by)
    assert (held.held_at, held.held_by, held.hold_reason) == (NOW, by, "Price is disputed")
    assert finalize_due(now=NOW) == 0
    with pytest.raises(CannotChange, match="on hold: Price is disputed"):
        finalize(draft, now=NOW)
    assert release(draft, now=NOW, by=by).held_at is None
    assert finalize_due(now=NOW) == 1
    with pytest.raises(CannotChange, match="only a draft"):
        hold(draft, reason="Late", now=NOW, by=by)


def test_finalizing_many_reports_the_result_of_each():
    ready, held, done = make_draft("10"), make_draft("20"), make_finalized("30")
    hold(held, reason="Price is disputed", now=NOW, by=None)
    outcomes = finalize_many(Invoice.objects.order_by("-pk"), now=NOW, by=None)
    assert [(row.invoice.pk, row.invoice.number, row.skipped) for row in outcomes] == [
        (ready.pk, "INV-000002", ""),
        (held.pk, None, "on hold: Price is disputed"),
        (done.pk, "INV-000001", "already finalized"),
    ]


def test_changing_the_default_series_keeps_earlier_numbers():
    first = make_finalized("1")
    yearly = NumberSeries.objects.create(name="2027", prefix="2027-")
    set_default_series(yearly, by=None)
    assert (make_finalized("1").number, first.number) == ("2027-000001", "INV-000001")
    assert NumberSeries.objects.get(used_for="invoice", is_default=True) == yearly


# Due on 31 October 2026 at 0:00
@pytest.mark.parametrize(
    ("days", "age"),
    [(0, "current"), (1, "1-30"), (30, "1-30"), (31, "31-60"), (60, "31-60"), (90, "61-90"), (91, "over-90")],
)
def test_an_invoice_ages_from_its_due_date(days, age):
    invoice = make_finalized("100")
    at = invoice.due_at + timedelta(days=days)
    assert [row.bucket for row in unpaid_invoices(at)] == [age]


def test_unpaid_amounts_are_totaled_by_customer_currency_and_age():
    acme, zen = make_customer(name="Acme", external_id="acme"), make_customer(name="Zen")
    part = make_finalized("100", customer=acme)
    record_payment(part, Receipt(D(40), NOW.date()), now=NOW, by=None)
    make_finalized("5", customer=acme, due_at=later(70))
    make_finalized("900", customer=acme, currency="JPY")
    make_finalized("7", customer=zen)
    make_finalized("1", customer=zen, currency="EUR")
    mark_paid(make_finalized("1000", customer=zen), now=NOW)
    at = ISSUED + timedelta(days=30 + 31)
    rows = [read_row(customer_rows) for customer_rows in sum_by_customer(at)]
    assert [(row.name, row.currency, [row.amounts[bucket] for bucket in BUCKETS], row.invoices) for row in rows] == [
        ("Zen", "EUR", [0, 0, 1, 0, 0], 1),  # the least: amounts of different currencies aren't compared
        ("Acme", "JPY", [0, 0, 900, 0, 0], 1),
        ("Acme", "USD", [5, 0, 60, 0, 0], 2),
        ("Zen", "USD", [0, 0, 7, 0, 0], 1),
    ]
    assert sum_by_currency(at) == {
        "EUR": {"current": 0, "1-30": 0, "31-60": 1, "61-90": 0, "over-90": 0},
        "JPY": {"current": 0, "1-30": 0, "31-60": 900, "61-90": 0, "over-90": 0},
        "USD": {"current": 5, "1-30": 0, "31-60": 67, "61-90": 0, "over-90": 0},
    }
    assert sum(row.total for row in rows if row.currency == "USD") == D(72)
