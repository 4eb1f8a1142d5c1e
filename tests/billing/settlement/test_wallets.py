"""Prepaid credit: granted, used by invoices, given back, expired, taken back. Never below zero, never twice."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import Error, connection, connections, transaction
from django.db.models import Sum

from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.void import reissue, void
from billing.models import CreditGrant, Invoice, Wallet, WalletEntry
from billing.settlement.wallets import (
    CannotGrant,
    CreditSpent,
    NoReason,
    WalletClosed,
    close_wallet,
    debit_wallet,
    expire_credits,
    get_or_open_wallet,
    grant_credit,
    open_wallet,
    revoke_credit,
)
from billing.tasks import expire_credits as expire_task
from customers.subscriptions import cancel
from tests.billing.adjusting import END, START, make_credit, totals
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version


@pytest.fixture
def customer(db):
    return make_customer(name="Acme")


def invoice_of(customer, amount=30):
    """Make a draft over a fee."""
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(amount)}
    subscription = make_subscription(customer=customer, plan=make_version(fee), starts_at=START, now=START)
    bill(START)
    return subscription.invoices.get()


def ledger():
    return list(WalletEntry.objects.order_by("pk").values_list("kind", "amount", "balance_after"))


def balance():
    """Return the wallet's balance, after checking that it is the sum of its entries and of what its grants hold."""
    wallet = Wallet.objects.get()
    assert wallet.balance == (wallet.entries.aggregate(sum=Sum("amount"))["sum"] or 0)
    assert wallet.balance == (wallet.grants.aggregate(sum=Sum("remaining"))["sum"] or 0)
    return wallet.balance


def test_a_grant_is_in_the_ledger_and_in_the_balance(customer):
    given = make_credit(customer, 50)
    assert (given.remaining, balance(), ledger()) == (50, 50, [("granted", 50, 50)])


def test_an_invoice_is_paid_from_credit_when_it_is_finalized(customer):
    draft = invoice_of(customer)
    make_credit(customer, 50)
    assert draft.credits_applied == 0
    done = finalize(draft, now=START)
    assert (done.credits_applied, done.amount_due, done.state, balance()) == (D(30), 0, "paid", D(20))
    assert ledger() == [("granted", 50, 50), ("applied", -30, 20)]
    finalize(draft, now=START)
    assert balance() == D(20)


def test_what_credit_leaves_is_still_to_be_paid(customer):
    make_credit(customer, 5)
    done = finalize(invoice_of(customer), now=START)
    assert (done.state, done.amount_due, balance()) == ("finalized", D(25), 0)


def test_a_draft_shows_what_would_be_used_and_the_next_one_what_is_then_left(customer):
    make_credit(customer, 40)
    assert [invoice_of(customer).credits_applied for _ in range(2)] == [D(30), D(10)]
    assert balance() == 40


def test_the_upcoming_invoice_reckons_with_what_drafts_will_use(customer):
    make_credit(customer, 40)
    draft = invoice_of(customer)
    coming = upcoming(draft.subscription_id, now=utc(2026, 9, 10)).invoice
    assert (coming.adjusted.credits, coming.adjusted.due) == (D(10), D(20))


def test_credit_that_expires_first_is_used_first_then_the_lower_priority(customer):
    later = make_credit(customer, 10, priority=2)
    sooner = make_credit(customer, 10, priority=1)
    ending = make_credit(customer, 10, priority=9, expires_at=START + timedelta(days=9))
    finalize(invoice_of(customer, 15), now=START)
    for each, left in ((ending, 0), (sooner, 5), (later, 10)):
        each.refresh_from_db()
        assert each.remaining == left


def test_wallets_of_lower_priority_are_used_first_and_other_currencies_not(customer):
    wallets = [
        open_wallet(customer, currency, by=None, name=name, priority=priority)
        for name, currency, priority in (("Reserve", "USD", 5), ("First", "USD", 1), ("Euros", "EUR", 0))
    ]
    for wallet in wallets:
        grant_credit(wallet, D(10), kind="purchased", reason="Paid", now=START, by=None)
    finalize(invoice_of(customer, 15), now=START)
    assert dict(Wallet.objects.values_list("name", "balance")) == {"Reserve": 5, "First": 0, "Euros": 10}


def test_a_void_gives_the_credit_back_once(customer):
    given = make_credit(customer, 50)
    done = finalize(invoice_of(customer), now=START)
    for _ in range(2):
        void(done, reason="Wrong", by=None, now=END)
    given.refresh_from_db()
    assert (given.remaining, balance(), ledger()[-1]) == (50, 50, ("returned", 30, 50))


def test_a_reissued_invoice_uses_the_credit_again(customer):
    make_credit(customer, 50)
    done = finalize(invoice_of(customer), now=START)
    again = finalize(reissue(done, reason="Wrong", by=None, now=START), now=START)
    assert (totals(again), balance()) == (totals(done), 20)


