"""Compare an invoice with the last one, many drafts with those before them, and two months of a customer."""

from collections.abc import Iterable, Sequence
from datetime import date

from django.db.models import Case, IntegerField, Q, QuerySet, When

from billing.explanation.comparison.compare import compare
from billing.explanation.comparison.reading import SideReader
from billing.explanation.comparison.values import Comparison
from billing.models import Invoice, InvoiceKind, InvoiceState
from billing.models.invoices import local_day
from billing.refusals import CannotChange
from customers.models import Customer

COMPARED_WITH: dict[str, list[InvoiceKind]] = {InvoiceKind.FINAL: [InvoiceKind.FINAL, InvoiceKind.CYCLE]}


def previous_invoice(invoice: Invoice) -> Invoice | None:
    """Return the last invoice of the same subscription and kind; of a final invoice, else that of the last period.

    A draft is compared with any that isn't void. A finalized invoice is compared with what the customer had when it was
    finalized, so the answer, and a document that contains it, stays the same when an earlier invoice is voided.
    """
    if invoice.subscription_id is None or invoice.period_start is None:
        return None
    kinds = COMPARED_WITH.get(invoice.kind, [InvoiceKind(invoice.kind)])
    earlier = Invoice.objects.filter(
        subscription=invoice.subscription_id,
        customer=invoice.customer_id,
        kind__in=kinds,
        period_start__lt=invoice.period_start,
    )
    own_kind_first = Case(When(kind=invoice.kind, then=0), default=1, output_field=IntegerField())
    rows = _known_to(invoice, earlier).select_related("customer", "subscription")
    return rows.order_by(own_kind_first, "-period_start", "-pk").first()


def _known_to(invoice: Invoice, earlier: QuerySet[Invoice]) -> QuerySet[Invoice]:
    if invoice.finalized_at is None:
        return earlier.exclude(state=InvoiceState.VOID)
    at = invoice.finalized_at
    return earlier.filter(Q(voided_at=None) | Q(voided_at__gt=at), finalized_at__lte=at)


def compare_invoices(before: Invoice, after: Invoice) -> Comparison:
    """Compare two invoices of a customer or subscription in one currency. Raises `CannotChange` for others."""
    is_of_one_subscription = before.subscription_id is not None and before.subscription_id == after.subscription_id
    if before.customer_id != after.customer_id and not is_of_one_subscription:
        raise CannotChange("Only invoices of the same customer can be compared.")
    if before.currency != after.currency:
        raise CannotChange(f"{before} is in {before.currency} and {after} in {after.currency}.")
    reader = SideReader([before, after])
    return compare(reader.side([before]), reader.side([after]), after.currency)


def compare_with_last(invoice: Invoice) -> tuple[Invoice, Comparison] | None:
    """Compare an invoice with the last one; `None` if it is the first."""
    before = previous_invoice(invoice)
    return None if before is None else (before, compare_invoices(before, invoice))


def compare_many(pairs: Iterable[tuple[Invoice, Invoice]]) -> list[Comparison]:
    """Compare pairs of invoices of one subscription. The number of queries doesn't depend on the number of pairs."""
    pairs = list(pairs)
    reader = SideReader(invoice for pair in pairs for invoice in pair)
    return [compare(reader.side([before]), reader.side([after]), after.currency) for before, after in pairs]


def compare_months(customer: Customer, before: tuple[date, date], after: tuple[date, date]) -> list[Comparison]:
    """Compare what was invoiced to a customer in two ranges of days, by currency. The last day isn't included.

    Invoices count on the day of issue. Drafts and void invoices don't count.
    """
    issued = Invoice.objects.filter(customer=customer, state__in=[InvoiceState.FINALIZED, InvoiceState.PAID])
    dated = issued.annotate(day=local_day("issued_at")).order_by("pk")
    sides = [list(dated.filter(day__gte=first, day__lt=end)) for first, end in (before, after)]
    reader = SideReader(invoice for invoices in sides for invoice in invoices)
    currencies = sorted({invoice.currency for invoices in sides for invoice in invoices})
    return [
        compare(reader.side(_in(currency, sides[0])), reader.side(_in(currency, sides[1])), currency)
        for currency in currencies
    ]


def _in(currency: str, invoices: Sequence[Invoice]) -> list[Invoice]:
    return [invoice for invoice in invoices if invoice.currency == currency]
