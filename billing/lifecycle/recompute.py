"""Writes locked drafts anew: lines only where something changed, the invoices' own rows in one statement."""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.adjustments.conditions import Conditions
from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices, fees_of
from billing.invoicing.conditions import load_conditions
from billing.invoicing.issue import invoice_rows, write_uses
from billing.invoicing.late_adjustments import attach_to_lines, move_aside
from billing.invoicing.subscriptions import load_subscriptions
from billing.invoicing.totals import forget_uses, save_parts, set_totals
from billing.kinds import COMPUTED_KINDS, LineKind
from billing.models import (
    BillingState,
    Invoice,
    InvoiceKind,
    InvoiceLine,
)
from billing.notifications import notify
from billing.refusals import CannotChange
from config.audit import record_changes
from config.db.bulk_insert import copy_in
from config.db.bulk_update import update_in
from config.webhooks.names import WebhookEvent
from customers.periods import Period

type Before = Mapping[int, Invoice]
KEYS = ("id", "public_id")


def as_they_are(invoices: Sequence[Invoice]) -> Before:
    """Keep invoices as they are now, by their keys, to tell later what changed."""
    return {invoice.pk: copy(invoice) for invoice in invoices}


def save_changed(invoices: Sequence[Invoice], before: Before) -> None:
    """Write what changed on locked invoices since `as_they_are`, in two statements, the history's among them."""
    pairs = [(before[invoice.pk], invoice) for invoice in invoices]
    columns = {
        field.attname
        for field in Invoice._meta.concrete_fields
        if any(getattr(was, field.attname) != getattr(now, field.attname) for was, now in pairs)
    }
    if columns:
        update_in(invoices, {*columns, "updated_at"})
        record_changes(pairs)


def write_again(found: Sequence[tuple[Invoice, ComputedInvoice]], kept: Mapping[int, Sequence[InvoiceLine]]) -> None:
    """Set what locked drafts come to now, and write their lines; those of a draft whose lines are the same stay.

    The drafts themselves are saved by the caller. `kept` are lines of theirs that stay, brought up to date.
    """
    drafts = [draft for draft, _ in found]
    written = _computed_lines(drafts)
    changed: list[tuple[Invoice, ComputedInvoice]] = []
    rows: list[list[InvoiceLine]] = []
    for draft, computed in found:
        set_totals(draft, computed.adjusted)
        fresh = invoice_rows(draft, computed)
        if not _are_the_same(written.get(draft.pk, []), fresh):
            changed.append((draft, computed))
            rows.append(fresh)
    if changed:
        old = InvoiceLine.objects.filter(invoice__among=[draft.pk for draft, _ in changed], kind__in=COMPUTED_KINDS)
        old.exclude(kind=LineKind.LATE_USAGE).delete()
        carried = move_aside(old)
        copy_in([row for own in rows for row in own])
        attach_to_lines([computed.lines for _, computed in changed], rows)
        carried.delete()
    forget_uses(drafts)
    save_parts([line for draft in drafts for line in kept.get(draft.pk, [])])
    write_uses(found)


def _computed_lines(drafts: Sequence[Invoice]) -> dict[int, list[InvoiceLine]]:
    found: dict[int, list[InvoiceLine]] = {}
    lines = InvoiceLine.objects.filter(invoice__among=[draft.pk for draft in drafts], kind__in=COMPUTED_KINDS)
    for line in lines.order_by("invoice", "position"):
        found.setdefault(line.invoice_id, []).append(line)
    return found


def _are_the_same(written: Sequence[InvoiceLine], fresh: Sequence[InvoiceLine]) -> bool:
    """Tell whether lines say the same, their proofs too. Late usage is always written anew: adjustments hang on it."""
    if len(written) != len(fresh) or any(line.kind == LineKind.LATE_USAGE for line in (*written, *fresh)):
        return False
    return all(_says(old) == _says(new) for old, new in zip(written, fresh, strict=True))


def _says(line: InvoiceLine) -> dict[str, Any]:
    says = {field.attname: getattr(line, field.attname) for field in line._meta.concrete_fields}
    says["computation"] = json.loads(json.dumps(line.computation))  # as the database gives it back
    return {name: value for name, value in says.items() if name not in KEYS}


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
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def _recompute(drafts: Sequence[Invoice], *, now: datetime) -> list[Invoice]:
    """Rewrite the computed lines of locked drafts; return those that could be worked out, and one-off ones as is.

    Sets on the drafts what they come to; the caller saves them.
    """
    ours = [draft for draft in drafts if draft.subscription_id is not None]
    _lock_billing_states(ours)
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
) -> list[ComputedInvoice]:
    """Work out invoices of subscriptions once more, each as if it weren't there. In a transaction.

    Those of one subscription follow one another, in their keys' order: each reckons with what the ones before it come
    to now, and with what those after it say so far. `kept` are their lines that stay, by invoice.
    """
    conditions = load_conditions(
        {invoice.customer_id for invoice in invoices}, leaving_out=[invoice.pk for invoice in invoices], lock=True
    )
    found: dict[int, ComputedInvoice] = {}
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
    done: Mapping[int, ComputedInvoice],
) -> list[ComputedInvoice]:
    ids = [invoice.subscription_id for invoice in invoices if invoice.subscription_id is not None]
    subscriptions = load_subscriptions(ids, leaving_out=[invoice.pk for invoice in invoices], since=_earliest(invoices))
    for subscription in subscriptions.values():
        subscription.conditions = conditions[subscription.customer_id]
        _reckon_with(subscription, done)
    works = [
        InvoiceRequest(
            subscriptions[invoice.subscription_id or 0], next_invoice_of(invoice), kept=kept.get(invoice.pk, ())
        )
        for invoice in invoices
    ]
    return compute_invoices(works)


def _reckon_with(subscription: BilledSubscription, done: Mapping[int, ComputedInvoice]) -> None:
    """Put what invoices come to now, by their keys, in the place of what is written of them."""
    worked_out = {pk: each for pk, each in done.items() if not each.problem}
    mine = [
        each for each in worked_out.values() if each.work.subscription.subscription_id == subscription.subscription_id
    ]
    subscription.invoiced = [fee for fee in subscription.invoiced if fee.invoice_id not in worked_out]
    subscription.invoiced += [fee for each in mine for fee in fees_of(each)]
    taken = {line.adjustment_id for each in mine for line in each.lines}
    subscription.late = [item for item in subscription.late if item.adjustment_id not in taken]


def _earliest(invoices: Sequence[Invoice]) -> datetime | None:
    return min((invoice.period_start for invoice in invoices if invoice.period_start is not None), default=None)


def next_invoice_of(invoice: Invoice) -> NextInvoice:
    """Return the step that a subscription's invoice was made for."""
    if invoice.period_start is None or invoice.period_end is None:
        raise CannotChange(f"{invoice} has no period.")
    period = Period(invoice.period_start, invoice.period_end)
    return NextInvoice(
        InvoiceKind(invoice.kind), period, period.start if invoice.kind == InvoiceKind.OPENING else period.end
    )


def _lock_billing_states(invoices: Sequence[Invoice]) -> None:
    """Keep runs, and whoever works on late usage, out of these subscriptions. After the invoices' own locks."""
    ids = [invoice.subscription_id for invoice in invoices]
    list(BillingState.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))
