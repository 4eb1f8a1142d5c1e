"""What becomes of an invoice after it is drafted: recomputed, finalized, paid, void, replaced.

Every function locks the invoice's row first, so two of them never work on one invoice at once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from billing.announcing import announce
from billing.invoicing import Computed, Work, compute_many, issue, rows_of, set_totals
from billing.lines import COMPUTED_KINDS, total_of
from billing.loading import load_accounts
from billing.models import BillingState, Invoice, InvoiceKind, InvoiceLine, InvoiceState, NumberSeries
from billing.money import ZERO
from billing.steps import Step
from catalog.history import recorded
from catalog.refusals import Refused
from config.copying import copy_in
from config.webhooks.names import WebhookEvent
from customers.models import Customer
from customers.periods import Period

SERIES = "invoices"
BATCH = 100


class CannotChange(Refused):
    """The invoice isn't in a state that allows this. The message is for staff."""


class MoneyAttached(CannotChange):
    """The invoice can't be voided: money was paid on it."""


class ReasonMissing(Refused):
    """Voiding needs a reason."""


def finalize(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Give a draft its number and freeze it. Finalized already: returned as it is. Raises `CannotChange` if void.

    The number is the series' next; it is drawn in this transaction, so a failure leaves no gap. An invoice of
    nothing to pay is paid at once. One below zero is owed to the customer and stays open.
    """
    with transaction.atomic():
        series = _locked_series()
        rows = Invoice.objects.select_for_update(of=("self",)).select_related("customer", "subscription")
        locked = rows.get(pk=invoice.pk)
        was_draft = locked.is_draft
        _finalize(locked, series, now=now, by=by)
        if was_draft:
            _announce_finalized([locked], now=now)
        return locked


def _finalize(invoice: Invoice, series: NumberSeries, *, now: datetime, by: User | None) -> Invoice:
    if invoice.state == InvoiceState.VOID:
        raise CannotChange(f"{invoice} is void. Reissue it instead.")
    if invoice.state != InvoiceState.DRAFT:
        return invoice
    invoice.number = f"{series.prefix}{series.next_number:0{series.width}d}"
    invoice.series = series
    series.next_number += 1
    series.save(update_fields=["next_number"])
    invoice.state = InvoiceState.FINALIZED
    invoice.billed_to = billed_to(invoice.customer)
    invoice.issued_at = invoice.finalized_at = now
    invoice.due_at = now + timedelta(days=net_days(invoice))
    invoice.finalized_by = by
    if invoice.amount_due == 0:
        invoice.state, invoice.paid_at = InvoiceState.PAID, now
    with recorded(by=by):
        invoice.save()
    return invoice


def _announce_finalized(invoices: Sequence[Invoice], *, now: datetime) -> None:
    announce(WebhookEvent.INVOICE_FINALIZED, invoices, now=now)
    paid_at_once = [invoice for invoice in invoices if invoice.state == InvoiceState.PAID]
    announce(WebhookEvent.INVOICE_PAYMENT, paid_at_once, now=now)


def _locked_series() -> NumberSeries:
    """Lock the series that numbers are drawn from, making it the first time. Others wait until we have committed."""
    NumberSeries.objects.get_or_create(name=SERIES, defaults={"prefix": "INV-"})
    return NumberSeries.objects.select_for_update().get(name=SERIES)


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

    Drafts that somebody else holds, or that can't be worked out any more, are passed over and stay drafts.
    """
    finalized, last = 0, 0
    while True:
        with transaction.atomic():
            due = Invoice.objects.due_for_finalizing(now).filter(pk__gt=last).order_by("pk")
            locked = due.select_for_update(skip_locked=True, of=("self",)).select_related("customer", "subscription")
            batch = list(locked[:BATCH])
            if not batch:
                return finalized
            last = batch[-1].pk
            ready = _recompute(batch, now=now)
            series = _locked_series()
            for invoice in ready:
                _finalize(invoice, series, now=now, by=None)
            _announce_finalized(ready, now=now)
            finalized += len(ready)


def recompute(invoice: Invoice, *, now: datetime) -> Invoice:
    """Work a draft out anew from the usage and phases as they are now. Lines that people added stay.

    Raises `CannotChange` if it isn't a draft, isn't a subscription's, or can't be worked out.
    """
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is finalized and never changes.")
        if locked.subscription_id is None:
            raise CannotChange("A one-off invoice isn't computed: its lines are written by hand.")
        if not _recompute([locked], now=now):
            raise CannotChange(compute_again([locked])[0].problem)
        announce(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def _recompute(drafts: Sequence[Invoice], *, now: datetime) -> list[Invoice]:
    """Rewrite the computed lines of locked drafts; return those that could be worked out, and one-off ones as is."""
    ours = [draft for draft in drafts if draft.subscription_id is not None]
    done = [draft for draft in drafts if draft.subscription_id is None]
    fresh = zip(ours, compute_again(ours), strict=True)
    good = [(draft, computed) for draft, computed in fresh if not computed.problem]
    InvoiceLine.objects.filter(invoice__in=[draft for draft, _ in good], kind__in=COMPUTED_KINDS).delete()
    kept = InvoiceLine.objects.filter(invoice__in=[draft for draft, _ in good]).order_by("invoice", "position")
    by_hand: dict[int, list[InvoiceLine]] = {}
    for line in kept:
        by_hand.setdefault(line.invoice_id, []).append(line)
    rows: list[InvoiceLine] = []
    for draft, computed in good:
        mine = by_hand.get(draft.pk, [])
        rows += _after(mine, rows_of(draft, computed.lines))
        set_totals(draft, total_of(computed.lines) + sum((line.amount for line in mine), ZERO))
        draft.computed_at = now
        draft.save()
    copy_in(rows)
    return sorted([*done, *(draft for draft, _ in good)], key=lambda draft: draft.pk)


def _after(kept: Sequence[InvoiceLine], fresh: list[InvoiceLine]) -> list[InvoiceLine]:
    """Number fresh lines past those that stay."""
    base = max((line.position for line in kept), default=0)
    for line in fresh:
        line.position += base
    return fresh


def compute_again(invoices: Sequence[Invoice]) -> list[Computed]:
    """Work out invoices of subscriptions once more, each as if it weren't there."""
    found: dict[int, Computed] = {}
    waiting = list(invoices)
    while waiting:
        # Two invoices of one subscription lean on each other's fees, so they go in different rounds.
        firsts = {invoice.subscription_id: invoice for invoice in reversed(waiting)}
        chosen = list(firsts.values())
        found |= dict(zip([invoice.pk for invoice in chosen], _compute_round(chosen), strict=True))
        waiting = [invoice for invoice in waiting if invoice.pk not in found]
    return [found[invoice.pk] for invoice in invoices]


def _compute_round(invoices: Sequence[Invoice]) -> list[Computed]:
    ids = [invoice.subscription_id for invoice in invoices if invoice.subscription_id is not None]
    accounts = load_accounts(ids, leaving_out=[invoice.pk for invoice in invoices], since=_earliest(invoices))
    works = [Work(accounts[invoice.subscription_id or 0], step_of(invoice)) for invoice in invoices]
    return compute_many(works)


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

    Void already: returned as it is. Raises `MoneyAttached` if anything was paid, `CannotChange` for a draft (delete
    it), `ReasonMissing` without a reason.
    """
    if not reason.strip():
        raise ReasonMissing("Say why the invoice is voided.")
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
        if locked.state == InvoiceState.VOID:
            return locked
        if locked.is_draft:
            raise CannotChange("A draft isn't voided: recompute or delete it.")
        if locked.amount_paid:
            raise MoneyAttached(f"{locked} has a payment. Refund it first, or write a credit note.")
        locked.state, locked.voided_at, locked.voided_by = InvoiceState.VOID, now, by
        locked.void_reason, locked.paid_at = reason.strip(), None
        with recorded(by=by, reason=locked.void_reason):
            locked.save()
        announce(WebhookEvent.INVOICE_VOIDED, [locked], now=now)
        return locked


def reissue(invoice: Invoice, *, reason: str, by: User | None, now: datetime) -> Invoice:
    """Void an invoice, if it isn't yet, and draft its replacement from what is known now, in one transaction.

    Replaced already: the replacement is returned. If the replacement can't be worked out, nothing is voided
    (`CannotChange`). It is made also when nothing is left to charge.
    """
    with transaction.atomic():
        old = void(invoice, reason=reason, by=by, now=now)
        replacement = Invoice.objects.filter(replaces=old).first()
        if replacement is not None:
            return replacement
        if old.subscription_id is None:
            raise CannotChange("A one-off invoice isn't computed: write a new one.")
        BillingState.objects.select_for_update().filter(pk=old.subscription_id).first()  # keeps a run out
        computed = compute_again([old])[0]
        if computed.problem:
            raise CannotChange(computed.problem)
        return issue(computed, now=now, replaces=old)


def delete_draft(invoice: Invoice) -> None:
    """Delete a draft that isn't a subscription's. One of a subscription is recomputed: its period must be invoiced."""
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} is finalized and can't be deleted: void it.")
        if locked.subscription_id is not None:
            raise CannotChange("A subscription's draft isn't deleted: recompute it, or finalize and void it.")
        locked.delete()


def mark_paid(invoice: Invoice, *, now: datetime, by: User | None = None) -> Invoice:
    """Record that a finalized invoice was paid in full. Paid already: returned as it is. Else `CannotChange`."""
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
        if locked.state == InvoiceState.PAID:
            return locked
        if locked.state != InvoiceState.FINALIZED:
            raise CannotChange(f"{locked} is {locked.get_state_display().lower()}: only a finalized invoice is paid.")
        if locked.amount_due < 0:
            raise CannotChange(f"{locked} is owed to the customer, not by them.")
        locked.state, locked.amount_paid, locked.paid_at = InvoiceState.PAID, locked.amount_due, now
        with recorded(by=by):
            locked.save()
        announce(WebhookEvent.INVOICE_PAYMENT, [locked], now=now)
        return locked
