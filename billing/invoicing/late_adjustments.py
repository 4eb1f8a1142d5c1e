"""Late adjustments and invoices: loaded for subscriptions, attached to lines, released by a void invoice.

Every change holds the lock on the subscription's billing progress, so that an adjustment is invoiced once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.db.models import F, Q, QuerySet

from billing.charges.late_items import Figures, LateItem
from billing.kinds import LineKind
from billing.lines import Charge
from billing.models import BillingState, CreditNote, Invoice, InvoiceLine, InvoiceState, LateAdjustment, LateState
from billing.models.late import OPEN_STATES
from config.audit import recorded
from customers.periods import Period

RELATED = ("price__feature", "invoice")
ASIDE = 1_000_000  # added to a line's position


class AlreadyInvoiced(Exception):
    """An adjustment is on another live invoice: it was attached without the lock on the billing progress."""


def waiting_items(subscription_ids: Collection[int], recomputed: Collection[int] = ()) -> dict[int, list[LateItem]]:
    """Load the adjustments that wait for each subscription's next invoice, earlier periods first. One query.

    `recomputed` are invoices that are being recomputed: the adjustments on them wait too. Adjustments that correct one
    of them were settled on other invoices.
    """
    items: dict[int, list[LateItem]] = defaultdict(list)
    is_available = Q(state=LateState.WAITING)
    if recomputed:
        is_available |= Q(state=LateState.INVOICED, line__invoice__in=recomputed)
    rows = LateAdjustment.objects.filter(is_available, subscription_id__among=subscription_ids)
    for row in rows.select_related(*RELATED).order_by("period_start", "pk"):
        items[row.subscription_id].append(late_item(row, is_settling=row.invoice_id in recomputed))
    return items


def late_item(row: LateAdjustment, *, is_settling: bool = False) -> LateItem:
    """Copy an adjustment, loaded with `RELATED`, to a plain value."""
    return LateItem(
        adjustment_id=row.pk,
        price_id=row.price_id,
        version_id=row.price.version_id,
        feature_id=row.feature_id,
        label=row.price.label,
        units=_units(row),
        period=Period(row.period_start, row.period_end),
        before=before_of(row),
        after=after_of(row),
        invoice_id=row.invoice_id,
        invoice=str(row.invoice) if row.invoice else "",
        line_id=row.adjusts_id,
        again=row.again,
        discount_back=row.discount_back,
        credited=row.credited,
        is_settling=is_settling,
    )


def _units(row: LateAdjustment) -> tuple[str, str]:
    feature = row.price.feature
    return (feature.unit_singular, feature.unit_plural) if feature is not None else ("", "")


def before_of(row: LateAdjustment) -> Figures:
    return Figures(
        row.quantity_before,
        row.free_before,
        row.billable_before,
        row.amount_before,
        row.events_before,
        row.checksum_before,
    )


def after_of(row: LateAdjustment) -> Figures:
    return Figures(
        row.quantity_after, row.free_after, row.billable_after, row.amount_after, row.events_after, row.checksum_after
    )


def set_figures(row: LateAdjustment, before: Figures, after: Figures) -> None:
    """Set both sides of an adjustment. Saved by the caller."""
    for side, figures in (("before", before), ("after", after)):
        row_values = {
            "quantity": figures.quantity,
            "free": figures.free,
            "billable": figures.billable,
            "amount": figures.amount,
            "events": figures.events,
            "checksum": figures.checksum,
        }
        for name, value in row_values.items():
            setattr(row, f"{name}_{side}", value)


def attach_to_lines(lines: Iterable[Sequence[Charge]], rows: Iterable[Sequence[InvoiceLine]]) -> None:
    """Attach adjustments to the saved invoice lines that charge them.

    `lines` and `rows` are the calculated lines and the saved rows of each invoice, in the same order. A replacement
    takes over the adjustments of its void invoice. Raises `AlreadyInvoiced` if another live invoice has one of them.
    """
    pairs = [
        pair
        for invoice_lines, invoice_rows in zip(lines, rows, strict=True)
        for pair in zip(invoice_lines, invoice_rows, strict=False)
    ]
    row_by_adjustment = {line.adjustment_id: row for line, row in pairs if line.adjustment_id is not None}
    if not row_by_adjustment:
        return
    for adjustment in LateAdjustment.objects.filter(pk__in=list(row_by_adjustment)).select_related("line__invoice"):
        row, line = row_by_adjustment[adjustment.pk], adjustment.line
        if line is not None and line.invoice_id != row.invoice_id and line.invoice.state != InvoiceState.VOID:
            raise AlreadyInvoiced(f"Late adjustment {adjustment.public_id} is on another invoice")
        adjustment.state, adjustment.line, adjustment.returned_by = LateState.INVOICED, row, None
        adjustment.save(update_fields=["state", "line", "returned_by", "updated_at"])


def move_aside(lines: QuerySet[InvoiceLine]) -> QuerySet[InvoiceLine]:
    """Move a draft's late lines behind all others, so that new lines can take over their adjustments; return them."""
    ids = list(lines.filter(kind=LineKind.LATE_USAGE).values_list("pk", flat=True))
    late_lines = InvoiceLine.objects.filter(pk__in=ids)
    if ids:
        late_lines.update(position=F("position") + ASIDE)
    return late_lines


