"""What becomes of an invoice after it is drafted: recomputed, finalized, paid, void, replaced.

Every function locks the invoice's row first, so two of them never work on one invoice at once.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from billing.accounts import Account
from billing.announcing import announce
from billing.condition_loading import load_conditions, lock_coupons
from billing.conditions import Conditions
from billing.invoicing import FORESEEN, Computed, Work, compute_many, fees_of, issue
from billing.late.carrying import drop, give_back, give_back_own, take_again
from billing.late.finding import OF_USAGE
from billing.late.reconciling import reconcile
from billing.lines import COMPUTED_KINDS
from billing.loading import load_accounts
from billing.models import (
    BillingState,
    CouponUse,
    CreditNoteState,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceState,
    LateState,
    SeriesUse,
)
from billing.models.company import seller
from billing.numbering import draw_numbers
from billing.payments import locked_invoice, pay_the_rest, settle
from billing.refusals import CannotChange, Corrected, MoneyAttached, ReasonMissing
from billing.rewriting import Before, as_they_are, save_changed, write_again
from billing.steps import Step
from billing.wallets import apply_credits, lock_wallets, return_credits
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from customers.models import Customer
from customers.periods import Period

BATCH = 500
REFUSALS = (Refused, ValidationError, *FORESEEN)

logger = logging.getLogger(__name__)

__all__ = ["CannotChange", "Corrected", "MoneyAttached", "ReasonMissing"]


def finalize(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Give a draft its number and freeze it. Finalized already: returned as it is. `CannotChange` if void or held back.

    The number is the next of the series picked for it, else of the default one; it is drawn in this transaction, so a
    failure leaves no gap. Prepaid credit is taken as it is by now. An invoice of nothing to pay is paid at once. One
    below zero becomes credit of the customer.
    """
    with transaction.atomic():
        locked = locked_invoice(invoice)
        if locked.state == InvoiceState.VOID:
            raise CannotChange(f"{locked} is void. Reissue it instead.")
        if locked.held_at is not None:
            raise CannotChange(f"{locked} is held back: {locked.hold_reason}. Release it first.")
        if locked.is_draft:
            _finalize([locked], as_they_are([locked]), now=now, by=by)
        return locked


def _finalize(drafts: Sequence[Invoice], before: Before, *, now: datetime, by: User | None) -> None:
    """Finalize locked drafts, in their order, and save what changed on them since `before`.

    Whoever draws a number makes all others wait who want one: it is drawn when nothing else is left to be waited for.
    """
    sold_by, wallets = seller(), lock_wallets(drafts, by=by)
    for invoice in drafts:
        invoice.state = InvoiceState.FINALIZED
        invoice.billed_to, invoice.seller = billed_to(invoice.customer), sold_by
        invoice.issued_at = invoice.finalized_at = now
        invoice.due_at = invoice.due_at or now + timedelta(days=net_days(invoice))
        invoice.finalized_by = by
    numbers = draw_numbers(SeriesUse.INVOICE, [draft.series_id for draft in drafts])
    for invoice, (series, number) in zip(drafts, numbers, strict=True):
        invoice.series, invoice.number = series, number
    apply_credits(drafts, wallets, now=now, by=by)
    for invoice in drafts:
        settle(invoice, now=now)
    with recorded(by=by):
        save_changed(drafts, before)
    _announce_finalized(drafts, now=now)


def _announce_finalized(invoices: Sequence[Invoice], *, now: datetime) -> None:
    announce(WebhookEvent.INVOICE_FINALIZED, invoices, now=now)
    paid_at_once = [invoice for invoice in invoices if invoice.state == InvoiceState.PAID]
    announce(WebhookEvent.INVOICE_PAYMENT, paid_at_once, now=now)


def billed_to(customer: Customer) -> dict[str, Any]:
    """Copy what an invoice says about its customer, so that later edits don't reach it."""
    fields = (
        "external_id", "name", "email", "contact", "address_line1", "address_line2", "address_city",
        "address_state", "address_postal_code", "address_country", "tax_id",
    )  # fmt: skip
    return {field: value for field in fields if (value := getattr(customer, field))}


