"""Wallets of prepaid credit: opened and closed, credit granted, revoked and debited. Never negative.

Every function locks the wallets first, in the order of their keys, so that two never spend the same credit. Balances
change only through ledger entries: the database updates the grant and the wallet when an entry is inserted.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, Sum

from billing.adjustments.credit import take_credit
from billing.invoicing.conditions import in_order_of_use
from billing.models import CreditGrant, EntryKind, Invoice, Wallet, WalletEntry, WalletState
from billing.money import ZERO, currency_places, format_amount, known_currency, round_amount
from billing.notifications import notify_wallet, notify_wallet_entries
from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import ReasonRequired, Refused
from config.webhooks.names import WebhookEvent
from customers.models import Customer

DEFAULT_NAME = "Prepaid credit"


class CannotGrant(Refused):
    """The amount or the expiry of the credit isn't valid. The message is for staff."""


class CreditSpent(Refused):
    """The credit is already spent, so it can't be revoked."""


class WalletClosed(Refused):
    """The wallet is closed: credit can't be added to it or taken from it."""


def open_wallet(customer: Customer, currency: str, *, by: User | None, name: str = "", **columns: object) -> Wallet:
    """Open a wallet for a customer in a currency. A customer can have several. `columns` are further columns to set.

    Raises ValidationError for an invalid value, also for a code that isn't a current currency.
    """
    if not known_currency(currency):
        raise ValidationError({"currency": f"{currency} isn't a current ISO 4217 currency code."})
    wallet = Wallet(customer=customer, currency=currency, name=name or DEFAULT_NAME, **columns)
    wallet.full_clean()
    return save_wallet(wallet, by=by)


def save_wallet(wallet: Wallet, *, by: User | None) -> Wallet:
    """Save a new, validated wallet and send its webhook."""
    with transaction.atomic():
        with recorded(by=by):
            wallet.save()
        notify_wallet(WebhookEvent.WALLET_CREATED, wallet, now=wallet.created_at)
    return wallet


def change_wallet(wallet: Wallet, *, now: datetime, by: User | None, reason: str = "", **columns: object) -> Wallet:
    """Change columns of a wallet, such as its name or priority. Without a difference, nothing is saved or sent.

    Raises ValidationError for an invalid value.
    """
    with transaction.atomic():
        locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)
        changed = [name for name, value in columns.items() if getattr(locked, name) != value]
        for name in changed:
            setattr(locked, name, columns[name])
        locked.full_clean()
        if changed:
            with recorded(by=by, reason=reason):
                locked.save(update_fields=[*changed, "updated_at"])
            notify_wallet(WebhookEvent.WALLET_UPDATED, locked, now=now)
        return locked


def get_or_open_wallet(customer: Customer, currency: str, *, by: User | None) -> Wallet:
    """Return the customer's open wallet in the currency, the first by priority; open one if there is none.

    Locks the customer.
    """
    with transaction.atomic():
        return _lock_and_find_wallet(customer.pk, currency) or open_wallet(customer, currency, by=by)


def get_or_open_invoice_wallet(invoice: Invoice, *, by: User | None) -> Wallet:
    """Return the wallet that receives credit from an invoice, opening it if needed. Also for a former currency."""
    return get_or_open_credit_wallet(invoice.customer, invoice.currency, by=by)


def get_or_open_credit_wallet(customer: Customer, currency: str, *, by: User | None) -> Wallet:
    """Return the wallet that receives credit from money in a currency, opening it if needed. Also for a former one."""
    with transaction.atomic():
        if known_currency(currency):
            return get_or_open_wallet(customer, currency, by=by)
        wallet = _lock_and_find_wallet(customer.pk, currency)
        if wallet is None:
            currency_places(currency)  # raises for a code that was never a currency
            wallet = save_wallet(Wallet(customer=customer, currency=currency, name=DEFAULT_NAME), by=by)
        return wallet


def _lock_and_find_wallet(customer_id: int, currency: str) -> Wallet | None:
    Customer.objects.select_for_update(no_key=True, of=("self",)).get(pk=customer_id)
    wallets = Wallet.objects.filter(customer=customer_id, currency=currency, state=WalletState.ACTIVE)
    return wallets.order_by("priority", "pk").first()


