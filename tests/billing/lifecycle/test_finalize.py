"""Drafts are finalized, paid, voided and reissued."""

import threading
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.db import Error, IntegrityError, connection, connections, transaction

from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import delete_draft, mark_paid, reissue, void
from billing.models import Invoice, InvoiceLine, NumberSeries
from billing.refusals import CannotChange, MoneyAttached
from config.db.bulk_insert import copy_in
from config.personal_data.entries import read_entry
from config.refusals import ReasonRequired
from customers.subscriptions import cancel
from tests.billing.invoices import make_draft
from tests.billing.world import D, amounts, bill, lines, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

START = utc(2026, 9, 1)
END = utc(2026, 10, 1)


@pytest.fixture
def calls(db):
    return make_feature(name="API calls")


@pytest.fixture
def customer(db):
    return make_customer(name="Acme", address_line1="Main Street 1", net_days=14)


@pytest.fixture
def draft(customer, calls):
    """A draft over 500 calls at $0.01: $5.00."""
    make_subscription(
        customer=customer, plan=make_version({"feature": calls, "unit_amount": D("0.01")}), starts_at=START, now=START
    )
    use(customer, calls, utc(2026, 9, 5), 500)
    [invoice] = bill(END)
    return invoice


def test_finalizing_draws_the_next_number_and_copies_the_customer(draft, customer):
    by = make_user()
    done = finalize(draft, now=END, by=by)
    assert (done.number, done.state, done.finalized_by) == ("INV-000001", "finalized", by)
    assert (done.issued_at, done.due_at) == (END, END + timedelta(days=14))
    customer.name = "Acme renamed"
    customer.save()
    assert Invoice.objects.get().billed_to["name"] == "Acme"


def test_finalizing_twice_changes_nothing(draft):
    first = finalize(draft, now=END)
    again = finalize(draft, now=END + timedelta(days=1))
    assert (again.number, again.finalized_at) == (first.number, first.finalized_at)
    assert NumberSeries.objects.get().next_number == 2


def test_a_failure_leaves_no_gap_in_the_numbers(draft):
    with transaction.atomic():
        finalize(draft, now=END)
        transaction.set_rollback(True)
    assert finalize(draft, now=END).number == "INV-000001"


def test_an_invoice_of_zero_gets_a_number_and_is_paid_immediately(customer, calls):
    version = make_version({"feature": calls}, free_units={calls: 1000})
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    use(customer, calls, utc(2026, 9, 5), 10)
    [invoice] = bill(END)
    done = finalize(invoice, now=END)
    assert (done.number, done.state, done.paid_at) == ("INV-000001", "paid", END)


def test_paying_settles_the_amount_due(draft):
    finalize(draft, now=END)
    paid = mark_paid(draft, now=END, by=None)
    assert (paid.state, paid.amount_paid, paid.amount_remaining) == ("paid", D(5), 0)
    with pytest.raises(MoneyAttached):
        void(paid, reason="Wrong", by=None, now=END)


def test_a_subscriptions_draft_cant_be_paid_voided_or_deleted(draft):
    for refused in (
        lambda: mark_paid(draft, now=END, by=None),
        lambda: void(draft, reason="Wrong", by=None, now=END),
        lambda: delete_draft(draft),
    ):
        with pytest.raises(CannotChange):
            refused()


def test_voiding_requires_a_reason_and_records_it_in_the_history(draft):
    finalize(draft, now=END)
    with pytest.raises(ReasonRequired):
        void(draft, reason=" ", by=None, now=END)
    by = make_user()
    done = void(draft, reason="Wrong customer", by=by, now=END)
    assert (done.state, done.number, done.void_reason) == ("void", "INV-000001", "Wrong customer")
    entry = read_entry(LogEntry.objects.get_for_object(draft).first())
    assert (entry.actor, entry.additional_data["reason"]) == (by, "Wrong customer")


def test_a_reissued_invoice_equals_the_first(draft):
    finalize(draft, now=END)
    replacement = reissue(draft, reason="Wrong address", by=None, now=END)
    assert (replacement.replaces, replacement.state, replacement.total) == (draft, "draft", D(5))
    assert lines(replacement) == lines(draft)
    assert (replacement.period_start, replacement.kind) == (draft.period_start, draft.kind)
    assert reissue(draft, reason="Again", by=None, now=END) == replacement


def test_a_reissued_invoice_includes_usage_since_the_first(draft, customer, calls):
    finalize(draft, now=END)
    use(customer, calls, utc(2026, 9, 6), 100)
    assert reissue(draft, reason="Late events", by=None, now=END).total == D(6)