def net_days(invoice: Invoice) -> int:
    """Return the days to pay: the subscription's, else the customer's, else the company's."""
    own = (invoice.subscription.net_days if invoice.subscription else None, invoice.customer.net_days)
    return next((days for days in own if days is not None), settings.INVOICE_DUE_DAYS)


def finalize_due(*, now: datetime) -> int:
    """Finalize all drafts whose grace period is over, recomputed first; return how many. A batch a transaction.

    Drafts that somebody else holds, or that can't be worked out any more, are passed over and stay drafts. One that is
    refused doesn't stop the others of its batch: it is held back, with the reason.
    """
    finalized, after = 0, 0
    while True:
        done, after = finalize_next(after, now=now)
        finalized += done
        if not after:
            return finalized


def finalize_next(after: int, *, now: datetime) -> tuple[int, int]:
    """Finalize the next batch of drafts that are due, past a key; return how many, and past which key to go on.

    That is 0 when none are left. See `finalize_due`.
    """
    due = Invoice.objects.due_for_finalizing(now).filter(pk__gt=after).order_by("pk")
    batch = list(due.values_list("pk", flat=True)[:BATCH])
    return (_finalize_batch(batch, now=now), batch[-1]) if batch else (0, 0)


def _finalize_batch(keys: Sequence[int], *, now: datetime) -> int:
    try:
        with transaction.atomic():
            due = _locked_due(keys, now=now)
            before = as_they_are(due)
            ready = _recompute(due, now=now)
            if ready:
                _finalize(ready, before, now=now, by=None)
            return len(ready)
    except REFUSALS as refused:
        if len(keys) == 1:
            _hold_refused(keys[0], refused, now=now)
            return 0
    middle = len(keys) // 2  # so that one that is refused costs a few batches more, and not one for each draft
    return _finalize_batch(keys[:middle], now=now) + _finalize_batch(keys[middle:], now=now)


def _locked_due(keys: Sequence[int], *, now: datetime) -> list[Invoice]:
    due = Invoice.objects.due_for_finalizing(now).filter(pk__among=keys).order_by("pk")
    locked = due.select_for_update(no_key=True, skip_locked=True, of=("self",))
    return list(locked.select_related("customer", "subscription"))


def _hold_refused(key: int, refused: Exception, *, now: datetime) -> None:
    """Hold a draft back for staff to look at. One that somebody else works on is tried again the next time."""
    says = "; ".join(refused.messages) if isinstance(refused, ValidationError) else str(refused)
    reason = f"It couldn't be finalized: {says}"[:255]
    with transaction.atomic(), recorded(by=None, reason=reason):
        for draft in _locked_due([key], now=now):
            logger.warning("%s is held back. %s", draft, reason)
            draft.held_at, draft.hold_reason = now, reason
            draft.save(update_fields=["held_at", "hold_reason", "updated_at"])


