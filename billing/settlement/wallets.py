"""Prepaid credit: put into wallets, taken by invoices, returned, expired, taken back. Nothing goes below zero.

Every function locks the wallets first, in the order of their keys, so that two never spend the same credit. Balances
move by the ledger's entries alone: writing an entry moves its grant and its wallet, in the database.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, Sum

from billing.adjustments.credit import take_credit
from billing.invoicing.conditions import in_order_of_use
from billing.models import CreditGrant, EntryKind, GrantKind, Invoice, Wallet, WalletEntry, WalletState
from billing.money import ZERO, currency_places, format_amount, known_currency, round_amount
from billing.notifications import notify_wallet, notify_wallet_entries
from config.audit import recorded
from config.refusals import ReasonRequired, Refused
from config.webhooks.names import WebhookEvent
from customers.models import Customer

DEFAULT_NAME = "Prepaid credit"
BATCH = 500


class CannotGrant(Refused):
    """Credit can't be put into the wallet like this. The message is for staff."""


class CreditSpent(Refused):
    """The credit is used already, so it can't be taken back."""


class WalletClosed(Refused):
    """The wallet is closed: no credit moves in or out of it any more."""


def open_wallet(customer: Customer, currency: str, *, by: User | None, name: str = "", **given: object) -> Wallet:
    """Open a wallet for a customer in a currency. They may have several. `given` are further fields of the table.

    Raises ValidationError for a field that is wrong, a code that is no currency's among them.
    """
    if not known_currency(currency):
        raise ValidationError({"currency": f"{currency} is no currency of today (ISO 4217)."})
    wallet = Wallet(customer=customer, currency=currency, name=name or DEFAULT_NAME, **given)
    wallet.full_clean()
    return save_new(wallet, by=by)


def save_new(wallet: Wallet, *, by: User | None) -> Wallet:
    """Save a new wallet that was checked, and tell of it."""
    with transaction.atomic():
        with recorded(by=by):
            wallet.save()
        notify_wallet(WebhookEvent.WALLET_CREATED, wallet, now=wallet.created_at)
    return wallet


def change_wallet(wallet: Wallet, *, now: datetime, by: User | None, reason: str = "", **given: object) -> Wallet:
    """Set fields of a wallet: what it is called and when it is used. Set so already: nothing is written, nor told.

    Raises ValidationError for a field that is wrong.
    """
    with transaction.atomic():
        locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)
        changed = [name for name, value in given.items() if getattr(locked, name) != value]
        for name in changed:
            setattr(locked, name, given[name])
        locked.full_clean()
        if changed:
            with recorded(by=by, reason=reason):
                locked.save(update_fields=[*changed, "updated_at"])
            notify_wallet(WebhookEvent.WALLET_UPDATED, locked, now=now)
        return locked


def wallet_for(customer: Customer, currency: str, *, by: User | None) -> Wallet:
    """Return the customer's open wallet in the currency, the first by priority; open one if there is none.

    Locks the customer.
    """
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True, of=("self",)).get(pk=customer.pk)
        open_ones = Wallet.objects.filter(customer=customer, currency=currency, state=WalletState.ACTIVE)
        return open_ones.order_by("priority", "pk").first() or open_wallet(customer, currency, by=by)


def wallet_of(invoice: Invoice, *, by: User | None) -> Wallet:
    """Return the wallet for what an invoice owes its customer, as `wallet_for` does; a currency of the past is fine."""
    currency = invoice.currency
    with transaction.atomic():
        if known_currency(currency):
            return wallet_for(invoice.customer, currency, by=by)
        Customer.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.customer_id)
        open_ones = Wallet.objects.filter(customer=invoice.customer_id, currency=currency, state=WalletState.ACTIVE)
        found = open_ones.order_by("priority", "pk").first()
        if found is None:
            currency_places(currency)  # it was a currency once, or this raises
            found = save_new(Wallet(customer=invoice.customer, currency=currency, name=DEFAULT_NAME), by=by)
        return found