def test_a_fee_is_reissued_unchanged_even_if_a_later_invoice_corrected_it(customer):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}
    subscription = make_subscription(customer=customer, plan=make_version(fee), starts_at=START, now=START)
    [opening] = bill(START)
    finalize(opening, now=START)
    cancel(subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [final] = bill(utc(2026, 9, 11))
    assert amounts(final) == [D(-20)]
    again = reissue(opening, reason="Lost", by=None, now=utc(2026, 9, 12))
    # What is due is $10 by now; the final invoice holds -$20 of it, so $30 it is, as before.
    assert again.total == D(30)


def test_recalculating_a_draft_includes_new_usage(draft, customer, calls):
    use(customer, calls, utc(2026, 9, 6), 250)
    fresh = recompute(draft, now=END + timedelta(hours=1))
    assert (fresh.total, amounts(fresh), fresh.computed_at) == (D("7.5"), [D("7.5")], END + timedelta(hours=1))


def test_recalculating_a_finalized_invoice_is_refused(draft):
    finalize(draft, now=END)
    with pytest.raises(CannotChange):
        recompute(draft, now=END)


def test_drafts_are_finalized_when_their_grace_period_is_over(draft, customer, calls, settings):
    use(customer, calls, utc(2026, 9, 6), 100)
    Invoice.objects.update(finalize_at=END + timedelta(days=3))
    assert finalize_due(now=END + timedelta(days=2)) == 0
    assert finalize_due(now=END + timedelta(days=3)) == 1
    done = Invoice.objects.get()
    assert (done.state, done.total) == ("finalized", D(6))
    assert finalize_due(now=END + timedelta(days=4)) == 0


def test_drafts_of_one_subscription_are_recalculated_in_order_and_dont_change(customer, calls):
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}
    version = make_version(fee, {"feature": calls, "unit_amount": D("0.01")})
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    use(customer, calls, utc(2026, 9, 5), 500)
    bill(END)
    assert finalize_due(now=END) == 2
    assert list(Invoice.objects.order_by("number").values_list("number", "total")) == [
        ("INV-000001", D(30)),
        ("INV-000002", D(35)),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total = total + 1, subtotal = subtotal + 1, amount_due = amount_due + 1",
        "UPDATE billing_invoice SET billed_to = '{}'",
        "UPDATE billing_invoice SET state = 'draft', number = NULL, finalized_at = NULL",
        "DELETE FROM billing_invoice",
        "UPDATE billing_invoiceline SET amount = 0",
        "UPDATE billing_invoiceline SET description = 'Discount'",
        "DELETE FROM billing_invoiceline",
    ],
)
def test_the_database_refuses_to_change_a_finalized_invoice(draft, statement):
    finalize(draft, now=END)
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Invoice.objects.get().total == D(5)


@pytest.mark.django_db(transaction=True)
def test_concurrent_finalizing_leaves_no_gap_in_the_numbers(calls):
    version = make_version({"feature": calls, "unit_amount": D("0.01")})
    for _ in range(8):
        customer = make_customer()
        make_subscription(customer=customer, plan=version, starts_at=START, now=START)
        use(customer, calls, utc(2026, 9, 5), 100)
    drafts = bill(END)

    def work(thread_drafts):
        for invoice in thread_drafts:
            finalize(invoice, now=END)
        connections.close_all()

    # Each thread has half of the drafts, and all of them the middle ones.
    threads = [
        threading.Thread(target=work, args=(thread_drafts,)) for thread_drafts in (drafts[:6], drafts[2:], drafts[2:6])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(str(number) for number in Invoice.objects.values_list("number", flat=True))
    assert numbers == [f"INV-{n:06d}" for n in range(1, 9)]


def test_no_line_can_be_added_to_a_finalized_invoice(draft, customer):
    line = draft.lines.get()
    other = Invoice.objects.create(customer=customer, kind="one_off", currency="USD", computed_at=END)
    item = InvoiceLine(invoice=other, position=1, kind="item", description="By hand", amount=D(0))
    item.save()
    finalize(draft, now=END)
    added = [InvoiceLine(invoice=draft, position=number, kind="item", amount=D(1)) for number in (8, 9)]
    ways = (
        added[0].save,
        lambda: copy_in(added),
        lambda: InvoiceLine.objects.filter(pk=item.pk).update(invoice=draft, position=7),
        lambda: InvoiceLine.objects.filter(pk=line.pk).update(invoice=other, position=2),
        lambda: InvoiceLine.objects.filter(pk=line.pk).update(amount=D(1)),
        lambda: InvoiceLine.objects.filter(pk=line.pk).delete(),
    )
    for way in ways:
        with pytest.raises(IntegrityError, match="lines of a finalized invoice never change"), transaction.atomic():
            way()
    assert list(draft.lines.all()) == [line]


def test_a_refused_draft_is_put_on_hold_and_the_others_are_finalized(db):
    strange, good = make_draft("-5", currency="ZZZ", finalize_at=END), make_draft("7", finalize_at=END)
    assert finalize_due(now=END) == 1
    good.refresh_from_db()
    strange.refresh_from_db()
    assert (good.state, good.number) == ("finalized", "INV-000001")
    assert (strange.state, strange.held_at) == ("draft", END)
    assert strange.hold_reason == "It couldn't be finalized: 'ZZZ' is not an ISO 4217 currency code"
    assert finalize_due(now=END) == 0


def test_a_negative_invoice_in_a_former_currency_becomes_credit(db):
    kuna = make_draft("-5", currency="HRK", finalize_at=END)
    assert finalize_due(now=END) == 1
    wallet = kuna.customer.wallets.get()
    assert (wallet.currency, wallet.balance) == ("HRK", D(5))
