"""What an invoice consists of, beside the last invoices: fees, usage by feature, discounts, tax and prepaid credit."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from django.db.models import Sum

from billing.kinds import ADJUSTMENT_KINDS, FEE_KINDS, USAGE_KINDS, LineKind
from billing.models import Invoice, InvoiceLine, InvoiceState
from billing.money import ZERO, format_amount
from billing.wording import dates
from config.office.charts import Chart, ChartColor, Series
from customers.periods import Period

MOST_BEFORE = 3
MOST_FEATURES = 5
FEES, COMMITMENT, ITEMS, OTHER_USAGE = "Fees", "Commitment", "Items and credits", "Other usage"

Amounts = dict[int, Decimal]  # by the invoice's primary key


def composition(invoice: Invoice) -> Chart:
    """Return a stacked bar for each of the last invoices and this one. Two queries.

    A bar's parts add up to the amount due: fees $100.00, usage $50.00, a discount of $15.00, tax of $27.00 and prepaid
    credit of $20.00 are $142.00. Of many features, the largest have their own part.
    """
    invoices = [*reversed(previous_invoices(invoice)), invoice]
    return Chart(
        title=_title(len(invoices) - 1),
        heading="Invoice",
        labels=[_label(row) for row in invoices],
        series=[
            *(_series(name, amounts, invoices) for name, amounts in _line_parts(invoices)),
            _series("Discounts", {row.pk: -row.discount_total for row in invoices}, invoices),
            _series("Tax", {row.pk: row.tax_total for row in invoices}, invoices, ChartColor.QUIET),
            _series("Prepaid credit", {row.pk: -row.credits_applied for row in invoices}, invoices, ChartColor.CAUTION),
        ],
        unit=invoice.currency,
        write=partial(format_amount, currency=invoice.currency),
        links=["" if row == invoice else row.get_absolute_url() for row in invoices],
        empty_text="There are no amounts to compare.",
        is_horizontal=True,
    )


def previous_invoices(invoice: Invoice) -> list[Invoice]:
    """Return the last issued invoices before this one, newest first, without void ones.

    They are those of its subscription; of the customer in the same currency, if the invoice has none.
    """
    rows = Invoice.objects.select_related("customer", "subscription")
    issued = rows.exclude(state__in=[InvoiceState.DRAFT, InvoiceState.VOID])
    before = issued.filter(pk__lt=invoice.pk, customer=invoice.customer_id, currency=invoice.currency)
    if invoice.subscription_id:
        before = before.filter(subscription=invoice.subscription_id)
    return list(before.order_by("-pk")[:MOST_BEFORE])


def _label(invoice: Invoice) -> str:
    if invoice.period_start is None or invoice.period_end is None:
        return str(invoice)
    return f"{invoice} · {dates(Period(invoice.period_start, invoice.period_end), invoice.timezone)}"


def _title(before: int) -> str:
    if not before:
        return "Parts of this invoice"
    return "Parts of this invoice and the last one" if before == 1 else f"Parts of this invoice and the last {before}"


def _series(name: str, amounts: Amounts, invoices: Sequence[Invoice], color: ChartColor | None = None) -> Series:
    return Series(name, [amounts.get(row.pk, ZERO) for row in invoices], color)


def _line_parts(invoices: Sequence[Invoice]) -> list[tuple[str, Amounts]]:
    """Return the fees, the usage by feature, the commitment and the items. The number of features is limited."""
    lines = InvoiceLine.objects.filter(invoice__in=invoices).exclude(kind__in=ADJUSTMENT_KINDS).order_by()
    rows = lines.values_list("invoice", "kind", "price__feature__name", "feature__name").annotate(sum=Sum("amount"))
    parts: dict[str, Amounts] = {name: defaultdict(Decimal) for name in (FEES, COMMITMENT, ITEMS)}
    usage: dict[str, Amounts] = defaultdict(lambda: defaultdict(Decimal))
    for pk, kind, priced, metered, amount in rows:
        if kind in USAGE_KINDS:
            usage[metered or priced or OTHER_USAGE][pk] += amount
        else:
            parts[_part_of(kind)][pk] += amount
    return [(FEES, parts[FEES]), *_largest(usage), (COMMITMENT, parts[COMMITMENT]), (ITEMS, parts[ITEMS])]


def _part_of(kind: str) -> str:
    if kind == LineKind.COMMITMENT:
        return COMMITMENT
    return FEES if kind in FEE_KINDS else ITEMS


def _largest(usage: dict[str, Amounts]) -> list[tuple[str, Amounts]]:
    """Return the features with the largest amounts, and the sum of the others."""
    names = sorted(usage, key=lambda name: (-sum(map(abs, usage[name].values()), ZERO), name))
    others: Amounts = defaultdict(Decimal)
    for name in names[MOST_FEATURES:]:
        for pk, amount in usage[name].items():
            others[pk] += amount
    return [*((name, usage[name]) for name in names[:MOST_FEATURES]), *([(OTHER_USAGE, others)] if others else [])]
