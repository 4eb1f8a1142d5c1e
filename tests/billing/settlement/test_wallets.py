"""Prepaid credit is granted, used by invoices, returned, expired and revoked; never negative, never twice."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import Error, connection, connections, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.void import reissue, void
from billing.models import CreditGrant, Invoice, Wallet, WalletEntry
from billing.settlement.credit_expiry import expire_credits
from billing.settlement.wallets import (
    CannotGrant,
    CreditSpent,
    WalletClosed,
    close_wallet,
    debit_wallet,
    get_or_open_wallet,
    grant_credit,
    open_wallet,
    revoke_credit,
)
from billing.tasks import expire_credits as expire_task
from config.refusals import ReasonRequired
from customers.subscriptions import cancel
from tests.billing.adjusting import END, START, make_credit, totals
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version
from tests.owner import as_owner


@pytest.fixture
def customer(db):
    return make_customer(name="Acme")


def invoice_of(customer, amount=30):
    """Make a draft invoice for a fee."""
    fee = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(amount)}
    subscription = make_subscription(customer=customer, plan=make_version(fee), starts_at=START, now=START)
    bill(START)
    return subscription.invoices.get()


def ledger():
    return list(WalletEntry.objects.order_by("pk").values_list("kind", "amount", "balance_after"))


def balance():
    """Return the wallet's balance, after checking that it is the sum of its entries and of its grants."""
    wallet = Wallet.objects.get()
    assert wallet.balance == (wallet.entries.aggregate(sum=Sum("amount"))["sum"] or 0)
    assert wallet.balance == (wallet.grants.aggregate(sum=Sum("remaining"))["sum"] or 0)
    return wallet.balance


def test_a_grant_adds_a_ledger_entry_and_increases_the_balance(customer):
    grant = make_credit(customer, 50)
    assert (grant.remaining, balance(), ledger()) == (50, 50, [("granted", 50, 50)])


def test_an_invoice_uses_credit_when_it_is_finalized(customer):
    draft = invoice_of(customer)
    make_credit(customer, 50)
    assert draft.credits_applied == 0
    invoice = finalize(draft, now=START)
    assert (invoice.credits_applied, invoice.amount_due, invoice.state, balance()) == (D(30), 0, "paid", D(20))
    assert ledger() == [("granted", 50, 50), ("applied", -30, 20)]
    finalize(draft, now=START)
    assert balance() == D(20)


def test_the_amount_that_credit_does_not_cover_is_due(customer):
    make_credit(customer, 5)
    invoice = finalize(invoice_of(customer), now=START)
    assert (invoice.state, invoice.amount_due, balance()) == ("finalized", D(25), 0)


def test_drafts_show_the_credit_they_would_use_in_order(customer):
    make_credit(customer, 40)
    assert [invoice_of(customer).credits_applied for _ in range(2)] == [D(30), D(10)]
    assert balance() == 40


def test_the_upcoming_invoice_accounts_for_the_credit_that_drafts_will_use(customer):
    make_credit(customer, 40)
    draft = invoice_of(customer)
    upcoming_invoice = upcoming(draft.subscription_id, now=utc(2026, 9, 10)).invoice
    assert (upcoming_invoice.adjusted.credits, upcoming_invoice.adjusted.due) == (D(10), D(20))


def test_credit_that_expires_first_is_used_first_then_the_lower_priority(customer):
    later = make_credit(customer, 10, priority=2)
    sooner = make_credit(customer, 10, priority=1)
    ending = make_credit(customer, 10, priority=9, expires_at=START + timedelta(days=9))
    finalize(invoice_of(customer, 15), now=START)
    for grant, remaining in ((ending, 0), (sooner, 5), (later, 10)):
        grant.refresh_from_db()
        assert grant.remaining == remaining


def test_wallets_are_used_by_priority_and_only_in_the_invoices_currency(customer):
    wallets = [
        open_wallet(customer, currency, by=None, name=name, priority=priority)
        for name, currency, priority in (("Reserve", "USD", 5), ("First", "USD", 1), ("Euros", "EUR", 0))
    ]
    for wallet in wallets:
        grant_credit(wallet, D(10), kind="purchased", reason="Paid", now=START, by=None)
    finalize(invoice_of(customer, 15), now=START)
    assert dict(Wallet.objects.values_list("name", "balance")) == {"Reserve": 5, "First": 0, "Euros": 10}


def test_voiding_an_invoice_returns_its_credit_once(customer):
    grant = make_credit(customer, 50)
    invoice = finalize(invoice_of(customer), now=START)
    for _ in range(2):
        void(invoice, reason="Wrong", by=None, now=END)
    grant.refresh_from_db()
    assert (grant.remaining, balance(), ledger()[-1]) == (50, 50, ("returned", 30, 50))


