"""Credit pays the invoices of periods that ended before it expired, and is never shown as available afterwards."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from billing.invoicing.upcoming import upcoming
from billing.lifecycle.finalize import finalize
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue
from billing.models import Wallet, WalletEntry
from billing.runs.billing_states import refresh_states
from billing.settlement.credit_expiry import expire_credits
from billing.settlement.wallets import CreditSpent, debit_wallet
from tests.billing.adjusting import END, START, make_credit
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
NOVEMBER = utc(2026, 11, 1)
GRACE_OVER = END + timedelta(days=3)


@pytest.fixture
def customer():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def subscription(customer):
    """Subscribe Acme on 1 September to $1 a call; 15 calls in September, 10 in October."""
    calls = make_feature(name="Calls")
    version = make_version({"feature": calls, "unit_amount": D(1)})
    subscription = make_subscription(customer=customer, plan=version, starts_at=START, now=START)
    use(customer, calls, utc(2026, 9, 20), 15)
    use(customer, calls, utc(2026, 10, 20), 10)
    return subscription


def credited(invoice):
    return invoice.credits_applied


def written_off():
    return list(WalletEntry.objects.filter(kind="expired").order_by("pk").values_list("amount", flat=True))


def test_credit_that_is_valid_until_the_periods_end_pays_the_period(customer, subscription):
    make_credit(customer, 20, expires_at=END)
    assert upcoming(subscription.pk, now=utc(2026, 9, 21)).invoice.adjusted.credits == 15
    [draft] = bill(END)
    assert (draft.credits_applied, draft.amount_due) == (15, 0)
    assert credited(recompute(draft, now=GRACE_OVER)) == 15
    issued = finalize(draft, now=GRACE_OVER)
    assert (issued.credits_applied, issued.state) == (15, "paid")
    replacement = reissue(issued, reason="Wrong address", now=GRACE_OVER, by=None)
    assert (replacement.credits_applied, credited(finalize(replacement, now=GRACE_OVER))) == (15, 15)


@pytest.mark.parametrize(("expires_at", "amount"), [(END - timedelta(seconds=1), 0), (END, 15), (None, 15)])
def test_credit_that_expired_during_the_period_does_not_pay_it(customer, subscription, expires_at, amount):
    make_credit(customer, 20, expires_at=expires_at)
    [draft] = bill(END)
    assert [draft.credits_applied, credited(finalize(draft, now=GRACE_OVER))] == [amount, amount]


def test_credit_of_september_does_not_pay_october(customer, subscription):
    make_credit(customer, 20, expires_at=END)
    september, october = bill(NOVEMBER)
    assert [credited(september), credited(october)] == [15, 0]
    assert [credited(finalize(draft, now=NOVEMBER)) for draft in (october, september)] == [0, 15]


def test_drafts_of_september_reserve_only_credit_that_they_can_use(customer, subscription):
    make_credit(customer, 12, expires_at=utc(2026, 9, 10))
    make_credit(customer, 20)
    bill(END)
    [october] = bill(NOVEMBER)
    # September uses 15 of the 20; the expired 12 pay neither.
    assert october.credits_applied == 5


def test_expired_credit_is_written_off_once_the_period_is_finalized(customer, subscription):
    make_credit(customer, 20, expires_at=END)
    refresh_states()
    assert expire_credits(now=END) == 0  # September isn't invoiced yet
    [draft] = bill(END)
    assert expire_credits(now=END + timedelta(days=1)) == 0
    finalize(draft, now=GRACE_OVER)
    assert [expire_credits(now=GRACE_OVER), expire_credits(now=GRACE_OVER)] == [1, 0]
    assert written_off() == [-5]


def test_expired_credit_waits_for_a_subscription_without_billing_progress(customer, subscription):
    make_credit(customer, 20, expires_at=END)
    assert expire_credits(now=END) == 0


def test_drafts_of_later_periods_and_other_currencies_do_not_delay_the_write_off(customer, subscription):
    make_credit(customer, 20, expires_at=utc(2026, 9, 10))
    make_credit(customer, 30, currency="EUR", expires_at=END)
    bill(END)
    assert expire_credits(now=END) == 2
    assert sorted(written_off()) == [-30, -20]


def test_credit_that_is_granted_after_the_period_pays_its_draft(customer, subscription):
    [draft] = bill(END)
    make_credit(customer, 20, now=END + timedelta(days=1))
    assert credited(recompute(draft, now=END + timedelta(days=2))) == 15
    assert credited(finalize(draft, now=GRACE_OVER)) == 15


def test_expired_credit_can_not_be_debited(customer):
    grant = make_credit(customer, 20, expires_at=END)
    make_credit(customer, 5)
    with pytest.raises(CreditSpent, match=r"Only \$5\.00 remains"):
        debit_wallet(grant.wallet, D(6), reason="Wrong", now=END, by=None)


# --- what the API and the admin show ---------------------------------------------------------------------


@pytest.fixture
def expired(customer):
    """Grant 20.00 that expired an hour ago, and 5.00 that doesn't expire; nothing is written off yet."""
    now = timezone.now()
    make_credit(customer, 20, now=now - timedelta(days=9), expires_at=now - timedelta(hours=1), kind="purchased")
    return make_credit(customer, 5, now=now).wallet


