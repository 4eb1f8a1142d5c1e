"""Recalculate drafts. Lines are saved only where something changed, the invoices themselves in one statement."""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.adjustments.conditions import Conditions
from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices, fees_of, record_commitments
from billing.invoicing.conditions import load_conditions
from billing.invoicing.issue import invoice_rows, save_coupon_uses
from billing.invoicing.late_adjustments import attach_to_lines, move_aside
from billing.invoicing.subscriptions import load_subscriptions, with_payers
from billing.invoicing.totals import delete_coupon_uses, save_charge_adjustments, set_totals
from billing.kinds import COMPUTED_KINDS, IN_ADVANCE_KINDS, LineKind
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
from customers.models import Subscription
from customers.periods import Period

type Snapshot = Mapping[int, Invoice]
KEYS = ("id", "public_id")


def snapshot(invoices: Sequence[Invoice]) -> Snapshot:
    """Copy invoices, by their keys, so that `save_changes` finds what changed."""
    return {invoice.pk: copy(invoice) for invoice in invoices}


def save_changes(invoices: Sequence[Invoice], before: Snapshot) -> None:
    """Save what changed on locked invoices since the snapshot, with its history, in two statements."""
    pairs = [(before[invoice.pk], invoice) for invoice in invoices]
    columns = {
        field.attname
        for field in Invoice._meta.concrete_fields
        if any(getattr(old, field.attname) != getattr(new, field.attname) for old, new in pairs)
    }
    if columns:
        update_in(invoices, {*columns, "updated_at"})
        record_changes(pairs)


def rewrite_lines(
    invoices: Sequence[tuple[Invoice, ComputedInvoice]], kept: Mapping[int, Sequence[InvoiceLine]]
) -> None:
    """Set the drafts' new totals and replace their calculated lines, except where the lines are equal.

    The caller saves the drafts. `kept` are the drafts' lines that stay; their discounts and taxes are updated.
    """
    drafts = [draft for draft, _ in invoices]
    saved_lines = _computed_lines(drafts)
    changed: list[tuple[Invoice, ComputedInvoice]] = []
    rows: list[list[InvoiceLine]] = []
    for draft, computed in invoices:
        set_totals(draft, computed.adjusted)
        new_lines = invoice_rows(draft, computed)
        if not _are_equal(saved_lines.get(draft.pk, []), new_lines):
            changed.append((draft, computed))
            rows.append(new_lines)
    if changed:
        old = InvoiceLine.objects.filter(invoice__among=[draft.pk for draft, _ in changed], kind__in=COMPUTED_KINDS)
        old.exclude(kind=LineKind.LATE_USAGE).delete()
        carried = move_aside(old)
        copy_in([row for draft_rows in rows for row in draft_rows])
        attach_to_lines([computed.lines for _, computed in changed], rows)
        carried.delete()
    delete_coupon_uses(drafts)
    save_charge_adjustments([line for draft in drafts for line in kept.get(draft.pk, [])])
    save_coupon_uses(invoices)


def _computed_lines(drafts: Sequence[Invoice]) -> dict[int, list[InvoiceLine]]:
    lines_by_invoice: dict[int, list[InvoiceLine]] = {}
    lines = InvoiceLine.objects.filter(invoice__among=[draft.pk for draft in drafts], kind__in=COMPUTED_KINDS)
    for line in lines.order_by("invoice", "position"):
        lines_by_invoice.setdefault(line.invoice_id, []).append(line)
    return lines_by_invoice


def _are_equal(saved: Sequence[InvoiceLine], new: Sequence[InvoiceLine]) -> bool:
    """Return whether lines are equal, proofs included. Late usage never is: adjustments refer to its saved lines."""
    if len(saved) != len(new) or any(line.kind == LineKind.LATE_USAGE for line in (*saved, *new)):
        return False
    return all(_contents(old) == _contents(line) for old, line in zip(saved, new, strict=True))


def _contents(line: InvoiceLine) -> dict[str, Any]:
    contents = {field.attname: getattr(line, field.attname) for field in line._meta.concrete_fields}
    contents["computation"] = json.loads(json.dumps(line.computation))  # as the database returns it
    return {name: value for name, value in contents.items() if name not in KEYS}


def recompute(invoice: Invoice, *, now: datetime) -> Invoice:
    """Recalculate a subscription's draft from its current usage and phases. Lines that people added stay.

    Raises `CannotChange` if the invoice isn't a draft, isn't a subscription's, or can't be calculated.
    """
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(no_key=True, of=("self",)).get(pk=invoice.pk)
        if not locked.is_draft:
            raise CannotChange(f"{locked} was finalized and can't change.")
        if locked.subscription_id is None:
            raise CannotChange("A one-off invoice can't be recalculated: its lines are entered by hand.")
        before = snapshot([locked])
        if not recompute_drafts([locked], now=now):
            raise CannotChange(recompute_invoices([locked], now=now)[0].problem)
        save_changes([locked], before)
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def recompute_drafts(drafts: Sequence[Invoice], *, now: datetime) -> list[Invoice]:
    """Recalculate locked drafts. Return those that could be calculated, and one-off drafts unchanged.

    Saves their lines and sets their totals; the caller saves the drafts.
    """
    one_off_drafts = [draft for draft in drafts if draft.subscription_id is None]
    subscription_drafts = [draft for draft in drafts if draft.subscription_id is not None]
    lock_billing_states(subscription_drafts)
    kept: dict[int, list[InvoiceLine]] = {}
    added_lines = InvoiceLine.objects.filter(invoice__in=subscription_drafts).exclude(kind__in=COMPUTED_KINDS)
    for line in added_lines.order_by("invoice", "position"):
        kept.setdefault(line.invoice_id, []).append(line)
    results = zip(subscription_drafts, recompute_invoices(subscription_drafts, now=now, kept=kept), strict=True)
    recomputed = [(draft, computed) for draft, computed in results if not computed.problem]
    rewrite_lines(recomputed, kept)
    for draft, computed in recomputed:
        payer_id = computed.request.subscription.payer_id
        if payer_id != draft.customer_id:
            draft.joint_id = None  # the other sections are another customer's
        draft.computed_at, draft.customer_id = now, payer_id
    return sorted([*one_off_drafts, *(draft for draft, _ in recomputed)], key=lambda draft: draft.pk)


