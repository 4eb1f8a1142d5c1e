"""Writing off the remaining credit of expired grants. Locks the wallets first, in the order of their keys."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.models import CreditGrant, EntryKind, Invoice, Wallet, WalletEntry
from billing.notifications import notify_wallet_entries
from customers.models import Subscription

BATCH = 500


def expire_credits(*, now: datetime) -> int:
    """Write off the remaining credit of expired grants and return their number. One transaction per batch of wallets.

    Credit that can still pay an invoice of a period before its expiry waits: until the customer's drafts in its
    currency are finalized, and its subscriptions are billed. Safe to repeat and to run concurrently.
    """
    expired, after = 0, 0
    while True:
        with transaction.atomic():
            wallets = set(_to_write_off(now).filter(wallet__gt=after).values_list("wallet", flat=True)[:BATCH])
            if not wallets:
                return expired
            list(Wallet.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=wallets).order_by("pk"))
            expired += _expire_grants(wallets, now)
            after = max(wallets)


def _to_write_off(now: datetime) -> QuerySet[CreditGrant]:
    """Select expired grants that no invoice can use any more."""
    same_account = {"customer": OuterRef("wallet__customer"), "currency": OuterRef("wallet__currency")}
    expiry = OuterRef("expires_at")
    drafts = Invoice.objects.drafts().filter(period_end__lte=expiry, **same_account)
    has_no_progress = Q(billing=None, started_at__lt=expiry) & ~Q(ended_at=F("started_at"))
    unbilled = Subscription.objects.filter(Q(billing__due_at__lte=expiry) | has_no_progress, **same_account)
    expired = CreditGrant.objects.filter(remaining__gt=0, expires_at__lte=now)
    return expired.exclude(Exists(drafts) | Exists(unbilled)).order_by("wallet", "pk")


def _expire_grants(wallets: Collection[int], now: datetime) -> int:
    entries = [
        WalletEntry(wallet_id=grant.wallet_id, grant=grant, kind=EntryKind.EXPIRED, amount=-grant.remaining, at=now)
        for grant in _to_write_off(now).filter(wallet__in=wallets)
    ]
    notify_wallet_entries(WalletEntry.objects.bulk_create(entries), now=now)
    return len(entries)
