"""Helpers for billing tests: moments, usage written to the buckets, and invoices as (description, amount)."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.models import Invoice
from billing.runs.billing_run import run_to_end
from billing.runs.billing_states import parked
from catalog.models import Feature
from customers.models import Customer, Subscription
from events.models import UsageBucket
from events.usage.meter import floor_hour

D = Decimal


def utc(*parts: int) -> datetime:
    """Write a moment in UTC: utc(2026, 9, 1)."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # the pieces are ints, the zone is named


def use(customer: Customer, feature: Feature, at: datetime, value: Any, *, events: int = 1) -> None:
    """Count usage in the hour of a moment, as the worker would: `value` in all, from some events."""
    value = D(str(value))
    UsageBucket.objects.create(
        customer=customer,
        feature=feature,
        hour=floor_hour(at),
        count=int(value) if feature.aggregation == "count" else events,
        total=value,
        weighted=0,
        maximum=value,
        minimum=value,
        latest=value,
        latest_at=at,
        latest_id=1,
        checksum=events * 7,
    )


def bill(as_of: datetime) -> list[Invoice]:
    """Run billing, with nothing parked, and return the invoices it made, in the order of their periods' ends."""
    before = set(Invoice.objects.values_list("pk", flat=True))
    run_to_end(as_of=as_of)
    assert list(parked().values_list("parked_reason", flat=True)) == []
    return list(Invoice.objects.exclude(pk__in=before).order_by("subscription", "period_end", "pk"))


def lines(invoice: Invoice) -> list[tuple[str, Decimal]]:
    """Return what an invoice says: descriptions and amounts."""
    return [(line.description, line.amount) for line in invoice.lines.all()]


def amounts(invoice: Invoice) -> list[Decimal]:
    """Return an invoice's line amounts in order."""
    return [line.amount for line in invoice.lines.all()]


def invoices_of(subscription: Subscription) -> list[Invoice]:
    """Return a subscription's invoices in the order they were made."""
    return list(subscription.invoices.order_by("pk"))