def release(invoice: Invoice, state: LateState) -> None:
    """Reopen the adjustments of a void invoice, merged with open ones of the same price."""
    _release(LateAdjustment.objects.filter(line__invoice=invoice), invoice, state)


def release_own(invoice: Invoice) -> None:
    """Reopen the adjustments of a void invoice's own period. The others stay for its replacement to take over."""
    adjustments = LateAdjustment.objects.filter(line__invoice=invoice, invoice=invoice)
    _release(adjustments, invoice, LateState.WAITING)


def _release(adjustments: QuerySet[LateAdjustment], invoice: Invoice, state: LateState) -> None:
    invoiced = adjustments.filter(state=LateState.INVOICED).select_for_update(of=("self",))
    with recorded(by=None, reason=f"{invoice} was voided"):
        for row in invoiced.order_by("pk"):
            reopen(row, state, f"{invoice} was voided", returned_by=invoice)


def reopen(row: LateAdjustment, state: LateState, reason: str, *, returned_by: Invoice | None = None) -> None:
    """Reopen a settled adjustment, merged with the open adjustment of the same price, if there is one.

    If either of the two is held for approval, the merged adjustment is. `returned_by` is the void invoice whose
    replacement may take the adjustment; if the open one was already held, only staff can approve it.
    """
    of_price = LateAdjustment.objects.filter(
        subscription_id=row.subscription_id, period_start=row.period_start, price_id=row.price_id
    )
    other = of_price.filter(state__in=OPEN_STATES).select_for_update().first()
    row.line, row.credit_note = None, None
    if other is not None:
        difference = after_of(row).minus(before_of(row))
        set_figures(other, before_of(other).minus(difference), after_of(other))
        other.discount_back += row.discount_back
        other.credited += row.credited
        row.state, row.reason = LateState.CANCELLED, f"{reason}; merged with a later adjustment"[:255]
        row.save()
    kept = other or row
    if other is not None and other.state == LateState.HELD and other.returned_by != returned_by:
        returned_by = None  # staff haven't approved the earlier difference, so no replacement may take it
    if other is None or state == LateState.HELD or other.state == LateState.SMALL:
        kept.state, kept.reason, kept.returned_by = state, "", None
        if state == LateState.HELD:
            kept.reason, kept.returned_by, kept.decided_at, kept.decided_by = reason[:255], returned_by, None, None
    kept.save()


def move_to_replacement(invoice: Invoice) -> None:
    """Put the adjustments that a void invoice returned, and no one decided since, on its replacement."""
    returned = LateAdjustment.objects.filter(returned_by=invoice, state=LateState.HELD)
    with recorded(by=None, reason=f"{invoice} is reissued"):
        for row in returned.select_for_update(of=("self",)).order_by("pk"):
            row.state, row.reason, row.returned_by = LateState.WAITING, "", None
            row.save()


def release_credited(note: CreditNote) -> None:
    """Hold the adjustment of a void credit note for approval again, merged with the open one of the same price."""
    for row in LateAdjustment.objects.filter(credit_note=note, state=LateState.CREDITED).order_by("pk"):
        BillingState.objects.select_for_update().filter(pk=row.subscription_id).first()
        with recorded(by=None, reason=f"{note} was voided"):
            reopen(row, LateState.HELD, f"{note} was voided")


def cancel_open(invoice: Invoice) -> None:
    """Cancel the open adjustments of a void invoice's own period: its replacement charges current usage."""
    if invoice.subscription_id is None or invoice.period_start is None:
        return
    adjustments = LateAdjustment.objects.filter(
        subscription_id=invoice.subscription_id, period_start=invoice.period_start, state__in=OPEN_STATES
    )
    with recorded(by=None):
        for row in adjustments.select_for_update().order_by("pk"):
            row.state, row.reason = LateState.CANCELLED, f"{invoice} was voided; its replacement charges the usage"
            row.returned_by = None
            row.save()