def test_an_invoice_below_zero_becomes_credit_once_and_a_void_takes_it_back(customer):
    opening = finalize(invoice_of(customer), now=START)
    cancel(opening.subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [draft] = bill(utc(2026, 9, 11))
    assert totals(draft)[3:] == [D(-20), D(-20), 0]
    final = finalize(draft, now=END)
    finalize(final, now=END)
    assert (final.state, totals(final)[3:], balance()) == ("paid", [D(-20), D(-20), 0], 20)
    assert CreditGrant.objects.get().reason == "INV-000002 came to -$20.00"
    void(final, reason="Wrong", by=None, now=END)
    assert (balance(), ledger()) == (0, [("granted", 20, 20), ("taken_back", -20, 0)])


@pytest.fixture
def spent(customer):
    """An invoice of -$20.00, and one of $5.00 that its credit paid."""
    opening = finalize(invoice_of(customer), now=START)
    cancel(opening.subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    final = finalize(bill(utc(2026, 9, 11))[0], now=END)
    return final, finalize(invoice_of(customer, 5), now=END)


@pytest.mark.parametrize("change", [void, reissue])
def test_an_invoice_whose_credit_is_used_is_not_voided_and_says_where_it_is(spent, change):
    final, _ = spent
    says = (
        "$5.00 of the $20.00 of prepaid credit that INV-000002 gave is used: $5.00 paid INV-000003. Void INV-000003 "
        "first, which gives it back, or let INV-000002 stand and put the difference on a one-off invoice."
    )
    with pytest.raises(CreditSpent) as refused:
        change(final, reason="Wrong", by=None, now=END)
    assert str(refused.value) == says
    final.refresh_from_db()
    assert (final.state, balance()) == ("paid", 15)


def test_an_invoice_whose_credit_is_used_is_reissued_once_what_used_it_is_void(spent):
    final, other = spent
    void(other, reason="To correct INV-000002", by=None, now=END)
    again = finalize(reissue(final, reason="Wrong address", by=None, now=END), now=END)
    assert (totals(again), balance()) == (totals(final), 20)
    other_again = finalize(reissue(other, reason="To correct INV-000002", by=None, now=END), now=END)
    assert (totals(other_again), other_again.state, balance()) == (totals(other), "paid", 15)
    assert ledger() == [
        ("granted", 20, 20), ("applied", -5, 15), ("returned", 5, 20), ("taken_back", -20, 0),
        ("granted", 20, 20), ("applied", -5, 15),
    ]  # fmt: skip


def test_what_was_taken_out_of_the_wallet_by_hand_is_named_and_leaves_a_one_off_invoice(spent):
    debit_wallet(Wallet.objects.get(), D(8), reason="Paid back by bank", now=END, by=None)
    says = (
        "$13.00 of the $20.00 of prepaid credit that INV-000002 gave is used: $5.00 paid INV-000003, $8.00 taken out "
        "of the wallet (Paid back by bank). Let INV-000002 stand and put the difference on a one-off invoice."
    )
    with pytest.raises(CreditSpent) as refused:
        void(spent[0], reason="Wrong", by=None, now=END)
    assert str(refused.value) == says


def test_credit_that_went_with_its_closed_wallet_is_named(spent):
    close_wallet(Wallet.objects.get(), reason="The customer left", now=END, by=None)
    with pytest.raises(CreditSpent, match=r"\$15\.00 taken out of the wallet \(The customer left\)"):
        void(spent[0], reason="Wrong", by=None, now=END)


def test_an_invoice_of_the_same_batch_uses_what_one_below_zero_gave(customer):
    opening = finalize(invoice_of(customer), now=START)
    cancel(opening.subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    bill(utc(2026, 9, 11))
    other = invoice_of(customer, 50)
    assert finalize_due(now=END) == 2
    other.refresh_from_db()
    assert (other.credits_applied, other.amount_due, balance()) == (D(20), D(30), 0)


def test_expired_credit_is_not_used_and_is_written_off_once(customer):
    make_credit(customer, 50, expires_at=utc(2026, 9, 10))
    make_credit(customer, 7)
    draft = invoice_of(customer)
    assert expire_credits(now=utc(2026, 9, 9)) == 0
    done = finalize(draft, now=utc(2026, 9, 10))
    assert (done.credits_applied, balance()) == (D(7), 50)
    assert [expire_credits(now=utc(2026, 9, 10)) for _ in range(2)] == [1, 0]
    assert (balance(), ledger()[-1]) == (0, ("expired", -50, 0))
    assert expire_task() == 0


def test_credit_is_taken_back_with_a_reason_and_only_what_is_left(customer):
    given = make_credit(customer, 50)
    with pytest.raises(NoReason):
        revoke_credit(given, reason=" ", now=END, by=None)
    with pytest.raises(CreditSpent, match=r"Only \$50.00 of it is left"):
        revoke_credit(given, reason="Fraud", now=END, by=None, amount=D(51))
    assert revoke_credit(given, reason="Fraud", now=END, by=None, amount=D(20)).remaining == 30
    assert [revoke_credit(given, reason="Fraud", now=END, by=None).remaining for _ in range(2)] == [0, 0]
    assert (balance(), len(ledger())) == (0, 3)


def test_a_reference_grants_once(customer):
    first, second = (make_credit(customer, 10, reference="payment-1") for _ in range(2))
    assert (first, balance()) == (second, 10)


@pytest.mark.parametrize(
    ("amount", "given", "error"),
    [
        ("0", {}, CannotGrant),
        ("-1", {}, CannotGrant),
        ("0.001", {}, CannotGrant),
        ("1", {"reason": " "}, NoReason),
        ("1", {"expires_at": START}, CannotGrant),
    ],
)
def test_what_cannot_be_granted(customer, amount, given, error):
    with pytest.raises(error):
        make_credit(customer, amount, **given)


def test_a_closed_wallet_is_empty_and_takes_nothing_more(customer):
    given = make_credit(customer, 50)
    wallet = close_wallet(given.wallet, reason="Left us", now=END, by=None)
    assert (wallet.state, wallet.balance, ledger()[-1]) == ("closed", 0, ("taken_back", -50, 0))
    assert close_wallet(wallet, reason="Again", now=END, by=None).closed_at == END
    with pytest.raises(WalletClosed):
        grant_credit(wallet, D(1), kind="purchased", reason="Paid", now=END, by=None)
    assert get_or_open_wallet(customer, "USD", by=None) != wallet


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_walletentry SET amount = 1",
        "DELETE FROM billing_walletentry",
        "UPDATE billing_wallet SET balance = 100",
        "UPDATE billing_creditgrant SET remaining = 1",
        "UPDATE billing_creditgrant SET amount = 100",
        (
            "INSERT INTO billing_walletentry (public_id, wallet_id, grant_id, kind, amount, balance_after, at, reason)"
            " SELECT 'x', wallet_id, id, 'expired', -51, 0, now(), '' FROM billing_creditgrant"
        ),
    ],
)
def test_postgresql_itself_keeps_the_ledger(customer, statement):
    make_credit(customer, 50)
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert balance() == 50


def _all_at_once(works):
    def run(work):
        work()
        connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_spend_the_same_credit():
    customer = make_customer()
    drafts = [invoice_of(customer) for _ in range(6)]
    make_credit(customer, 100)
    _all_at_once([lambda draft=draft: finalize(draft, now=START) for draft in drafts])
    # 100 pays three invoices of 30 in full and 10 of the fourth, whoever comes first.
    used = sorted(Invoice.objects.values_list("credits_applied", flat=True))
    assert used == [0, 0, D(10), D(30), D(30), D(30)]
    assert balance() == 0
    assert sorted(Invoice.objects.values_list("state", flat=True)) == ["finalized"] * 3 + ["paid"] * 3


@pytest.mark.django_db(transaction=True)
def test_finalizing_granting_voiding_and_expiring_side_by_side_keep_the_balance():
    customer = make_customer()
    make_credit(customer, 60, expires_at=utc(2026, 9, 20))
    done = finalize(invoice_of(customer), now=START)
    drafts = [invoice_of(customer) for _ in range(2)]
    works = [
        *(lambda draft=draft: finalize(draft, now=START) for draft in drafts),
        lambda: void(done, reason="Wrong", by=None, now=START),
        lambda: make_credit(customer, 5, reference="once"),
        lambda: make_credit(customer, 5, reference="once"),
        lambda: expire_credits(now=utc(2026, 9, 10)),
    ]
    _all_at_once(works)
    assert CreditGrant.objects.count() == 2
    paid = Invoice.objects.exclude(state="void").aggregate(sum=Sum("credits_applied"))["sum"]
    assert balance() == Decimal(65) - paid


@pytest.mark.django_db(transaction=True)
def test_two_runs_of_the_expiry_write_off_once():
    customer = make_customer()
    make_credit(customer, 60, expires_at=utc(2026, 9, 20))
    _all_at_once([lambda: expire_credits(now=utc(2026, 9, 20))] * 3)
    assert ledger() == [("granted", 60, 60), ("expired", -60, 0)]


def test_finalizing_many_costs_no_more_queries_for_credit(customer):
    from django.test.utils import CaptureQueriesContext

    def queries(count):
        for _ in range(count):
            owner = make_customer()
            make_credit(owner, 5)
            invoice_of(owner)
        with CaptureQueriesContext(connection) as found:
            finalize_due(now=START)
        return [query["sql"] for query in found if "billing_wallet" in query["sql"] or "creditgrant" in query["sql"]]

    assert len(queries(1)) == len(queries(4))


def test_usage_is_paid_from_credit_too(customer):
    feature = make_feature()
    version = make_version({"feature": feature, "unit_amount": D("0.01")})
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    use(customer, feature, utc(2026, 9, 5), 500)
    make_credit(customer, "2.5")
    done = finalize(bill(END)[0], now=END)
    assert totals(done)[3:] == [D(5), D("2.5"), D("2.5")]
