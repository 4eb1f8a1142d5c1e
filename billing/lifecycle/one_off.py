"""One-off invoices: items entered by staff or the API, with the customer's taxes. Never finalized automatically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from billing.invoicing.totals import calculate_totals
from billing.models import Invoice, InvoiceKind, InvoiceLine, LineKind, NumberSeries, SeriesUse
from billing.money import ZERO, exact, format_amount, known_currency, round_amount
from billing.notifications import notify
from billing.refusals import CannotChange
from billing.settlement.payments import lock_invoice
from config.audit import recorded
from config.webhooks.names import WebhookEvent
from customers.models import Customer
from customers.periods import Period


@dataclass(frozen=True, slots=True)
class Item:
    """An entered charge: quantity × unit amount, rounded once to the currency, or a total `amount`.

    3 × $0.335 is $1.005, rounded to $1.01. A negative amount is a credit. Quantities are positive.
    """

    description: str
    unit_amount: Decimal | None
    quantity: Decimal = Decimal(1)
    period: Period | None = None
    amount: Decimal | None = None

    @property
    def exact_amount(self) -> Decimal:
        """The amount before rounding."""
        if self.amount is not None:
            return self.amount
        with exact():
            return self.quantity * (self.unit_amount or ZERO)


@dataclass(frozen=True, slots=True)
class OneOffTerms:
    """A one-off invoice's data other than its items. Without a due date the customer's days to pay apply.

    `is_credit` allows a negative total, which becomes prepaid credit of the customer when the invoice is finalized.
    """

    memo: str = ""
    due_at: datetime | None = None
    series: NumberSeries | None = None
    metadata: Mapping[str, str] | None = None
    is_credit: bool = False


PLAIN = OneOffTerms()


def create_one_off(
    customer: Customer,
    items: Sequence[Item],
    *,
    currency: str,
    terms: OneOffTerms = PLAIN,
    external_reference: str | None = None,
    now: datetime,
    by: User | None,
) -> Invoice:
    """Create a draft.

    A second call with the same external reference returns the first invoice, in whatever state it is. Raises
    `CannotChange` for invalid items or an unknown currency, and for a reference of another customer's invoice.
    """
    existing = _find_by_reference(customer, external_reference)
    if existing is not None:
        return existing
    if not known_currency(currency):
        raise CannotChange(f"{currency} isn't a currency. Enter its ISO 4217 code, such as USD.")
    invoice = Invoice(
        customer=customer,
        kind=InvoiceKind.ONE_OFF,
        currency=currency,
        computed_at=now,
        external_reference=external_reference or None,
    )
    try:
        with transaction.atomic():
            _save_draft(invoice, items, terms, now=now, by=by)
            notify(WebhookEvent.INVOICE_DRAFTED, [invoice], now=now)
    except IntegrityError:
        existing = _find_by_reference(customer, external_reference)  # a concurrent request created it first
        if existing is None:
            raise
        return existing
    return invoice


def _find_by_reference(customer: Customer, external_reference: str | None) -> Invoice | None:
    if not external_reference:
        return None
    existing = Invoice.objects.filter(external_reference=external_reference).first()
    if existing is not None and existing.customer_id != customer.pk:
        raise CannotChange(f"The reference {external_reference} belongs to another customer's invoice.")
    return existing


def update_one_off(
    invoice: Invoice, items: Sequence[Item], *, terms: OneOffTerms, now: datetime, by: User | None
) -> Invoice:
    """Replace a draft's items and terms. Raises `CannotChange` unless it is a one-off draft."""
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if locked.kind != InvoiceKind.ONE_OFF:
            raise CannotChange("A subscription's invoice has no editable items. Recalculate it instead.")
        if not locked.is_draft:
            raise CannotChange(f"{locked} is {locked.get_state_display().lower()} and can't change.")
        locked.lines.all().delete()
        _save_draft(locked, items, terms, now=now, by=by)
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def preview_one_off(
    customer: Customer, items: Sequence[Item], *, currency: str, now: datetime
) -> tuple[Invoice, list[InvoiceLine]]:
    """Return the invoice that `create_one_off` would save, and its charges with the lines of taxes. Saves nothing.

    Raises `CannotChange` as `create_one_off` does.
    """
    if not known_currency(currency):
        raise CannotChange(f"{currency} isn't a currency. Enter its ISO 4217 code, such as USD.")
    invoice = Invoice(customer=customer, kind=InvoiceKind.ONE_OFF, currency=currency, computed_at=now)
    charges = item_lines(invoice, items)
    return invoice, [*charges, *calculate_totals(invoice, charges, at=now)]


