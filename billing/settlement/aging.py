"""Receivables by age: unpaid amounts of finalized invoices, by the number of days since they became due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from billing.models import Invoice, Payment
from billing.models.invoices import REMAINING
from billing.money import ZERO

DAYS = {"1-30": (0, 30), "31-60": (30, 60), "61-90": (60, 90), "over-90": (90, None)}
CURRENT = "current"
BUCKETS = (CURRENT, *DAYS)
TITLES = {CURRENT: "Not due yet", "1-30": "1–30 days", "31-60": "31–60", "61-90": "61–90", "over-90": "Over 90"}


@dataclass(frozen=True, slots=True)
class AgingRow:
    """The amounts that one customer owes in one currency, by age, and the number of unpaid invoices.

    `unapplied` is money received that pays no invoice yet. The total doesn't deduct it.
    """

    customer_id: int
    name: str
    external_id: str
    currency: str
    amounts: dict[str, Decimal]
    invoices: int
    unapplied: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return sum(self.amounts.values(), ZERO)


def age_filter(bucket: str, at: datetime) -> Q:
    """Build the filter for invoices of an age. Due exactly at `at` isn't overdue; 30 days later it is "1–30 days"."""
    if bucket == CURRENT:
        return Q(due_at__gte=at) | Q(due_at=None)
    after, until = DAYS[bucket]
    past = Q(due_at__lt=at - timedelta(days=after))
    return past if until is None else past & Q(due_at__gte=at - timedelta(days=until))


def unpaid_invoices(at: datetime) -> QuerySet[Any]:
    """Select the invoices with an amount to pay, each with its age as `bucket` and that amount as `remaining`."""
    ages = [When(age_filter(bucket, at), then=Value(bucket)) for bucket in BUCKETS]
    invoices = Invoice.objects.to_pay().annotate(remaining=REMAINING)
    return invoices.annotate(bucket=Case(*ages, output_field=CharField()))


def sum_by_customer(at: datetime) -> QuerySet[Any, Any]:
    """Add up unpaid amounts by customer and currency, with a column for each age. One query.

    Amounts of different currencies aren't compared: rows are in the order of currencies, then most overdue first.
    """
    sums = {
        f"age{place}": Sum("remaining", filter=Q(bucket=bucket), default=ZERO) for place, bucket in enumerate(BUCKETS)
    }
    names = ("customer", "currency", "customer__name", "customer__external_id")
    by_customer = unpaid_invoices(at).order_by().values(*names)
    of_customer = Payment.objects.filter(customer=OuterRef("customer"), currency=OuterRef("currency"))
    unapplied: QuerySet[Any, Any] = of_customer.exclude(surplus=0).order_by().values("currency")
    sums_by_customer = by_customer.annotate(**sums, count=Count("pk"), total=Sum("remaining"))
    rows: QuerySet[Any, Any] = sums_by_customer.annotate(
        overdue=F("total") - F("age0"),
        unapplied=Coalesce(Subquery(unapplied.annotate(sum=Sum("surplus")).values("sum")), ZERO),
    )
    return rows.order_by("currency", "-overdue", "-total", "customer__name", "customer")


def read_row(values: dict[str, Any]) -> AgingRow:
    """Make an `AgingRow` from a row of `sum_by_customer`."""
    return AgingRow(
        values["customer"],
        values["customer__name"],
        values["customer__external_id"],
        values["currency"],
        {bucket: values[f"age{place}"] for place, bucket in enumerate(BUCKETS)},
        values["count"],
        values["unapplied"],
    )


def sum_by_currency(at: datetime) -> dict[str, dict[str, Decimal]]:
    """Add up the unpaid amounts of all customers, by currency and age. One query."""
    amounts: dict[str, dict[str, Decimal]] = {}
    rows = unpaid_invoices(at).order_by("currency").values_list("currency", "bucket").annotate(amount=Sum("remaining"))
    for currency, bucket, amount in rows:
        amounts.setdefault(currency, dict.fromkeys(BUCKETS, ZERO))[bucket] += amount
    return amounts
