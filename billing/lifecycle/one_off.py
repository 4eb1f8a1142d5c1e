"""One-off invoices: written by hand, item by item; drafts until somebody finalizes them. Taxed as the customer is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from billing.invoicing.totals import add_up
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
    """A hand-written charge: quantity × unit amount, rounded once to the currency; or an `amount` for the whole of it.

    Below zero it is a credit. Quantities are above zero.
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
class Terms:
    """What a one-off invoice says beside its items. Without a due date it is due in the customer's days to pay.

    `is_credit` allows a total below zero: finalized, it becomes prepaid credit of the customer.
    """

    memo: str = ""
    due_at: datetime | None = None
    series: NumberSeries | None = None
    metadata: Mapping[str, str] | None = None
    is_credit: bool = False


PLAIN = Terms()


def create_one_off(
    customer: Customer,
    items: Sequence[Item],
    *,
    currency: str,
    terms: Terms = PLAIN,
    external_reference: str | None = None,
    now: datetime,
    by: User | None,
) -> Invoice:
    """Write a draft. It isn't finalized by itself.

    A second call with the same external reference returns the first invoice, whatever became of it. Raises
    `CannotChange` for items or a currency that make no invoice, and for a reference of another customer's invoice.
    """
    known = _known(customer, external_reference)
    if known is not None:
        return known
    if not known_currency(currency):
        raise CannotChange(f"{currency} is no currency: write its three ISO 4217 capitals.")
    invoice = Invoice(
        customer=customer,
        kind=InvoiceKind.ONE_OFF,
        currency=currency,
        computed_at=now,
        external_reference=external_reference or None,
    )
    try:
        with transaction.atomic():
            _write(invoice, items, terms, now=now, by=by)
            notify(WebhookEvent.INVOICE_DRAFTED, [invoice], now=now)
    except IntegrityError:
        known = _known(customer, external_reference)  # somebody else was first; the database had us wait for them
        if known is None:
            raise
        return known
    return invoice


def _known(customer: Customer, external_reference: str | None) -> Invoice | None:
    if not external_reference:
        return None
    known = Invoice.objects.filter(external_reference=external_reference).first()
    if known is not None and known.customer_id != customer.pk:
        raise CannotChange(f"The reference {external_reference} is of another customer's invoice.")
    return known


def update_one_off(invoice: Invoice, items: Sequence[Item], *, terms: Terms, now: datetime, by: User | None) -> Invoice:
    """Write a draft's items and terms anew. Raises `CannotChange` unless it is a one-off draft."""
    with transaction.atomic():
        locked = lock_invoice(invoice)
        if locked.kind != InvoiceKind.ONE_OFF:
            raise CannotChange("A subscription's invoice is computed: recompute it instead.")
        if not locked.is_draft:
            raise CannotChange(f"{locked} is {locked.get_state_display().lower()} and never changes.")
        locked.lines.all().delete()
        _write(locked, items, terms, now=now, by=by)
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def preview_one_off(
    customer: Customer, items: Sequence[Item], *, currency: str, now: datetime
) -> tuple[Invoice, list[InvoiceLine]]:
    """Work out what items would come to: the unsaved invoice, and its charges with the lines of taxes. Nothing stored.

    Raises `CannotChange` as `create_one_off` does.
    """
    if not known_currency(currency):
        raise CannotChange(f"{currency} is no currency: write its three ISO 4217 capitals.")
    invoice = Invoice(customer=customer, kind=InvoiceKind.ONE_OFF, currency=currency, computed_at=now)
    charges = charges_of(invoice, items)
    return invoice, [*charges, *add_up(invoice, charges, at=now)]


def amend(
    invoice: Invoice,
    *,
    due_at: datetime | None = None,
    memo: str | None = None,
    metadata: Mapping[str, str] | None = None,
    now: datetime,
    by: User | None,
) -> Invoice:
    """Change what an invoice says beside its charges; what is `None` stays. Metadata unless it is void, else of drafts.

    Raises `CannotChange`.
    """
    with transaction.atomic():
        locked = lock_invoice(invoice)
        state = locked.get_state_display().lower()
        if not locked.is_draft and (due_at is not None or memo is not None):
            raise CannotChange(f"{locked} is {state}: of its fields only the metadata changes.")
        if locked.voided_at is not None:
            raise CannotChange(f"{locked} is void and never changes.")
        locked.due_at = locked.due_at if due_at is None else due_at
        locked.memo = locked.memo if memo is None else memo.strip()
        locked.metadata = locked.metadata if metadata is None else dict(metadata)
        with recorded(by=by):
            locked.save(update_fields=["due_at", "memo", "metadata", "updated_at"])
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def _write(invoice: Invoice, items: Sequence[Item], terms: Terms, *, now: datetime, by: User | None) -> None:
    charges = charges_of(invoice, items)
    after = add_up(invoice, charges, at=now)
    if invoice.total < 0 and not terms.is_credit:
        total = format_amount(invoice.total, invoice.currency)
        raise CannotChange(f"The items come to {total}. Say that it is a credit, or charge at least as much.")
    if terms.series is not None and terms.series.used_for != SeriesUse.INVOICE:
        raise CannotChange(f"{terms.series} isn't a series of invoices.")
    invoice.memo, invoice.due_at, invoice.series = terms.memo.strip(), terms.due_at, terms.series
    invoice.metadata = invoice.metadata if terms.metadata is None else dict(terms.metadata)
    invoice.computed_at = now
    with recorded(by=by):
        invoice.save()
    InvoiceLine.objects.bulk_create([*charges, *after])


def charges_of(invoice: Invoice, items: Sequence[Item]) -> list[InvoiceLine]:
    """Make the unsaved lines of items, in their order. Raises `CannotChange` for none, or for one that can't be."""
    if not items:
        raise CannotChange("Write at least one item.")
    return [_charge(invoice, item, position) for position, item in enumerate(items, start=1)]


def _charge(invoice: Invoice, item: Item, position: int) -> InvoiceLine:
    if not item.description.strip():
        raise CannotChange(f"Item {position} needs a description.")
    if item.quantity <= ZERO:
        raise CannotChange(f"Item {position}: a quantity is above zero; a credit has an amount below zero.")
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
