"""Prepaid credit of invoices: applied when an invoice is finalized, granted by a negative one, returned by a void.

Every function locks the wallets first, in the order of their keys, so that two never spend the same credit.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db.models import Q

from billing.adjustments.credit import credit_moment, is_unexpired, take_credit
from billing.invoicing.conditions import in_order_of_use
from billing.models import CreditGrant, EntryKind, GrantKind, Invoice, Wallet, WalletEntry, WalletState
from billing.money import ZERO, format_amount
from billing.notifications import notify_wallet_entries
from billing.settlement.wallets import CreditSpent, WalletClosed, add_credit, add_entry, get_or_open_invoice_wallet
from customers.models import Customer


def lock_wallets(invoices: Sequence[Invoice], *, by: User | None) -> dict[int, Wallet]:
    """Lock the wallets that locked invoices are paid from or add to, opening missing ones; return them by key."""
    customers = {invoice.customer_id for invoice in invoices}
    negative = [invoice for invoice in invoices if invoice.total < 0]
    _open_missing_wallets(negative, by=by)
    # All wallets of a customer who receives credit, so that none has to be locked later, after one with a higher key.
    concerned = Q(balance__gt=0) | Q(customer__among={invoice.customer_id for invoice in negative})
    wallets = Wallet.objects.select_for_update(no_key=True, of=("self",)).filter(
        concerned, customer__among=customers, state=WalletState.ACTIVE
    )
    return {wallet.pk: wallet for wallet in wallets.order_by("pk")}


def _open_missing_wallets(negative: Sequence[Invoice], *, by: User | None) -> None:
    """Lock the customers who receive credit, in the order of their keys, and open the wallets they are missing."""
    customers = {invoice.customer_id for invoice in negative}
    if customers:
        locked = Customer.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=customers)
        list(locked.order_by("pk").values_list("pk", flat=True))
    for invoice in negative:
        get_or_open_invoice_wallet(invoice, by=by)


def apply_credits(
    invoices: Sequence[Invoice], wallets: Mapping[int, Wallet], *, now: datetime, by: User | None
) -> None:
    """Pay locked invoices, in their order, from their customers' credit. Sets the amounts due; the caller saves them.

    `wallets` are those of `lock_wallets`. Credit is used that hasn't expired at the
    invoice's `credit_moment`; the credit that expires first is used first. A negative invoice adds to the
    customer's credit, and the invoices after it can use that credit. Call it in the transaction that finalizes the
    invoices. The number of queries doesn't depend on the number of positive invoices.
    """
    for invoice in invoices:
        if invoice.total < 0:
            _grant_negative_total(invoice, now=now, by=by)
    grants: dict[tuple[int, str], list[CreditGrant]] = defaultdict(list)
    if wallets:
        for grant in in_order_of_use(CreditGrant.objects.filter(wallet__in=wallets, remaining__gt=0)):
            wallet = wallets[grant.wallet_id]
            grants[wallet.customer_id, wallet.currency].append(grant)
    entries = [
        entry
        for invoice in invoices
        for entry in _pay_invoice(invoice, grants.get((invoice.customer_id, invoice.currency), []), now=now, by=by)
    ]
    notify_wallet_entries(WalletEntry.objects.bulk_create(entries), now=now)


def _grant_negative_total(invoice: Invoice, *, now: datetime, by: User | None) -> None:
    wallet = get_or_open_invoice_wallet(invoice, by=by)
    reason = f"{invoice} totals {format_amount(invoice.total, invoice.currency)}"
    add_credit(wallet, -invoice.total, kind=GrantKind.INVOICE, reason=reason, now=now, by=by, invoice=invoice)


def _pay_invoice(
    invoice: Invoice, credit: Sequence[CreditGrant], *, now: datetime, by: User | None
) -> Iterator[WalletEntry]:
    usable_at = credit_moment(invoice.period_end, now)
    grants = [grant for grant in credit if is_unexpired(grant.expires_at, usable_at)]
    amounts = take_credit([grant.remaining for grant in grants], invoice.total)
    invoice.credits_applied = min(invoice.total, ZERO) + sum(amounts, ZERO)
    invoice.amount_due = invoice.total - invoice.credits_applied
    for grant, amount in zip(grants, amounts, strict=True):
        grant.remaining -= amount
        if amount:
            yield WalletEntry(
                wallet_id=grant.wallet_id,
                grant=grant,
                kind=EntryKind.APPLIED,
                amount=-amount,
                invoice=invoice,
                at=now,
                by=by,
            )


def return_credits(invoice: Invoice, *, now: datetime, by: User | None) -> None:
    """Return the prepaid credit that a locked invoice used, and revoke the credit that it granted.

    A second call writes nothing. Returned credit keeps its grant and its expiry. Raises `CreditSpent` when the invoice
    was negative and its credit has been spent, `WalletClosed` when the credit can't be returned.
    """
    entries = WalletEntry.objects.filter(invoice=invoice).order_by("pk")
    ids = set(entries.values_list("wallet", flat=True))
    locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=ids)
    wallets = {wallet.pk: wallet for wallet in locked.order_by("pk")}
    entries_with_grants = list(entries.select_related("grant"))
    reversed_grants = {
        entry.grant_id for entry in entries_with_grants if entry.kind in (EntryKind.RETURNED, EntryKind.TAKEN_BACK)
    }
    new_entries = []
    for entry in entries_with_grants:
        if entry.grant_id in reversed_grants:
            continue
        if entry.kind == EntryKind.APPLIED:
            new_entries.append(_return_used_credit(entry, wallets[entry.wallet_id], invoice, now=now, by=by))
        elif entry.kind == EntryKind.GRANTED:
            new_entries.append(_revoke_granted_credit(entry, invoice, now=now, by=by))
    notify_wallet_entries(new_entries, now=now)


def _return_used_credit(
    entry: WalletEntry, wallet: Wallet, invoice: Invoice, *, now: datetime, by: User | None
) -> WalletEntry:
    if wallet.state == WalletState.CLOSED:
        raise WalletClosed(
            f"{wallet} is closed, so the credit that {invoice} used can't be returned to it. "
            f"Issue a credit note for {invoice} instead."
        )
    reason = f"{invoice} is void"
    return add_entry(entry.grant, EntryKind.RETURNED, -entry.amount, now=now, by=by, reason=reason, invoice=invoice)


def _revoke_granted_credit(entry: WalletEntry, invoice: Invoice, *, now: datetime, by: User | None) -> WalletEntry:
    entry.grant.refresh_from_db()
    if entry.grant.remaining < entry.amount:
        raise CreditSpent(_describe_spent_credit(entry, invoice))
    reason = f"{invoice} is void"
    return add_entry(entry.grant, EntryKind.TAKEN_BACK, -entry.amount, now=now, by=by, reason=reason, invoice=invoice)


def _describe_spent_credit(entry: WalletEntry, invoice: Invoice) -> str:
    """Say where the credit that an invoice granted was spent, and how the invoice can be corrected instead."""
    currency = entry.wallet.currency
    net_uses: dict[Invoice, Decimal] = defaultdict(Decimal)
    revocations = []
    for later in entry.grant.entries.exclude(pk=entry.pk).select_related("invoice").order_by("pk"):
        if later.invoice is not None:
            net_uses[later.invoice] -= later.amount
        else:
            revocations.append(f"{format_amount(-later.amount, currency)} was taken from the wallet ({later.reason})")
    uses = {invoice: amount for invoice, amount in net_uses.items() if amount}
    payments = [f"{format_amount(amount, currency)} paid {invoice}" for invoice, amount in uses.items()]
    spent, granted = entry.amount - entry.grant.remaining, entry.amount
    one_off = f"keep {invoice} and charge the difference with a one-off invoice."
    remedy = f"{one_off[0].upper()}{one_off[1:]}"
    if not revocations:
        remedy = f"Void {' and '.join(map(str, uses))} first, which returns the credit, or {one_off}"
    return (
        f"{format_amount(spent, currency)} of the {format_amount(granted, currency)} of prepaid credit that {invoice} "
        f"granted is spent: {', '.join([*payments, *revocations])}. {remedy}"
    )