def test_a_reissued_invoice_uses_the_credit_again(customer):
    make_credit(customer, 50)
    invoice = finalize(invoice_of(customer), now=START)
    replacement = finalize(reissue(invoice, reason="Wrong", by=None, now=START), now=START)
    assert (totals(replacement), balance()) == (totals(invoice), 20)


def test_a_negative_invoice_grants_credit_once_and_voiding_it_revokes_the_credit(customer):
    opening = finalize(invoice_of(customer), now=START)
    cancel(opening.subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    [draft] = bill(utc(2026, 9, 11))
    assert totals(draft)[3:] == [D(-20), D(-20), 0]
    final = finalize(draft, now=END)
    finalize(final, now=END)
    assert (final.state, totals(final)[3:], balance()) == ("paid", [D(-20), D(-20), 0], 20)
    assert CreditGrant.objects.get().reason == "INV-000002 totals -$20.00"
    void(final, reason="Wrong", by=None, now=END)
    assert (balance(), ledger()) == (0, [("granted", 20, 20), ("taken_back", -20, 0)])


@pytest.fixture
def spent(customer):
    """An invoice of -$20.00, and an invoice of $5.00 paid with its credit."""
    opening = finalize(invoice_of(customer), now=START)
    cancel(opening.subscription, at=utc(2026, 9, 11), now=utc(2026, 9, 11), by=None)
    final = finalize(bill(utc(2026, 9, 11))[0], now=END)
    return final, finalize(invoice_of(customer, 5), now=END)


@pytest.mark.parametrize("change", [void, reissue])
def test_an_invoice_whose_credit_is_spent_cannot_be_voided_and_the_message_names_the_uses(spent, change):
    final, _ = spent
    message = (
        "$5.00 of the $20.00 of prepaid credit that INV-000002 granted is spent: $5.00 paid INV-000003. Void "
        "INV-000003 first, which returns the credit, or keep INV-000002 and charge the difference with a one-off "
        "invoice."
    )
    with pytest.raises(CreditSpent) as refused:
        change(final, reason="Wrong", by=None, now=END)
    assert str(refused.value) == message
    final.refresh_from_db()
    assert (final.state, balance()) == ("paid", 15)


def test_an_invoice_whose_credit_is_spent_can_be_reissued_after_the_uses_are_voided(spent):
    final, other = spent
    void(other, reason="To correct INV-000002", by=None, now=END)
    replacement = finalize(reissue(final, reason="Wrong address", by=None, now=END), now=END)
    assert (totals(replacement), balance()) == (totals(final), 20)
    other_replacement = finalize(reissue(other, reason="To correct INV-000002", by=None, now=END), now=END)
    assert (totals(other_replacement), other_replacement.state, balance()) == (totals(other), "paid", 15)
    assert ledger() == [
        ("granted", 20, 20), ("applied", -5, 15), ("returned", 5, 20), ("taken_back", -20, 0),
        ("granted", 20, 20), ("applied", -5, 15),
    ]  # fmt: skip


def test_credit_revoked_by_hand_is_named_when_its_invoice_cannot_be_voided(spent):
    debit_wallet(Wallet.objects.get(), D(8), reason="Paid back by bank", now=END, by=None)
    message = (
        "$13.00 of the $20.00 of prepaid credit that INV-000002 granted is spent: $5.00 paid INV-000003, $8.00 was "
        "taken from the wallet (Paid back by bank). Keep INV-000002 and charge the difference with a one-off invoice."
    )
    with pytest.raises(CreditSpent) as refused:
        void(spent[0], reason="Wrong", by=None, now=END)
    assert str(refused.value) == message


def test_credit_revoked_by_closing_the_wallet_is_named_when_its_invoice_cannot_be_voided(spent):
    close_wallet(Wallet.objects.get(), reason="The customer left", now=END, by=None)
    with pytest.raises(CreditSpent, match=r"\$15\.00 was taken from the wallet \(The customer left\)"):
        void(spent[0], reason="Wrong", by=None, now=END)


def test_an_invoice_uses_the_credit_of_a_negative_invoice_in_the_same_batch(customer):
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
    invoice = finalize(draft, now=utc(2026, 9, 10))
    assert (invoice.credits_applied, balance()) == (D(7), 50)
    assert [expire_credits(now=utc(2026, 9, 10)) for _ in range(2)] == [1, 0]
    assert (balance(), ledger()[-1]) == (0, ("expired", -50, 0))
    assert expire_task() == 0


def test_revoking_credit_needs_a_reason_and_is_limited_to_the_remaining_credit(customer):
    grant = make_credit(customer, 50)
    with pytest.raises(ReasonRequired):
        revoke_credit(grant, reason=" ", now=END, by=None)
    with pytest.raises(CreditSpent, match=r"Only \$50.00 of this credit remains"):
        revoke_credit(grant, reason="Fraud", now=END, by=None, amount=D(51))
    assert revoke_credit(grant, reason="Fraud", now=END, by=None, amount=D(20)).remaining == 30
    assert [revoke_credit(grant, reason="Fraud", now=END, by=None).remaining for _ in range(2)] == [0, 0]
    assert (balance(), len(ledger())) == (0, 3)


def test_a_reference_grants_credit_once(customer):
    first, second = (make_credit(customer, 10, reference="payment-1") for _ in range(2))
    assert (first, balance()) == (second, 10)


@pytest.mark.parametrize(
    ("amount", "options", "error"),
    [
        ("0", {}, CannotGrant),
        ("-1", {}, CannotGrant),
        ("0.001", {}, CannotGrant),
        ("1", {"reason": " "}, ReasonRequired),
        ("1", {"expires_at": START}, CannotGrant),
    ],
)
def test_credit_needs_a_valid_amount_a_reason_and_a_future_expiry(customer, amount, options, error):
    with pytest.raises(error):
        make_credit(customer, amount, **options)


def test_a_closed_wallet_is_empty_and_receives_no_credit(customer):
    grant = make_credit(customer, 50)
    wallet = close_wallet(grant.wallet, reason="Left us", now=END, by=None)
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
def test_postgresql_refuses_to_change_the_ledger_and_its_balances(customer, statement):
    make_credit(customer, 50)
    with as_owner(), pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert balance() == 50


def _run_concurrently(jobs):
    def run(job):
        job()
        connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_spend_the_same_credit():
    customer = make_customer()
    drafts = [invoice_of(customer) for _ in range(6)]
    make_credit(customer, 100)
    _run_concurrently([lambda draft=draft: finalize(draft, now=START) for draft in drafts])
    # 100 pays three invoices of 30 in full and 10 of the fourth, in any order.
    used = sorted(Invoice.objects.values_list("credits_applied", flat=True))
    assert used == [0, 0, D(10), D(30), D(30), D(30)]
    assert balance() == 0
    assert sorted(Invoice.objects.values_list("state", flat=True)) == ["finalized"] * 3 + ["paid"] * 3


@pytest.mark.django_db(transaction=True)
def test_concurrent_finalizing_granting_voiding_and_expiring_keep_the_balance_right():
    customer = make_customer()
    make_credit(customer, 60, expires_at=utc(2026, 9, 20))
    invoice = finalize(invoice_of(customer), now=START)
    drafts = [invoice_of(customer) for _ in range(2)]
    jobs = [
        *(lambda draft=draft: finalize(draft, now=START) for draft in drafts),
        lambda: void(invoice, reason="Wrong", by=None, now=START),
        lambda: make_credit(customer, 5, reference="once"),
        lambda: make_credit(customer, 5, reference="once"),
        lambda: expire_credits(now=utc(2026, 9, 10)),
    ]
    _run_concurrently(jobs)
    assert CreditGrant.objects.count() == 2
    paid = Invoice.objects.exclude(state="void").aggregate(sum=Sum("credits_applied"))["sum"]
    assert balance() == Decimal(65) - paid


@pytest.mark.django_db(transaction=True)
def test_concurrent_expiry_runs_write_off_credit_once():
    customer = make_customer()
    make_credit(customer, 60, expires_at=utc(2026, 9, 20))
    _run_concurrently([lambda: expire_credits(now=utc(2026, 9, 20))] * 3)
    assert ledger() == [("granted", 60, 60), ("expired", -60, 0)]


def test_the_number_of_invoices_does_not_change_the_query_count_for_credit(customer):
    def count_queries(count):
        for _ in range(count):
            owner = make_customer()
            make_credit(owner, 5)
            invoice_of(owner)
        with CaptureQueriesContext(connection) as captured:
            finalize_due(now=START)
        statements = [query["sql"] for query in captured]
        return sum("billing_wallet" in sql or "creditgrant" in sql for sql in statements)

    assert count_queries(1) == count_queries(4)


def test_usage_charges_are_paid_from_credit(customer):
    feature = make_feature()
    version = make_version({"feature": feature, "unit_amount": D("0.01")})
    make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    use(customer, feature, utc(2026, 9, 5), 500)
    make_credit(customer, "2.5")
    invoice = finalize(bill(END)[0], now=END)
    assert totals(invoice)[3:] == [D(5), D("2.5"), D("2.5")]
