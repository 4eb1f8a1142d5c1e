"""Late adjustments as lines of the next invoice. Pure."""

from collections.abc import Iterable
from typing import Any

from billing import wording
from billing.charges.late_items import Figures, LateItem
from billing.charges.next_invoice import NextInvoice
from billing.kinds import IN_ADVANCE_KINDS, LineKind
from billing.lines import Charge
from billing.money import format_amount
from config.numbers import number


def due_items(items: Iterable[LateItem], invoice: NextInvoice) -> list[LateItem]:
    """Filter to the adjustments that an invoice includes: those of periods that ended by its period's start.

    An opening or change invoice includes none. A final invoice without a period of its own includes all. A draft that
    is recomputed includes what other invoices settled of its own period.
    """
    if invoice.kind in IN_ADVANCE_KINDS:
        return []
    if invoice.period.start >= invoice.period.end:
        return list(items)
    return [item for item in items if item.is_settling or item.period.end <= invoice.period.start]


def late_line(item: LateItem, currency: str, timezone: str) -> Charge:
    """Write an adjustment as an invoice line: the difference, with what was charged and what the period charges now."""
    difference = item.after.minus(item.before)
    return Charge(
        kind=LineKind.LATE_USAGE,
        description=f"{item.label}, {wording.dates(item.period, timezone)} · {_describe(item, currency)}",
        period=item.period,
        amount=difference.amount,
        exact_amount=difference.amount,
        price_id=item.price_id,
        plan_version_id=item.version_id,
        quantity=difference.quantity,
        free_units=difference.free,
        billable_quantity=difference.billable,
        feature_id=item.feature_id,
        events_count=difference.events,
        events_checksum=difference.checksum,
        computation={
            "label": item.label,
            "late": {
                "invoice": item.invoice,
                "before": _as_json(item.before),
                "after": _as_json(item.after),
                **({"credited": wording.plain(item.credited)} if item.credited else {}),
            },
            "again": item.again,
            **_windows(item),
        },
        label=item.label,
        adjusts_id=item.line_id,
        adjusts_invoice_id=item.invoice_id,
        adjustment_id=item.adjustment_id,
        discount_back=item.discount_back,
    )


def _windows(item: LateItem) -> dict[str, Any]:
    """Return the windows in which the price's current usage was counted, if there are any."""
    windows = [window for line in item.again for window in line["computation"].get("windows", ())]
    return {"windows": windows} if windows else {}


def _describe(item: LateItem, currency: str) -> str:
    before, after = item.before, item.after
    used = f"{number(after.quantity)}{wording.unit(*item.units, after.quantity)} used"
    on_invoice = f" on {item.invoice}" if item.invoice else ""
    if item.is_settling:
        return f"{used}, of which later invoices settled {format_amount(before.amount - after.amount, currency)}"
    now, then = format_amount(after.amount, currency), format_amount(before.amount + item.credited, currency)
    if item.credited:
        then += f", of which {format_amount(item.credited, currency)} was credited"
    if after.quantity == before.quantity:
        return f"late usage: {used} as invoiced{on_invoice}, from other events: {now} instead of {then}"
    return f"late usage: {used}, {number(before.quantity)} invoiced{on_invoice}: {now} instead of {then}"


def _as_json(figures: Figures) -> dict[str, str]:
    return {
        "quantity": wording.plain(figures.quantity),
        "free": wording.plain(figures.free),
        "billable": wording.plain(figures.billable),
        "amount": wording.plain(figures.amount),
        "events": str(figures.events),
        "checksum": str(figures.checksum),
    }
