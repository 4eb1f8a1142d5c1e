"""Open wallets with initial credit, and top them up with a bonus: each all or nothing."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.models import CreditGrant, GrantKind, Wallet
from billing.settlement.wallets import grant_credit, open_wallet
from customers.models import Customer


@dataclass(frozen=True, slots=True)
class Credit:
    """Credit to grant, and when it expires. Without an amount, none."""

    amount: Decimal | None
    expires_at: datetime | None = None


def open_with_credit(customer: Customer, currency: str, credit: Credit, *, now: datetime, **details: Any) -> Wallet:
    """Open a wallet with promotional credit in it. `details` are the wallet's columns."""
    with transaction.atomic():
        wallet = open_wallet(customer, currency, by=None, **details)
        if credit.amount:
            kind, expires_at = GrantKind.PROMOTIONAL, credit.expires_at
            grant_credit(
                wallet, credit.amount, kind=kind, reason="Initial credit", now=now, by=None, expires_at=expires_at
            )
    return wallet


def top_up(
    wallet: Wallet, credit: Credit, *, kind: GrantKind, bonus: Credit, reference: str | None, **details: Any
) -> CreditGrant:
    """Grant credit and its promotional bonus; return the first grant. A repeated reference grants nothing."""
    with transaction.atomic():
        granted = grant_credit(
            wallet, credit.amount or Decimal(0), kind=kind, reference=reference, expires_at=credit.expires_at, **details
        )
        if bonus.amount:
            grant_credit(
                wallet,
                bonus.amount,
                kind=GrantKind.PROMOTIONAL,
                reference=f"{reference}:bonus" if reference else None,
                expires_at=bonus.expires_at,
                **details,
            )
    return granted