def grant_credit(
    wallet: Wallet,
    amount: Decimal,
    *,
    kind: str,
    reason: str,
    now: datetime,
    by: User | None,
    expires_at: datetime | None = None,
    priority: int = 0,
    reference: str | None = None,
    metadata: dict[str, str] | None = None,
) -> CreditGrant:
    """Give a customer credit: `add_credit`, which can need approval (`ApprovalNeeded`)."""
    with transaction.atomic():
        existing = find_grant(lock_open_wallet(wallet), reference)
        if existing is not None:
            return existing
        terms: dict[str, Any] = {
            "expires_at": expires_at,
            "priority": priority,
            "reference": reference,
            "metadata": metadata or {},
        }
        grant = add_credit(wallet, amount, kind=kind, reason=reason, now=now, by=by, **terms)
        inputs = {"amount": amount, "kind": kind, "reason": reason.strip(), **terms}
        require_approval(describe_grant(wallet, amount, Operation.GRANT_CREDIT, inputs), by=by)
        return grant


def describe_grant(wallet: Wallet, amount: Decimal, operation: Operation, inputs: dict[str, Any]) -> Action:
    """Describe giving credit to who decides about it."""
    granted = format_amount(amount, wallet.currency)
    return Action(
        operation,
        [ApprovalKind.CREDIT],
        [wallet],
        inputs,
        title=f"Grant {granted} of prepaid credit to {wallet.customer}",
        effect=f"{wallet.customer} can pay invoices of {granted} with it.",
        amounts={wallet.currency: amount},
    )


def find_grant(wallet: Wallet, reference: str | None, invoice: Invoice | None = None) -> CreditGrant | None:
    """Return the grant with this reference, or of this invoice: the same request was made before."""
    same_request = Q(wallet=wallet, reference=reference) if reference else Q(invoice=invoice)
    return CreditGrant.objects.filter(same_request).first() if reference or invoice else None


def add_credit(
    wallet: Wallet,
    amount: Decimal,
    *,
    kind: str,
    reason: str,
    now: datetime,
    by: User | None,
    expires_at: datetime | None = None,
    priority: int = 0,
    reference: str | None = None,
    invoice: Invoice | None = None,
    metadata: dict[str, str] | None = None,
) -> CreditGrant:
    """Add credit to a wallet: a positive amount with the currency's decimals. `expires_at` is exclusive.

    For credit that follows from something else, such as a negative invoice or a payment of too much. People give credit
    with `grant_credit`. A repeated `reference`, or invoice, returns the first grant and adds nothing. Raises
    `ReasonRequired`, `CannotGrant`, `WalletClosed`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for granting the credit.")
    _check_amount(amount, wallet.currency)
    if expires_at is not None and expires_at <= now:
        raise CannotGrant("Enter an expiry date in the future.")
    with transaction.atomic():
        locked = lock_open_wallet(wallet)
        existing = find_grant(locked, reference, invoice)
        if existing is not None:
            return existing
        with recorded(by=by, reason=reason.strip()):
            grant = CreditGrant.objects.create(
                wallet=locked,
                amount=amount,
                kind=kind,
                reason=reason.strip(),
                granted_at=now,
                granted_by=by,
                expires_at=expires_at,
                priority=priority,
                reference=reference,
                invoice=invoice,
                metadata=metadata or {},
            )
        entry = add_entry(grant, EntryKind.GRANTED, amount, now=now, by=by, reason=grant.reason, invoice=invoice)
        grant.refresh_from_db()
        notify_wallet_entries([entry], now=now)
        return grant


def _check_amount(amount: Decimal, currency: str) -> None:
    if amount <= 0 or amount != round_amount(amount, currency):
        raise CannotGrant(f"Enter a positive amount with no more decimals than {currency} allows.")


def lock_open_wallet(wallet: Wallet) -> Wallet:
    """Lock a wallet's row and return it as it is now. Raises `WalletClosed`."""
    locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)
    if locked.state == WalletState.CLOSED:
        raise WalletClosed(f"{locked} is closed.")
    return locked