def amend(
    invoice: Invoice,
    *,
    due_at: datetime | None = None,
    memo: str | None = None,
    metadata: Mapping[str, str] | None = None,
    now: datetime,
    by: User | None,
) -> Invoice:
    """Change an invoice's due date, memo or metadata; `None` leaves a value as it is.

    The due date and memo of a draft can change, and the metadata of any invoice that isn't void. Raises `CannotChange`.
    """
    with transaction.atomic():
        locked = lock_invoice(invoice)
        state = locked.get_state_display().lower()
        if not locked.is_draft and (due_at is not None or memo is not None):
            raise CannotChange(f"{locked} is {state}: only its metadata can change.")
        if locked.voided_at is not None:
            raise CannotChange(f"{locked} is void and can't change.")
        locked.due_at = locked.due_at if due_at is None else due_at
        locked.memo = locked.memo if memo is None else memo.strip()
        locked.metadata = locked.metadata if metadata is None else dict(metadata)
        with recorded(by=by):
            locked.save(update_fields=["due_at", "memo", "metadata", "updated_at"])
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def _save_draft(invoice: Invoice, items: Sequence[Item], terms: OneOffTerms, *, now: datetime, by: User | None) -> None:
    charges = item_lines(invoice, items)
    tax_lines = calculate_totals(invoice, charges, at=now)
    if invoice.total < 0 and not terms.is_credit:
        total = format_amount(invoice.total, invoice.currency)
        raise CannotChange(f"The items total {total}. Mark the invoice as a credit, or charge at least as much.")
    if terms.series is not None and terms.series.used_for != SeriesUse.INVOICE:
        raise CannotChange(f"{terms.series} isn't a series for invoices.")
    invoice.memo, invoice.due_at, invoice.series = terms.memo.strip(), terms.due_at, terms.series
    invoice.metadata = invoice.metadata if terms.metadata is None else dict(terms.metadata)
    invoice.computed_at = now
    with recorded(by=by):
        invoice.save()
    InvoiceLine.objects.bulk_create([*charges, *tax_lines])


def item_lines(invoice: Invoice, items: Sequence[Item]) -> list[InvoiceLine]:
    """Return the unsaved lines of items, in their order. Raises `CannotChange` if there are none, or one is invalid."""
    if not items:
        raise CannotChange("Enter at least one item.")
    return [_charge(invoice, item, position) for position, item in enumerate(items, start=1)]


def _charge(invoice: Invoice, item: Item, position: int) -> InvoiceLine:
    if not item.description.strip():
        raise CannotChange(f"Item {position} needs a description.")
    if item.quantity <= ZERO:
        raise CannotChange(f"Item {position}: enter a positive quantity. A credit has a negative amount.")
    return InvoiceLine(
        invoice=invoice,
        position=position,
        kind=LineKind.ITEM,
        description=item.description.strip()[:512],
        period_start=item.period.start if item.period else None,
        period_end=item.period.end if item.period else None,
        quantity=item.quantity,
        billable_quantity=item.quantity,
        unit_amount=item.unit_amount,
        amount=round_amount(item.exact_amount, invoice.currency),
        exact_amount=item.exact_amount,
    )