def recompute_invoices(
    invoices: Sequence[Invoice], *, now: datetime, kept: Mapping[int, Sequence[InvoiceLine]] | None = None
) -> list[ComputedInvoice]:
    """Calculate invoices of subscriptions again, each as if it didn't exist. Call within a transaction.

    Invoices of one subscription are calculated one after another, in the order of their keys. Each takes into account
    the new amounts of those before it and the saved amounts of those after it. `kept` are lines that stay, by invoice.
    """
    conditions = load_conditions(_payers(invoices), leaving_out=[invoice.pk for invoice in invoices], lock=True)
    computed: dict[int, ComputedInvoice] = {}
    remaining = sorted(invoices, key=lambda invoice: invoice.pk)
    while remaining:
        # Invoices of one subscription depend on each other's fees, and only one of them takes its late usage.
        first_by_subscription = {invoice.subscription_id: invoice for invoice in reversed(remaining)}
        batch = sorted(first_by_subscription.values(), key=lambda invoice: invoice.pk)
        results = _compute_batch(batch, conditions, kept or {}, computed, now)
        computed |= dict(zip([invoice.pk for invoice in batch], results, strict=True))
        remaining = [invoice for invoice in remaining if invoice.pk not in computed]
    return [computed[invoice.pk] for invoice in invoices]


def _payers(invoices: Sequence[Invoice]) -> set[int]:
    """Return who gets the invoices of these subscriptions now."""
    ids = [invoice.subscription_id for invoice in invoices if invoice.subscription_id is not None]
    return set(with_payers(Subscription.objects.filter(pk__in=ids)).values_list("payer", flat=True))


def _compute_batch(
    invoices: Sequence[Invoice],
    conditions: Mapping[int, Conditions],
    kept: Mapping[int, Sequence[InvoiceLine]],
    computed: Mapping[int, ComputedInvoice],
    now: datetime,
) -> list[ComputedInvoice]:
    ids = [invoice.subscription_id for invoice in invoices if invoice.subscription_id is not None]
    subscriptions = load_subscriptions(ids, leaving_out=[invoice.pk for invoice in invoices], since=_earliest(invoices))
    for subscription in subscriptions.values():
        subscription.conditions = conditions[subscription.payer_id]
        _apply_computed(subscription, computed)
    requests = [
        InvoiceRequest(
            subscriptions[invoice.subscription_id or 0],
            next_invoice_of(invoice, subscriptions[invoice.subscription_id or 0]),
            kept=kept.get(invoice.pk, ()),
            now=now,
        )
        for invoice in invoices
    ]
    return compute_invoices(requests)


def _apply_computed(subscription: BilledSubscription, computed: Mapping[int, ComputedInvoice]) -> None:
    """Replace the saved charges of recalculated invoices by their new charges, without late usage that they charge."""
    recomputed = {pk: invoice for pk, invoice in computed.items() if not invoice.problem}
    earlier_invoices = [
        invoice
        for invoice in recomputed.values()
        if invoice.request.subscription.subscription_id == subscription.subscription_id
    ]
    subscription.invoiced = [fee for fee in subscription.invoiced if fee.invoice_id not in recomputed]
    subscription.invoiced += [fee for invoice in earlier_invoices for fee in fees_of(invoice)]
    committed = subscription.committed
    committed.usage = [usage for usage in committed.usage if usage.invoice_id not in recomputed]
    committed.invoiced = [line for line in committed.invoiced if line.invoice_id not in recomputed]
    for invoice in earlier_invoices:
        record_commitments(subscription, invoice)
    charged = {charge.adjustment_id for invoice in earlier_invoices for charge in invoice.lines}
    subscription.late = [item for item in subscription.late if item.adjustment_id not in charged]


def _earliest(invoices: Sequence[Invoice]) -> datetime | None:
    return min((invoice.period_start for invoice in invoices if invoice.period_start is not None), default=None)


def next_invoice_of(invoice: Invoice, subscription: BilledSubscription | None = None) -> NextInvoice:
    """Return the kind, period and due date that a subscription's invoice was calculated for.

    An opening invoice is due when the subscription becomes active; without the subscription, at the period's start.
    """
    if invoice.period_start is None or invoice.period_end is None:
        raise CannotChange(f"{invoice} has no period.")
    period = Period(invoice.period_start, invoice.period_end)
    kind = InvoiceKind(invoice.kind)
    if kind not in IN_ADVANCE_KINDS:
        return NextInvoice(kind, period, period.end)
    opens_at = subscription.first_active() if subscription is not None and kind == InvoiceKind.OPENING else None
    return NextInvoice(kind, period, max(period.start, opens_at or period.start))


def lock_billing_states(invoices: Sequence[Invoice]) -> None:
    """Keep billing runs and late usage checks away from these subscriptions. Call after locking the invoices."""
    ids = [invoice.subscription_id for invoice in invoices]
    list(BillingState.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))