def grant(
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
    """Put credit into a wallet: an amount above zero, with the currency's decimals. `expires_at` is exclusive.

    A repeated `reference`, or invoice, grants nothing: the first grant is returned. Raises `ReasonRequired`,
    `CannotGrant`, `WalletClosed`.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the credit is granted.")
    if amount <= 0 or amount != round_amount(amount, wallet.currency):
        raise CannotGrant(f"Grant an amount above zero that can be paid in {wallet.currency}.")
    if expires_at is not None and expires_at <= now:
        raise CannotGrant("The credit would have expired already.")
    with transaction.atomic():
        locked = _locked(wallet)
        same = Q(wallet=locked, reference=reference) if reference else Q(invoice=invoice)
        if (reference or invoice) and (there := CreditGrant.objects.filter(same).first()):
            return there
        with recorded(by=by, reason=reason.strip()):
            made = CreditGrant.objects.create(
                wallet=locked, amount=amount, kind=kind, reason=reason.strip(), granted_at=now, granted_by=by,
                expires_at=expires_at, priority=priority, reference=reference, invoice=invoice, metadata=metadata or {},
            )  # fmt: skip
        moved = _move(made, EntryKind.GRANTED, amount, now=now, by=by, reason=made.reason, invoice=invoice)
        made.refresh_from_db()
        notify_wallet_entries([moved], now=now)
        return made


def _locked(wallet: Wallet) -> Wallet:
    locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)
    if locked.state == WalletState.CLOSED:
        raise WalletClosed(f"{locked} is closed.")
    return locked


def _move(
    of: CreditGrant, kind: EntryKind, amount: Decimal, *, now: datetime, by: User | None, reason: str = "",
    invoice: Invoice | None = None,
) -> WalletEntry:  # fmt: skip
    return WalletEntry.objects.create(
        wallet_id=of.wallet_id, grant=of, kind=kind, amount=amount, at=now, by=by, reason=reason, invoice=invoice
    )


def lock_wallets(invoices: Sequence[Invoice], *, by: User | None) -> dict[int, Wallet]:
    """Lock the wallets that locked invoices are paid from or add to, opening those that are missing; by their keys."""
    customers = {invoice.customer_id for invoice in invoices}
    below = [invoice for invoice in invoices if invoice.total < 0]
    _open_missing(below, by=by)
    # Of customers who get credit all wallets, so that none is locked later, behind one of a higher key.
    concerned = Q(balance__gt=0) | Q(customer__among={invoice.customer_id for invoice in below})
    holders = Wallet.objects.select_for_update(no_key=True, of=("self",)).filter(
        concerned, customer__among=customers, state=WalletState.ACTIVE
    )
    return {wallet.pk: wallet for wallet in holders.order_by("pk")}


def apply_credits(
    invoices: Sequence[Invoice], wallets: Mapping[int, Wallet], *, now: datetime, by: User | None
) -> None:
    """Pay locked invoices, in their order, from their customers' credit; sets, not saves, what they are due.

    `wallets` are those of `lock_wallets`. The credit that expires first is used first. An invoice below zero adds to
    the customer's credit instead, and the invoices after it may use that. Meant for the transaction that finalizes: a
    number of queries that doesn't depend on how many invoices are paid.
    """
    below = [invoice for invoice in invoices if invoice.total < 0]
    for invoice in below:
        _credit_below_zero(invoice, now=now, by=by)
    usable = Q(expires_at=None) | Q(expires_at__gt=now)
    lots: dict[tuple[int, str], list[CreditGrant]] = defaultdict(list)
    if wallets:
        for each in in_order_of_use(CreditGrant.objects.filter(usable, wallet__in=wallets, remaining__gt=0)):
            wallet = wallets[each.wallet_id]
            lots[wallet.customer_id, wallet.currency].append(each)
    entries = [entry for invoice in invoices for entry in _pay(invoice, lots, now=now, by=by)]
    notify_wallet_entries(WalletEntry.objects.bulk_create(entries), now=now)


def _pay(
    invoice: Invoice, lots: dict[tuple[int, str], list[CreditGrant]], *, now: datetime, by: User | None
) -> Iterable[WalletEntry]:
    own = lots.get((invoice.customer_id, invoice.currency), [])
    used = take_credit([each.remaining for each in own], invoice.total)
    invoice.credits_applied = min(invoice.total, ZERO) + sum(used, ZERO)
    invoice.amount_due = invoice.total - invoice.credits_applied
    for each, part in zip(own, used, strict=True):
        each.remaining -= part
        if part:
            yield WalletEntry(
                wallet_id=each.wallet_id, grant=each, kind=EntryKind.APPLIED, amount=-part, invoice=invoice, at=now,
                by=by,
            )  # fmt: skip


def _open_missing(below: Sequence[Invoice], *, by: User | None) -> None:
    """Lock the customers who get credit, in the order of their keys, and see to it that each has a wallet for it."""
    customers = {invoice.customer_id for invoice in below}
    if customers:
        locked = Customer.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=customers)
        list(locked.order_by("pk").values_list("pk", flat=True))
    for invoice in below:
        wallet_of(invoice, by=by)


def _credit_below_zero(invoice: Invoice, *, now: datetime, by: User | None) -> None:
    wallet = wallet_of(invoice, by=by)
    reason = f"{invoice} came to {format_amount(invoice.total, invoice.currency)}"
    grant(wallet, -invoice.total, kind=GrantKind.INVOICE, reason=reason, now=now, by=by, invoice=invoice)


def return_credits(invoice: Invoice, *, now: datetime, by: User | None) -> None:
    """Give back what a locked invoice was paid from prepaid credit, and take back the credit that it gave.

    A second call moves nothing. Credit goes back into its grants, with their expiry. Raises `CreditSpent` when the
    invoice was below zero and its credit is used.
    """
    entries = WalletEntry.objects.filter(invoice=invoice).order_by("pk")
    ids = set(entries.values_list("wallet", flat=True))
    wallets = {
        row.pk: row
        for row in Wallet.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=ids).order_by("pk")
    }
    found = list(entries.select_related("grant"))
    settled = {entry.grant_id for entry in found if entry.kind in (EntryKind.RETURNED, EntryKind.TAKEN_BACK)}
    reason = f"{invoice} is void"
    moved = []
    for entry in found:
        if entry.grant_id in settled:
            continue
        if entry.kind == EntryKind.APPLIED:
            if wallets[entry.wallet_id].state == WalletState.CLOSED:
                raise WalletClosed(
                    f"{wallets[entry.wallet_id]} is closed, so what it paid of {invoice} can't go back into it. "
                    f"Credit {invoice} by a credit note instead."
                )
            back = _move(entry.grant, EntryKind.RETURNED, -entry.amount, now=now, by=by, reason=reason, invoice=invoice)
            moved.append(back)
        elif entry.kind == EntryKind.GRANTED:
            moved.append(_take_back_whole(entry, reason, now=now, by=by))
    notify_wallet_entries(moved, now=now)


def _take_back_whole(entry: WalletEntry, reason: str, *, now: datetime, by: User | None) -> WalletEntry:
    entry.grant.refresh_from_db()
    if entry.grant.remaining < entry.amount:
        raise CreditSpent(_where_spent(entry))
    return _move(entry.grant, EntryKind.TAKEN_BACK, -entry.amount, now=now, by=by, reason=reason, invoice=entry.invoice)


def _where_spent(entry: WalletEntry) -> str:
    """Say what became of credit that an invoice gave, and how the invoice can be corrected all the same."""
    currency = entry.wallet.currency
    used: dict[Invoice, Decimal] = defaultdict(Decimal)
    by_hand = []
    for each in entry.grant.entries.exclude(pk=entry.pk).select_related("invoice").order_by("pk"):
        if each.invoice is not None:
            used[each.invoice] -= each.amount
        else:
            by_hand.append(f"{format_amount(-each.amount, currency)} taken out of the wallet ({each.reason})")
    on = {invoice: amount for invoice, amount in used.items() if amount}
    said = ", ".join(
        [*(f"{format_amount(amount, currency)} paid {invoice}" for invoice, amount in on.items()), *by_hand]
    )
    spent, given = (format_amount(each, currency) for each in (entry.amount - entry.grant.remaining, entry.amount))
    first = "" if by_hand else f"Void {' and '.join(map(str, on))} first, which gives it back, or "
    how = f"{first}let {entry.invoice} stand and put the difference on a one-off invoice."
    return (
        f"{spent} of the {given} of prepaid credit that {entry.invoice} gave is used: {said}. {how[0].upper()}{how[1:]}"
    )


def take_back(
    of: CreditGrant, *, reason: str, now: datetime, by: User | None, amount: Decimal | None = None,
    kind: EntryKind = EntryKind.TAKEN_BACK,
) -> CreditGrant:  # fmt: skip
    """Take what is left of a grant, or an amount of it, out of the wallet. Nothing left: nothing moves.

    Raises `ReasonRequired`, `CreditSpent` when less is left than the amount, `WalletClosed`.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the credit is taken back.")
    with transaction.atomic():
        _locked(of.wallet)
        fresh = CreditGrant.objects.get(pk=of.pk)
        taken = fresh.remaining if amount is None else amount
        if taken < 0 or taken != round_amount(taken, of.wallet.currency):
            raise CannotGrant(f"Take back an amount above zero that can be paid in {of.wallet.currency}.")
        if taken > fresh.remaining:
            raise CreditSpent(f"Only {format_amount(fresh.remaining, of.wallet.currency)} of it is left.")
        if taken:
            moved = _move(fresh, kind, -taken, now=now, by=by, reason=reason.strip())
            fresh.refresh_from_db()
            notify_wallet_entries([moved], now=now)
        return fresh


def debit(wallet: Wallet, amount: Decimal, *, reason: str, now: datetime, by: User | None) -> list[WalletEntry]:
    """Take an amount out of a wallet by hand, from what would be used first. Raises as `take_back` does."""
    if not reason.strip():
        raise ReasonRequired("Say why the credit is taken back.")
    if amount <= 0 or amount != round_amount(amount, wallet.currency):
        raise CannotGrant(f"Take back an amount above zero that can be paid in {wallet.currency}.")
    with transaction.atomic():
        locked = _locked(wallet)
        own = list(in_order_of_use(locked.grants.filter(Q(expires_at=None) | Q(expires_at__gt=now), remaining__gt=0)))
        used = take_credit([each.remaining for each in own], amount)
        if sum(used, ZERO) < amount:
            raise CreditSpent(f"Only {format_amount(locked.balance, wallet.currency)} is left in the wallet.")
        entries = [
            WalletEntry(
                wallet=locked, grant=each, kind=EntryKind.TAKEN_BACK, amount=-part, at=now, by=by,
                reason=reason.strip(),
            )
            for each, part in zip(own, used, strict=True) if part
        ]  # fmt: skip
        WalletEntry.objects.bulk_create(entries)
        notify_wallet_entries(entries, now=now)
        return entries


def close_wallet(wallet: Wallet, *, reason: str, now: datetime, by: User | None) -> Wallet:
    """Take back all that is left in a wallet and close it for good. Closed already: returned as it is."""
    if not reason.strip():
        raise ReasonRequired("Say why the wallet is closed.")
    with transaction.atomic():
        locked = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet.pk)
        if locked.state == WalletState.CLOSED:
            return locked
        moved = [
            _move(each, EntryKind.TAKEN_BACK, -each.remaining, now=now, by=by, reason=reason.strip())
            for each in locked.grants.filter(remaining__gt=0).order_by("pk")
        ]
        notify_wallet_entries(moved, now=now)
        locked.refresh_from_db()
        locked.state, locked.closed_at = WalletState.CLOSED, now
        with recorded(by=by, reason=reason.strip()):
            locked.save(update_fields=["state", "closed_at", "updated_at"])
        notify_wallet(WebhookEvent.WALLET_TERMINATED, locked, now=now)
        return locked