def test_the_api_never_shows_expired_credit_as_available(api, customer, expired):
    balance = api.get(f"wallets/{expired.public_id}/balance/real-time")
    assert balance["credits_available_breakdown"] == {"free": "5.00", "purchased": "0.00"}
    assert [balance[name] for name in ("balance", "credit_balance", "real_time_balance")] == ["5.00"] * 3
    assert api.get(f"wallets/{expired.public_id}")["balance"] == "5.00"
    assert [wallet["balance"] for wallet in api.get("customers/wallets", lookup_key="acme")] == ["5.00"]
    entries = api.get(f"wallets/{expired.public_id}/transactions")["items"]
    assert [entry["credits_available"] for entry in entries] == ["5.00", "0.00"]
    top_up = {"transaction_reason": "FREE_CREDIT_GRANT", "amount": "1"}
    assert api.post(f"wallets/{expired.public_id}/top-up", top_up)["wallet"]["balance"] == "6.00"


def test_the_admin_never_shows_expired_credit_as_available(staff_client, customer, expired):
    pages = [
        reverse("admin:billing_wallet_changelist"),
        reverse("admin:billing_wallet_change", args=[expired.pk]),
        reverse("admin:customers_customer_change", args=[customer.pk]),
    ]
    texts = [staff_client.get(page).content.decode() for page in pages]
    assert all("$5.00" in text for text in texts)
    # The ledger of the wallet's page lists the balance after each transaction, before the expiry is written.
    assert [text.count("$25.00") for text in texts] == [0, 1, 0]
    exported = b"".join(staff_client.get(f"{pages[0]}?_export=csv").streaming_content).decode()
    assert Wallet.objects.get().balance == 25
    assert "25.00" not in exported


def test_expired_credit_that_still_pays_a_draft_is_part_of_the_real_time_balance(api, customer):
    now = timezone.now()
    calls, start = make_feature(name="Calls"), now - timedelta(days=40)
    make_subscription(
        customer=customer, plan=make_version({"feature": calls, "unit_amount": D(1)}), starts_at=start, now=start
    )
    use(customer, calls, start + timedelta(hours=1), 80)
    [draft] = bill(now)
    wallet = make_credit(customer, 30, now=start, expires_at=draft.period_end).wallet
    balance = api.get(f"wallets/{wallet.public_id}/balance/real-time")
    # The draft of 80 is paid with 30 of the expired credit.
    assert (balance["balance"], balance["real_time_balance"]) == ("0.00", "-50.00")
