"""Extra lines of subscriptions' drafts: charges and credits that people add. Recalculating a draft keeps them."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from billing.lifecycle.one_off import Item, item_lines
from billing.lifecycle.recompute import recompute, recompute_invoices
from billing.models import Invoice, InvoiceLine, LineKind
from billing.money import format_amount
from billing.refusals import CannotChange
from billing.settlement.payments import lock_invoice
from config.audit import record_change, recorded


def extra_lines_of(invoice: Invoice) -> list[InvoiceLine]:
    """List the lines that people added to an invoice, in their order."""
    return list(invoice.lines.filter(kind=LineKind.ITEM).order_by("position"))


def set_extra_lines(invoice: Invoice, items: Sequence[Item], *, now: datetime, by: User | None) -> Invoice:
    """Replace the extra lines of a subscription's draft, and recalculate the draft with them.

    Discounts and taxes apply to extra lines as to other charges. No items remove all extra lines. Raises `CannotChange`
    for an invalid item, for a one-off invoice, and unless the invoice is a draft that can be calculated.
    """
    with transaction.atomic():
        locked = lock_invoice(invoice)
        _check_editable(locked)
        before = extra_lines_of(locked)
        last_position = locked.lines.aggregate(last=Max("position"))["last"] or 0
        after = _build_lines(locked, items, after=last_position)
        InvoiceLine.objects.filter(pk__in=[line.pk for line in before]).delete()
        InvoiceLine.objects.bulk_create(after)
        with recorded(by=by):
            record_change(locked, "extra lines", _describe(before), _describe(after))
            return recompute(locked, now=now)


def preview_extra_lines(invoice: Invoice, items: Sequence[Item], *, now: datetime) -> Decimal:
    """Return the draft's total with these extra lines in place of its own. Raises as `set_extra_lines`."""
    with transaction.atomic():
        _check_editable(invoice)
        kept = list(invoice.lines.filter(kind=LineKind.CREDIT))
        kept += _build_lines(invoice, items, after=0)
        computed = recompute_invoices([invoice], now=now, kept={invoice.pk: kept})[0]
        if computed.problem:
            raise CannotChange(computed.problem)
        return computed.total


def copy_extra_lines(invoice: Invoice) -> list[InvoiceLine]:
    """Return unsaved copies of an invoice's extra lines, from position 1 on, for its replacement."""
    copies = []
    for position, line in enumerate(extra_lines_of(invoice), start=1):
        duplicate = copy(line)
        duplicate.pk, duplicate._state.adding, duplicate.position = None, True, position
        duplicate.public_id = InvoiceLine._meta.get_field("public_id").get_default()
        copies.append(duplicate)
    return copies


def _check_editable(invoice: Invoice) -> None:
    if not invoice.is_draft:
        raise CannotChange(f"{invoice} is {invoice.get_state_display().lower()}: only a draft's lines can change.")
    if invoice.subscription_id is None:
        raise CannotChange("All lines of a one-off invoice are items. Change its items instead.")


def _build_lines(invoice: Invoice, items: Sequence[Item], *, after: int) -> list[InvoiceLine]:
    lines = item_lines(invoice, items) if items else []
    for line in lines:
        line.position += after
    return lines


def _describe(lines: Sequence[InvoiceLine]) -> str:
    return "; ".join(f"{line.description} {format_amount(line.amount, line.invoice.currency)}" for line in lines)
