"""One-off invoices: items entered by staff or the API, with the customer's taxes. Never finalized automatically."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from billing.adjustments.adjust import InvoiceTotals
from billing.adjustments.coupons import check_on_invoice, set_invoice_coupons
from billing.invoicing.conditions import applied_coupon, customer_tax
from billing.invoicing.totals import calculate_totals, coupon_use_rows
from billing.models import Coupon, Invoice, InvoiceKind, InvoiceLine, LineKind, NumberSeries, SeriesUse, TaxRate
from billing.money import ZERO, exact, format_amount, known_currency, round_amount
from billing.notifications import notify
from billing.refusals import CannotChange
from billing.settlement.payments import lock_invoice
from config.audit import recorded
from config.inputs import LARGEST
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
    `coupons` reduce this invoice only. `tax_rates` are charged instead of the customer's taxes. `None` keeps those of
    the draft.
    """

    memo: str = ""
    due_at: datetime | None = None
    series: NumberSeries | None = None
    metadata: Mapping[str, str] | None = None
    is_credit: bool = False
    coupons: Sequence[Coupon] | None = None
    tax_rates: Sequence[TaxRate] | None = None
    po_number: str = ""


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
            raise CannotChange("A subscription's invoice is calculated. Add extra lines to its draft instead.")
        if not locked.is_draft:
            raise CannotChange(f"{locked} is {locked.get_state_display().lower()} and can't change.")
        locked.lines.all().delete()
        _save_draft(locked, items, terms, now=now, by=by)
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def preview_one_off(
    customer: Customer, items: Sequence[Item], *, currency: str, terms: OneOffTerms = PLAIN, now: datetime
) -> tuple[Invoice, list[InvoiceLine]]:
    """Return the invoice that `create_one_off` would save, and its lines. Saves nothing.

    Raises `CannotChange` as `create_one_off` does.
    """
    if not known_currency(currency):
        raise CannotChange(f"{currency} isn't a currency. Enter its ISO 4217 code, such as USD.")
    invoice = Invoice(customer=customer, kind=InvoiceKind.ONE_OFF, currency=currency, computed_at=now)
    charges = item_lines(invoice, items)
    coupons, tax_rates = terms.coupons or (), terms.tax_rates or ()
    for coupon in coupons:
        check_on_invoice(coupon, invoice, now=now)
    return invoice, [*charges, *_calculate(invoice, charges, coupons, tax_rates, now=now)[0]]


def _calculate(
    invoice: Invoice,
    charges: Sequence[InvoiceLine],
    coupons: Sequence[Coupon],
    tax_rates: Sequence[TaxRate],
    *,
    now: datetime,
) -> tuple[list[InvoiceLine], InvoiceTotals]:
    """Set the totals; return the lines of discounts and taxes, and the totals, whose coupons have the coupons' ids."""
    return calculate_totals(
        invoice,
        charges,
        at=now,
        coupons=[applied_coupon(coupon, id=coupon.pk) for coupon in coupons],
        taxes=[customer_tax(rate) for rate in tax_rates],
    )


def amend(
    invoice: Invoice,
    *,
    due_at: datetime | None = None,
    memo: str | None = None,
    po_number: str | None = None,
    metadata: Mapping[str, str] | None = None,
    now: datetime,
    by: User | None,
) -> Invoice:
    """Change an invoice's due date, memo, PO number or metadata; `None` leaves a value as it is.

    On a draft all of them can change, and the metadata on any invoice that isn't void. Raises `CannotChange`.
    """
    with transaction.atomic():
        locked = lock_invoice(invoice)
        state = locked.get_state_display().lower()
        if not locked.is_draft and any(value is not None for value in (due_at, memo, po_number)):
            raise CannotChange(f"{locked} is {state}: only its metadata can change.")
        if locked.voided_at is not None:
            raise CannotChange(f"{locked} is void and can't change.")
        locked.due_at = locked.due_at if due_at is None else due_at
        locked.memo = locked.memo if memo is None else memo.strip()
        locked.po_number = locked.po_number if po_number is None else po_number.strip()
        locked.metadata = locked.metadata if metadata is None else dict(metadata)
        with recorded(by=by):
            locked.save(update_fields=["due_at", "memo", "po_number", "metadata", "updated_at"])
        notify(WebhookEvent.INVOICE_UPDATED, [locked], now=now)
        return locked


def _save_draft(invoice: Invoice, items: Sequence[Item], terms: OneOffTerms, *, now: datetime, by: User | None) -> None:
    charges = item_lines(invoice, items)
    coupons = _keep_or_take(terms.coupons, Coupon.objects.filter(applications__invoice=invoice.pk or 0))
    tax_rates = _keep_or_take(terms.tax_rates, invoice.tax_rates.all() if invoice.pk else ())
    lines, totals = _calculate(invoice, charges, coupons, tax_rates, now=now)
    if invoice.total < 0 and not terms.is_credit:
        total = format_amount(invoice.total, invoice.currency)
        raise CannotChange(f"The items total {total}. Mark the invoice as a credit, or charge at least as much.")
    if terms.series is not None and terms.series.used_for != SeriesUse.INVOICE:
        raise CannotChange(f"{terms.series} isn't a series for invoices.")
    invoice.memo, invoice.due_at, invoice.series = terms.memo.strip(), terms.due_at, terms.series
    invoice.po_number = terms.po_number.strip()
    invoice.metadata = invoice.metadata if terms.metadata is None else dict(terms.metadata)
    invoice.computed_at = now
    with recorded(by=by):
        invoice.save()
    InvoiceLine.objects.bulk_create([*charges, *lines])
    set_invoice_coupons(invoice, coupons, coupon_use_rows(invoice, totals), now=now, by=by)
    invoice.tax_rates.set(tax_rates)


def _keep_or_take[Row](chosen: Sequence[Row] | None, current: Iterable[Row]) -> list[Row]:
    return list(current if chosen is None else chosen)


def item_lines(invoice: Invoice, items: Sequence[Item]) -> list[InvoiceLine]:
    """Return the unsaved lines of items, in their order. Raises `CannotChange` if there are none, or one is invalid."""
    if not items:
        raise CannotChange("Enter at least one item.")
    return [_charge(invoice, item, position) for position, item in enumerate(items, start=1)]


def list_items(invoice: Invoice) -> dict[str, Item]:
    """Return the items of a one-off invoice by the public ids of their lines, in their order."""
    return {line.public_id: _item_of(line) for line in invoice.lines.filter(kind=LineKind.ITEM).order_by("position")}


def _item_of(line: InvoiceLine) -> Item:
    period = Period(line.period_start, line.period_end) if line.period_start and line.period_end else None
    amount = line.amount if line.unit_amount is None else None
    return Item(line.description, line.unit_amount, line.quantity, period, amount)


def _charge(invoice: Invoice, item: Item, position: int) -> InvoiceLine:
    if not item.description.strip():
        raise CannotChange(f"Item {position} needs a description.")
    if item.quantity <= ZERO:
        raise CannotChange(f"Item {position}: enter a positive quantity. A credit has a negative amount.")
    if abs(item.exact_amount) > LARGEST:
        raise CannotChange(f"Item {position} is too large: an amount is at most {LARGEST:,f}.")
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
