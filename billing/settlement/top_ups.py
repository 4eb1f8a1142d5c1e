"""Open wallets with initial credit, and top them up with a bonus."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import CreditGrant, GrantKind, Wallet
from billing.settlement.wallets import (
    add_credit,
    describe_grant,
    find_grant,
    get_or_open_wallet,
    grant_credit,
    lock_open_wallet,
    open_wallet,
)
from config.approvals.gate import ApprovalNeeded, require_approval
from config.approvals.kinds import Operation
from config.approvals.models import Approval
from config.approvals.requests import request_approval
from customers.models import Customer


@dataclass(frozen=True, slots=True)
class Credit:
    """Credit to grant, and when it expires. Without an amount, none."""

    amount: Decimal | None
    expires_at: datetime | None = None


def open_with_credit(
    customer: Customer, currency: str, credit: Credit, *, now: datetime, **details: Any
) -> tuple[Wallet, Approval | None]:
    """Open a wallet with promotional credit in it. `details` are the wallet's columns.

    If the credit needs approval, the wallet is opened without it, and the approval is requested and returned.
    """
    with transaction.atomic():
        wallet = open_wallet(customer, currency, by=None, **details)
        if not credit.amount:
            return wallet, None
        grant = {"kind": GrantKind.PROMOTIONAL, "reason": "Initial credit", "expires_at": credit.expires_at}
        return wallet, _grant_or_request(wallet, credit.amount, now=now, by=None, **grant)


def grant_to_customer(
    customer: Customer, currency: str, amount: Decimal, *, now: datetime, by: User | None, **details: Any
) -> Approval | None:
    """Grant credit into the customer's wallet in the currency, opened if there is none.

    If the credit needs approval, that is requested and returned.
    """
    with transaction.atomic():
        wallet = get_or_open_wallet(customer, currency, by=by)
        return _grant_or_request(wallet, amount, now=now, by=by, **details)


def _grant_or_request(
    wallet: Wallet, amount: Decimal, *, now: datetime, by: User | None, **details: Any
) -> Approval | None:
    try:
        grant_credit(wallet, amount, now=now, by=by, **details)
    except ApprovalNeeded as needed:
        return request_approval(needed, now=now)
    return None


def top_up(
    wallet: Wallet,
    credit: Credit,
    *,
    kind: str,
    bonus: Credit,
    reference: str | None,
    reason: str,
    now: datetime,
    by: User | None,
    priority: int = 0,
    metadata: dict[str, str] | None = None,
) -> CreditGrant:
    """Grant credit and its promotional bonus; return the first grant. A repeated reference grants nothing.

    Both are approved together (`ApprovalNeeded`).
    """
    amount = credit.amount or Decimal(0)
    common: dict[str, Any] = {"reason": reason, "priority": priority, "metadata": metadata or {}}
    terms = {"kind": kind, "reference": reference, "expires_at": credit.expires_at, **common}
    if not bonus.amount:
        return grant_credit(wallet, amount, now=now, by=by, **terms)
    with transaction.atomic():
        existing = find_grant(lock_open_wallet(wallet), reference)
        if existing is not None:
            return existing
        granted = add_credit(wallet, amount, now=now, by=by, **terms)
        bonus_reference = f"{reference}:bonus" if reference else None
        bonus_terms: dict[str, Any] = {
            "kind": GrantKind.PROMOTIONAL,
            "reference": bonus_reference,
            "expires_at": bonus.expires_at,
        }
        add_credit(wallet, bonus.amount, now=now, by=by, **bonus_terms, **common)
        inputs = {"amount": amount, **terms, "bonus": bonus.amount, "bonus_expires_at": bonus.expires_at}
        require_approval(describe_grant(wallet, amount + bonus.amount, Operation.TOP_UP, inputs), by=by)
    return granted
