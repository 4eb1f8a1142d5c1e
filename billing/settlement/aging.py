"""Receivables by age: what customers still owe on finalized invoices, by how long ago it fell due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When

from billing.models import Invoice
from billing.models.invoices import REMAINING
from billing.money import ZERO

DAYS = {"1-30": (0, 30), "31-60": (30, 60), "61-90": (60, 90), "over-90": (90, None)}
CURRENT = "current"
BUCKETS = (CURRENT, *DAYS)
TITLES = {CURRENT: "Not due yet", "1-30": "1–30 days", "31-60": "31–60", "61-90": "61–90", "over-90": "Over 90"}


@dataclass(frozen=True, slots=True)
class AgingRow:
    """What one customer owes in one currency, by age, and how many invoices that is."""

    customer_id: int
    name: str
    external_id: str
    currency: str
    amounts: dict[str, Decimal]
    invoices: int

    @property
    def total(self) -> Decimal:
        return sum(self.amounts.values(), ZERO)


def within(bucket: str, at: datetime) -> Q:
    """Describe the invoices of an age. What falls due at this very moment isn't due yet; 30 days later it is 1–30."""
    if bucket == CURRENT:
        return Q(due_at__gte=at) | Q(due_at=None)
    after, until = DAYS[bucket]
    past = Q(due_at__lt=at - timedelta(days=after))
    return past if until is None else past & Q(due_at__gte=at - timedelta(days=until))


def owed(at: datetime) -> QuerySet[Any]:
    """Keep invoices with something left to pay, each with its age as `bucket` and what is `left`."""
    ages = [When(within(bucket, at), then=Value(bucket)) for bucket in BUCKETS]
    rows = Invoice.objects.to_pay().annotate(left=REMAINING)
    return rows.annotate(bucket=Case(*ages, output_field=CharField()))


def by_customer(at: datetime) -> QuerySet[Any, Any]:
    """Add up what is owed by customer and currency, one column an age, the most overdue first. One query."""
    sums = {f"age{place}": Sum("left", filter=Q(bucket=bucket), default=ZERO) for place, bucket in enumerate(BUCKETS)}
    names = ("customer", "currency", "customer__name", "customer__external_id")
    found = owed(at).order_by().values(*names).annotate(**sums, count=Count("pk"), whole=Sum("left"))
    late = F("whole") - F("age0")
    rows: QuerySet[Any, Any] = found.annotate(late=late)
    return rows.order_by("-late", "-whole", "customer__name", "customer", "currency")


def row_of(found: dict[str, Any]) -> AgingRow:
    """Read a row of `by_customer`."""
    return AgingRow(
        found["customer"],
        found["customer__name"],
        found["customer__external_id"],
        found["currency"],
        {bucket: found[f"age{place}"] for place, bucket in enumerate(BUCKETS)},
        found["count"],
    )


def totals(at: datetime) -> dict[str, dict[str, Decimal]]:
    """Add up what everybody owes: by currency, then by age. One query."""
    found: dict[str, dict[str, Decimal]] = {}
    rows = owed(at).order_by("currency").values_list("currency", "bucket").annotate(amount=Sum("left"))
    for currency, bucket, amount in rows:
        found.setdefault(currency, dict.fromkeys(BUCKETS, ZERO))[bucket] += amount
    return found