def add_entry(
    grant: CreditGrant,
    kind: EntryKind,
    amount: Decimal,
    *,
    now: datetime,
    by: User | None,
    reason: str = "",
    invoice: Invoice | None = None,
) -> WalletEntry:
    """Insert a ledger entry; the database changes the balances of its grant and wallet by the amount."""
    return WalletEntry.objects.create(
        wallet_id=grant.wallet_id,
        grant=grant,
        kind=kind,
        amount=amount,
        at=now,
        by=by,
        reason=reason,
        invoice=invoice,
    )


def revoke_credit(
    grant: CreditGrant,
    *,
    reason: str,
    now: datetime,
    by: User | None,
    amount: Decimal | None = None,
    kind: EntryKind = EntryKind.TAKEN_BACK,
) -> CreditGrant:
    """Revoke the remaining credit of a grant, or an amount of it. Without remaining credit nothing is written.

    Raises `ReasonRequired`, `CreditSpent` if less than the amount remains, `WalletClosed`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for revoking the credit.")
    with transaction.atomic():
        lock_open_wallet(grant.wallet)
        locked = CreditGrant.objects.get(pk=grant.pk)
        revoked = locked.remaining if amount is None else amount
        if revoked:
            _check_amount(revoked, grant.wallet.currency)
        if revoked > locked.remaining:
            raise CreditSpent(f"Only {format_amount(locked.remaining, grant.wallet.currency)} of this credit remains.")
        if revoked:
            entry = add_entry(locked, kind, -revoked, now=now, by=by, reason=reason.strip())
            locked.refresh_from_db()
            notify_wallet_entries([entry], now=now)
        return locked


def debit_wallet(wallet: Wallet, amount: Decimal, *, reason: str, now: datetime, by: User | None) -> list[WalletEntry]:
    """Revoke an amount of a wallet's credit by hand, in the order of use. Raises as `revoke_credit` does."""
    if not reason.strip():
        raise ReasonRequired("Enter a reason for revoking the credit.")
    _check_amount(amount, wallet.currency)
    with transaction.atomic():
        locked = lock_open_wallet(wallet)
        grants = list(in_order_of_use(CreditGrant.objects.usable(now).filter(wallet=locked)))
        amounts = take_credit([grant.remaining for grant in grants], amount)
        if sum(amounts, ZERO) < amount:
            usable = format_amount(sum_usable_credit(locked, now=now), wallet.currency)
            raise CreditSpent(f"Only {usable} remains in the wallet.")
        entries = [
            WalletEntry(
                wallet=locked,
                grant=grant,
                kind=EntryKind.TAKEN_BACK,
                amount=-grant_amount,
                at=now,
                by=by,
                reason=reason.strip(),
            )
            for grant, grant_amount in zip(grants, amounts, strict=True)
            if grant_amount
        ]
        WalletEntry.objects.bulk_create(entries)
        notify_wallet_entries(entries, now=now)
        return entries


def close_wallet(wallet: Wallet, *, reason: str, now: datetime, by: User | None) -> Wallet:
    """Revoke the remaining credit of a wallet and close it for good. A closed wallet is returned unchanged."""
    if not reason.strip():
        raise ReasonRequired("Enter a reason for closing the wallet.")
    with transaction.atomic():
        locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)
        if locked.state == WalletState.CLOSED:
            return locked
        entries = [
            add_entry(grant, EntryKind.TAKEN_BACK, -grant.remaining, now=now, by=by, reason=reason.strip())
            for grant in locked.grants.filter(remaining__gt=0).order_by("pk")
        ]
        notify_wallet_entries(entries, now=now)
        locked.refresh_from_db()
        locked.state, locked.closed_at = WalletState.CLOSED, now
        with recorded(by=by, reason=reason.strip()):
            locked.save(update_fields=["state", "closed_at", "updated_at"])
        notify_wallet(WebhookEvent.WALLET_TERMINATED, locked, now=now)
        return locked


def sum_usable_credit(wallet: Wallet, *, now: datetime) -> Decimal:
    """Add up the remaining credit of a wallet that hasn't expired, in its currency."""
    total: Decimal | None = CreditGrant.objects.usable(now).filter(wallet=wallet).aggregate(sum=Sum("remaining"))["sum"]
    return total or ZERO
