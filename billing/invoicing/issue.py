"""Write computed invoices and their lines as rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.invoicing.compute import ComputedInvoice
from billing.invoicing.late_adjustments import attach_to_lines
from billing.invoicing.rows import rows_of
from billing.invoicing.totals import set_parts, set_totals, uses_of
from billing.models import BillingRun, CouponUse, Invoice, InvoiceLine
from billing.notifications import notify
from config.db.bulk_insert import copy_in, new_row
from config.webhooks.names import WebhookEvent


def issue(
    computed: ComputedInvoice, *, now: datetime, run: BillingRun | None = None, replaces: Invoice | None = None
) -> Invoice:
    """Write one worked-out invoice as a draft, lines and all. `IntegrityError` if its period has a live one already."""
    return issue_many([computed], now=now, run=run, replaces=replaces)[0]


def issue_many(
    many: Sequence[ComputedInvoice], *, now: datetime, run: BillingRun | None = None, replaces: Invoice | None = None
) -> list[Invoice]:
    """Write worked-out invoices as drafts in a fixed number of statements, all or none."""
    invoices = [draft_invoice(each, now=now) for each in many]
    for invoice in invoices:
        invoice.run, invoice.replaces = run, replaces
    with transaction.atomic():
        copy_in(invoices)
        rows = [invoice_rows(invoice, each) for invoice, each in zip(invoices, many, strict=True)]
        copy_in([row for own in rows for row in own])
        write_uses(zip(invoices, many, strict=True))
        notify(WebhookEvent.INVOICE_DRAFTED, invoices, now=now)
        attach_to_lines([each.lines for each in many], rows)
    return invoices


def draft_invoice(computed: ComputedInvoice, *, now: datetime) -> Invoice:
    """Make the unsaved draft of a worked-out invoice. Its grace period begins now."""
    subscription, step = computed.work.subscription, computed.work.step
    columns = {
        "customer_id": subscription.customer_id,
        "subscription_id": subscription.subscription_id,
        "kind": step.kind,
        "currency": subscription.currency,
        "period_start": step.period.start,
        "period_end": step.period.end,
        "computed_at": now,
        "finalize_at": now + timedelta(days=settings.INVOICE_GRACE_DAYS),
    }
    invoice = new_row(Invoice, columns)
    set_totals(invoice, computed.adjusted)
    return invoice


def write_uses(found: Iterable[tuple[Invoice, ComputedInvoice]]) -> None:
    """Write which discounts written drafts use: one statement for all of them, none without discounts."""
    uses = [use for invoice, computed in found for use in uses_of(invoice, computed.adjusted)]
    if uses:
        CouponUse.objects.bulk_create(uses)


def invoice_rows(invoice: Invoice, computed: ComputedInvoice) -> list[InvoiceLine]:
    """Make the unsaved rows of an invoice: its charges, each with its part of discounts and taxes, then these.

    Kept lines are brought up to date, and numbered before.
    """
    kept = computed.work.kept
    base = max((line.position for line in kept), default=0)
    set_parts(kept, computed.adjusted.charges[: len(kept)])
    return rows_of(invoice, [*computed.lines, *computed.adjusted.lines], after=base)