def recompute(invoice: Invoice, *, now: datetime) -> Invoice:
    """Work a draft out anew from the usage and phases as they are now. Lines that people added stay.

    Raises `CannotChange` if it isn't a draft, isn't a subscription's, or can't be worked out.
    """
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is finalized and never changes.")
        if locked.subscription_id is None:
            raise CannotChange("A one-off invoice isn't computed: its lines are written by hand.")
        before = as_they_are([locked])
        if not _recompute([locked], now=now):
            raise CannotChange(compute_again([locked])[0].problem)
        save_changed([locked], before)
        announce(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def _recompute(drafts: Sequence[Invoice], *, now: datetime) -> list[Invoice]:
    """Rewrite the computed lines of locked drafts; return those that could be worked out, and one-off ones as is.

    Sets on the drafts what they come to; the caller saves them.
    """
    ours = [draft for draft in drafts if draft.subscription_id is not None]
    _lock_standings(ours)
    done = [draft for draft in drafts if draft.subscription_id is None]
    kept = InvoiceLine.objects.filter(invoice__in=ours).exclude(kind__in=COMPUTED_KINDS)
    by_hand: dict[int, list[InvoiceLine]] = {}
    for line in kept.order_by("invoice", "position"):
        by_hand.setdefault(line.invoice_id, []).append(line)
    fresh = zip(ours, compute_again(ours, kept=by_hand), strict=True)
    good = [(draft, computed) for draft, computed in fresh if not computed.problem]
    write_again(good, by_hand)
    replaced = [draft for draft, _ in good]
    for draft in replaced:
        draft.computed_at = now
    return sorted([*done, *replaced], key=lambda draft: draft.pk)


def compute_again(
    invoices: Sequence[Invoice], *, kept: Mapping[int, Sequence[InvoiceLine]] | None = None
) -> list[Computed]:
    """Work out invoices of subscriptions once more, each as if it weren't there. In a transaction.

    Those of one subscription follow one another, in their keys' order: each reckons with what the ones before it come
    to now, and with what those after it say so far. `kept` are their lines that stay, by invoice.
    """
    conditions = load_conditions(
        {invoice.customer_id for invoice in invoices}, leaving_out=[invoice.pk for invoice in invoices], lock=True
    )
    found: dict[int, Computed] = {}
    waiting = sorted(invoices, key=lambda invoice: invoice.pk)
    while waiting:
        # Two invoices of one subscription lean on each other's fees, and only one takes its late usage.
        firsts = {invoice.subscription_id: invoice for invoice in reversed(waiting)}
        chosen = sorted(firsts.values(), key=lambda invoice: invoice.pk)
        computed = _compute_round(chosen, conditions, kept or {}, found)
        found |= dict(zip([invoice.pk for invoice in chosen], computed, strict=True))
        waiting = [invoice for invoice in waiting if invoice.pk not in found]
    return [found[invoice.pk] for invoice in invoices]


def _compute_round(
    invoices: Sequence[Invoice],
    conditions: Mapping[int, Conditions],
    kept: Mapping[int, Sequence[InvoiceLine]],
    done: Mapping[int, Computed],
) -> list[Computed]:
    ids = [invoice.subscription_id for invoice in invoices if invoice.subscription_id is not None]
    accounts = load_accounts(ids, leaving_out=[invoice.pk for invoice in invoices], since=_earliest(invoices))
    for account in accounts.values():
        account.conditions = conditions[account.customer_id]
        _reckon_with(account, done)
    works = [
        Work(accounts[invoice.subscription_id or 0], step_of(invoice), kept=kept.get(invoice.pk, ()))
        for invoice in invoices
    ]
    return compute_many(works)


def _reckon_with(account: Account, done: Mapping[int, Computed]) -> None:
    """Put what invoices come to now, by their keys, in the place of what is written of them."""
    worked_out = {pk: each for pk, each in done.items() if not each.problem}
    mine = [each for each in worked_out.values() if each.work.account.subscription_id == account.subscription_id]
    account.invoiced = [fee for fee in account.invoiced if fee.invoice_id not in worked_out]
    account.invoiced += [fee for each in mine for fee in fees_of(each)]
    taken = {line.adjustment_id for each in mine for line in each.lines}
    account.late = [item for item in account.late if item.adjustment_id not in taken]


def _earliest(invoices: Sequence[Invoice]) -> datetime | None:
    return min((invoice.period_start for invoice in invoices if invoice.period_start is not None), default=None)


def step_of(invoice: Invoice) -> Step:
    """Return the step that a subscription's invoice was made for."""
    if invoice.period_start is None or invoice.period_end is None:
        raise CannotChange(f"{invoice} has no period.")
    period = Period(invoice.period_start, invoice.period_end)
    return Step(invoice.kind, period, period.start if invoice.kind == InvoiceKind.OPENING else period.end)


def void(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void a finalized invoice; it keeps its number. Its period can then be invoiced again, by `reissue`.

    Prepaid credit and uses of discounts go back to the customer; credit that it gave is taken back. Void already:
    returned as it is. Raises `MoneyAttached` if anything was paid, its kind `Corrected` if it has a credit note,
    `CreditSpent` if the credit that it gave is used up, `CannotChange` for a draft (delete it), `ReasonMissing` without
    a reason. Late usage that it carried waits for the next invoice; of a subscription that has ended, for approval or
    for the replacement.
    """
    return _void(invoice, reason=reason, by=by, now=now)


def _void(invoice: Invoice, *, reason: str, by: User | None, now: datetime, is_replaced: bool = False) -> Invoice:
    if not reason.strip():
        raise ReasonMissing("Say why the invoice is voided.")
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if locked.state == InvoiceState.VOID:
            return locked
        if locked.is_draft:
            raise CannotChange("A draft isn't voided: recompute or delete it.")
        if locked.amount_paid:
            raise MoneyAttached(f"{locked} has a payment. Refund it first, or write a credit note.")
        if locked.credit_notes.exclude(state=CreditNoteState.VOID).exists():
            raise Corrected(f"{locked} has a credit note. Void that first.")
        locked.state, locked.voided_at, locked.voided_by = InvoiceState.VOID, now, by
        locked.void_reason, locked.paid_at = reason.strip(), None
        _lock_standings([locked])
        lock_coupons([locked.customer_id])  # before the wallets: a replacement will use them
        return_credits(locked, now=now, by=by)
        CouponUse.objects.filter(invoice=locked, returned_at=None).update(returned_at=now)
        with recorded(by=by, reason=locked.void_reason):
            locked.save()
        announce(WebhookEvent.INVOICE_VOIDED, [locked], now=now)
        if is_replaced:
            give_back_own(locked)
        else:
            give_back(locked, _state_of_returned(locked))
        if locked.kind in OF_USAGE and not step_of(locked).is_settlement:
            drop(locked)
        return locked


def _state_of_returned(invoice: Invoice) -> LateState:
    """Have what an ended subscription's void invoice carried wait for approval: the next hour would draft it again."""
    is_ended = BillingState.objects.filter(pk=invoice.subscription_id, due_at=None).exists()
    return LateState.HELD if is_ended else LateState.WAITING


def _lock_standings(invoices: Sequence[Invoice]) -> None:
    """Keep runs, and whoever works on late usage, out of these subscriptions. After the invoices' own locks."""
    ids = [invoice.subscription_id for invoice in invoices]
    list(BillingState.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))


def reissue(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void an invoice, if it isn't yet, and draft its replacement from what is known now, in one transaction.

    Replaced already: the replacement is returned. If the replacement can't be worked out, nothing is voided
    (`CannotChange`). It is made also when nothing is left to charge. It carries the late usage that the void one did,
    unless somebody decided about it since.
    """
    with transaction.atomic():
        old = _void(invoice, reason=reason, by=by, now=now, is_replaced=True)
        replacement = Invoice.objects.filter(replaces=old).first()
        if replacement is not None:
            return replacement
        if old.subscription_id is None:
            raise CannotChange("A one-off invoice isn't computed: write a new one.")
        _lock_standings([old])
        take_again(old)
        computed = compute_again([old])[0]
        if computed.problem:
            raise CannotChange(computed.problem)
        return _settled(issue(computed, now=now, replaces=old), now=now)


def _settled(draft: Invoice, *, now: datetime) -> Invoice:
    """Take off a replacement, which charges all usage of its period, what was settled of it as late usage elsewhere."""
    period = step_of(draft).period
    has_usage = draft.kind in OF_USAGE and period.start < period.end
    if has_usage and reconcile(draft.subscription_id or 0, [period], now=now, settling=True):
        before = as_they_are([draft])
        save_changed(_recompute([draft], now=now), before)
    return draft


def delete_draft(invoice: Invoice) -> None:
    """Delete a draft that isn't a subscription's. One of a subscription is recomputed: its period must be invoiced."""
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is finalized and can't be deleted: void it.")
        if locked.subscription_id is not None:
            raise CannotChange("A subscription's draft isn't deleted: recompute it, or finalize and void it.")
        locked.delete()


def mark_paid(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record a payment of all that is left on a finalized invoice. Paid already: returned as it is, else refused."""
    return pay_the_rest(invoice, now=now, by=by)
