"""Save calculated invoices and their lines as rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.invoicing.compute import ComputedInvoice
from billing.invoicing.joint import join_drafts
from billing.invoicing.late_adjustments import attach_to_lines
from billing.invoicing.rows import rows_of
from billing.invoicing.totals import coupon_use_rows, set_charge_adjustments, set_totals
from billing.models import BillingRun, CouponUse, Invoice, InvoiceLine
from billing.notifications import notify
from config.db.bulk_insert import copy_in, new_row
from config.webhooks.names import WebhookEvent


def issue_invoice(
    computed: ComputedInvoice, *, now: datetime, run: BillingRun | None = None, replaces: Invoice | None = None
) -> Invoice:
    """Save one calculated invoice with its lines as a draft. See `issue_invoices`."""
    return issue_invoices([computed], now=now, run=run, replaces=replaces)[0]


def issue_invoices(
    computed_invoices: Sequence[ComputedInvoice],
    *,
    now: datetime,
    run: BillingRun | None = None,
    replaces: Invoice | None = None,
) -> list[Invoice]:
    """Save calculated invoices as drafts, all or none, in a fixed number of statements.

    Drafts of customers with joint invoices become sections of them. A draft that replaces a void invoice keeps its memo
    and PO number, and is never finalized automatically. Raises `IntegrityError` if one's period already has an invoice
    of its kind that isn't void.
    """
    drafts = [draft_invoice(computed, now=now) for computed in computed_invoices]
    for draft in drafts:
        draft.run, draft.replaces = run, replaces
        if replaces is not None:
            draft.memo, draft.po_number, draft.finalize_at = replaces.memo, replaces.po_number, None
    with transaction.atomic():
        if replaces is None:
            join_drafts(drafts, computed_invoices)
        copy_in(drafts)
        rows = [invoice_rows(draft, computed) for draft, computed in zip(drafts, computed_invoices, strict=True)]
        copy_in([row for draft_rows in rows for row in draft_rows])
        save_coupon_uses(zip(drafts, computed_invoices, strict=True))
        notify(WebhookEvent.INVOICE_DRAFTED, drafts, now=now)
        attach_to_lines([computed.lines for computed in computed_invoices], rows)
    return drafts


def draft_invoice(computed: ComputedInvoice, *, now: datetime) -> Invoice:
    """Return the unsaved draft of a calculated invoice. Its grace period begins now."""
    subscription, invoice = computed.request.subscription, computed.request.invoice
    columns = {
        "customer_id": subscription.payer_id,
        "subscription_id": subscription.subscription_id,
        "kind": invoice.kind,
        "currency": subscription.currency,
        "period_start": invoice.period.start,
        "period_end": invoice.period.end,
        "computed_at": now,
        "finalize_at": now + timedelta(days=settings.INVOICE_GRACE_DAYS),
    }
    draft = new_row(Invoice, columns)
    set_totals(draft, computed.adjusted)
    return draft


def save_coupon_uses(invoices: Iterable[tuple[Invoice, ComputedInvoice]]) -> None:
    """Save which coupons the drafts use: one statement for all drafts, or none if they use none."""
    uses = [use for draft, computed in invoices for use in coupon_use_rows(draft, computed.adjusted)]
    if uses:
        CouponUse.objects.bulk_create(uses)


def invoice_rows(invoice: Invoice, computed: ComputedInvoice) -> list[InvoiceLine]:
    """Return an invoice's unsaved rows: its charges with their discounts and taxes, then lines of discounts and taxes.

    Kept lines come first and get their current discounts and taxes.
    """
    kept = computed.request.kept
    last_position = max((line.position for line in kept), default=0)
    set_charge_adjustments(kept, computed.adjusted.charges[: len(kept)])
    return rows_of(invoice, [*computed.lines, *computed.adjusted.lines], after=last_position)