def expire_credits(*, now: datetime) -> int:
    """Write off what is left of grants that have expired; return of how many. A batch of wallets a transaction.

    Safe to repeat and to run side by side: what is written off leaves nothing.
    """
    written_off = 0
    while True:
        with transaction.atomic():
            due = CreditGrant.objects.filter(remaining__gt=0, expires_at__lte=now).order_by("wallet")
            wallets = set(due.values_list("wallet", flat=True)[:BATCH])
            if not wallets:
                return written_off
            list(Wallet.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=wallets).order_by("pk"))
            written_off += _write_off(wallets, now)


def _write_off(wallets: Collection[int], now: datetime) -> int:
    expired = CreditGrant.objects.filter(wallet__in=wallets, remaining__gt=0, expires_at__lte=now).order_by("pk")
    entries = [
        WalletEntry(wallet_id=each.wallet_id, grant=each, kind=EntryKind.EXPIRED, amount=-each.remaining, at=now)
        for each in expired
    ]
    notify_wallet_entries(WalletEntry.objects.bulk_create(entries), now=now)
    return len(entries)


def usable(wallet: Wallet, *, now: datetime) -> Decimal:
    """Add up what is left in a wallet and hasn't expired, in its currency."""
    grants = wallet.grants.filter(Q(expires_at=None) | Q(expires_at__gt=now), remaining__gt=0)
    left: Decimal | None = grants.aggregate(sum=Sum("remaining"))["sum"]
    return left or ZERO
