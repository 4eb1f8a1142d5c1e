"""Late adjustments on their way to an invoice: read for subscriptions, taken by lines, given back by a void invoice.

Every change holds the lock on the subscription's billing progress, so that an adjustment is taken once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.db.models import F, Q, QuerySet

from billing.charges.late_items import Figures, LateItem
from billing.lines import LATE_USAGE, Charge
from billing.models import BillingState, CreditNote, Invoice, InvoiceLine, InvoiceState, LateAdjustment, LateState
from billing.models.late import OPEN_STATES
from config.audit import recorded
from customers.periods import Period

RELATED = ("price__feature", "invoice")
FAR = 1_000_000


class TakenMeanwhile(Exception):
    """An adjustment is on another invoice already: somebody took it without the standing's lock."""


def waiting(subscription_ids: Collection[int], leaving_out: Collection[int] = ()) -> dict[int, list[LateItem]]:
    """Read what waits for the next invoice of each subscription, earlier periods first. One query.

    `leaving_out` are invoices that are worked out anew: what they carry waits as well. What adjusts one of them itself
    was settled elsewhere.
    """
    found: dict[int, list[LateItem]] = defaultdict(list)
    free = Q(state=LateState.WAITING)
    if leaving_out:
        free |= Q(state=LateState.INVOICED, line__invoice__in=leaving_out)
    rows = LateAdjustment.objects.filter(free, subscription_id__among=subscription_ids).select_related(*RELATED)
    for row in rows.order_by("period_start", "pk"):
        found[row.subscription_id].append(item_of(row, is_settling=row.invoice_id in leaving_out))
    return found


def item_of(row: LateAdjustment, *, is_settling: bool = False) -> LateItem:
    """Read an adjustment that was loaded with `RELATED`."""
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
    """Note which written lines carry which adjustments. `rows` are each invoice's own, its lines' first.

    A replacement takes over what its void invoice carried. Raises `TakenMeanwhile` where another invoice carries one
    already.
    """
    pairs = [pair for own, written in zip(lines, rows, strict=True) for pair in zip(own, written, strict=False)]
    taken = {line.adjustment_id: row for line, row in pairs if line.adjustment_id is not None}
    if not taken:
        return
    for adjustment in LateAdjustment.objects.filter(pk__in=list(taken)).select_related("line__invoice"):
        row, line = taken[adjustment.pk], adjustment.line
        if line is not None and line.invoice_id != row.invoice_id and line.invoice.state != InvoiceState.VOID:
            raise TakenMeanwhile(f"Late adjustment {adjustment.public_id} is on another invoice")
        adjustment.state, adjustment.line, adjustment.returned_by = LateState.INVOICED, row, None
        adjustment.save(update_fields=["state", "line", "returned_by", "updated_at"])


def move_aside(lines: QuerySet[InvoiceLine]) -> QuerySet[InvoiceLine]:
    """Number a draft's late lines past all others, so that new ones can take their adjustments over; return them."""
    ids = list(lines.filter(kind=LATE_USAGE).values_list("pk", flat=True))
    carried = InvoiceLine.objects.filter(pk__in=ids)
    if ids:
        carried.update(position=F("position") + FAR)
    return carried


def give_back(invoice: Invoice, state: LateState) -> None:
    """Let what a void invoice carried wait, in an open state. What is open for the same price takes it in."""
    _give_back(LateAdjustment.objects.filter(line__invoice=invoice), invoice, state)


def release_own(invoice: Invoice) -> None:
    """Let what a void invoice settled of its own period wait. The rest stays for its replacement to take over."""
    own = LateAdjustment.objects.filter(line__invoice=invoice, invoice=invoice)
    _give_back(own, invoice, LateState.WAITING)


def _give_back(rows: QuerySet[LateAdjustment], invoice: Invoice, state: LateState) -> None:
    carried = rows.filter(state=LateState.INVOICED).select_for_update(of=("self",))
    with recorded(by=None, reason=f"{invoice} was voided"):
        for row in carried.order_by("pk"):
            reopen(row, state, f"{invoice} was voided", returned_by=invoice)


def reopen(row: LateAdjustment, state: LateState, why: str, *, returned_by: Invoice | None = None) -> None:
    """Take a settled adjustment back into an open state. One that is open for the same price takes it in.

    What is to wait for approval makes all of it wait; with what waited for approval already, it waits for staff alone.
    """
    same = LateAdjustment.objects.filter(
        subscription_id=row.subscription_id, period_start=row.period_start, price_id=row.price_id
    )
    other = same.filter(state__in=OPEN_STATES).select_for_update().first()
    row.line, row.credit_note = None, None
    if other is not None:
        difference = after_of(row).minus(before_of(row))
        set_figures(other, before_of(other).minus(difference), after_of(other))
        other.discount_back += row.discount_back
        other.credited += row.credited
        row.state, row.reason = LateState.CANCELLED, f"{why}; a later adjustment holds it"[:255]
        row.save()
    kept = other or row
    if other is not None and other.state == LateState.HELD and other.returned_by != returned_by:
        returned_by = None  # staff haven't approved what it held before, so no replacement takes it
    if other is None or state == LateState.HELD or other.state == LateState.SMALL:
        kept.state, kept.reason, kept.returned_by = state, "", None
        if state == LateState.HELD:
            kept.reason, kept.returned_by, kept.decided_at, kept.decided_by = why[:255], returned_by, None, None
    kept.save()


def move_to_replacement(invoice: Invoice) -> None:
    """Let what a void invoice gave back, and nobody decided about since, go on its replacement."""
    returned = LateAdjustment.objects.filter(returned_by=invoice, state=LateState.HELD)
    with recorded(by=None, reason=f"{invoice} is reissued"):
        for row in returned.select_for_update(of=("self",)).order_by("pk"):
            row.state, row.reason, row.returned_by = LateState.WAITING, "", None
            row.save()


def give_back_credited(note: CreditNote) -> None:
    """Let staff decide again about what a void credit note held. What is open for the same price takes it in."""
    for row in LateAdjustment.objects.filter(credit_note=note, state=LateState.CREDITED).order_by("pk"):
        BillingState.objects.select_for_update().filter(pk=row.subscription_id).first()
        with recorded(by=None, reason=f"{note} was voided"):
            reopen(row, LateState.HELD, f"{note} was voided")


def cancel_open(invoice: Invoice) -> None:
    """Cancel what is open for a void invoice's own period: its replacement holds the usage as it is by then."""
    if invoice.subscription_id is None or invoice.period_start is None:
        return
    found = LateAdjustment.objects.filter(
        subscription_id=invoice.subscription_id, period_start=invoice.period_start, state__in=OPEN_STATES
    )
    with recorded(by=None):
        for row in found.select_for_update().order_by("pk"):
            row.state, row.reason = LateState.CANCELLED, f"{invoice} was voided; its replacement holds the usage"
            row.returned_by = None
            row.save()
