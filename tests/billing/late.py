"""Helpers for tests of late usage: events through the inbox, and the adjustments that follow."""

from datetime import datetime, timedelta
from typing import Any

from billing.late_usage.checks import find_checks
from billing.late_usage.reconcile import reconcile_due
from billing.lifecycle.finalize import finalize_due
from billing.models import Invoice, LateAdjustment
from customers.models import Subscription
from tests.billing.world import bill
from tests.events.senders import process, send


def arrive(*moments: datetime, customer: str = "acme", event_name: str = "api.calls", **properties: Any) -> list[str]:
    """Have events come in and be counted, one at each moment; their ids come back."""
    ids = [send(event_name, customer=customer, at=moment, **properties) for moment in moments]
    process()
    return ids


def arrive_many(number: int, at: datetime, **given: Any) -> list[str]:
    """Have a number of events of one moment come in and be counted."""
    return arrive(*[at] * number, **given)


def invoice_at(moment: datetime) -> list[Invoice]:
    """Bill what is due and finalize it at once."""
    made = bill(moment)
    finalize_due(now=moment)
    return list(Invoice.objects.filter(pk__in=[invoice.pk for invoice in made]).order_by("pk"))


def work_late(now: datetime) -> None:
    """Do what the worker does about late usage."""
    find_checks(now=now)
    reconcile_due(now=now)


def adjustments(subscription: Subscription) -> list[LateAdjustment]:
    """Return a subscription's adjustments in the order they were made."""
    return list(subscription.late_adjustments.order_by("pk"))


def make_late_adjustment(subscription: Subscription, price: Any) -> LateAdjustment:
    """Make an adjustment of two more units, $1.00, that waits for the next invoice."""
    sides = {"quantity": 2, "free": 0, "billable": 2, "amount": 1, "events": 2, "checksum": 7}
    return LateAdjustment.objects.create(
        subscription=subscription,
        period_start=subscription.started_at,
        period_end=subscription.started_at + timedelta(days=31),
        feature=price.feature,
        price=price,
        currency=subscription.currency,
        state="waiting",
        **{f"{name}_before": 0 for name in sides},
        **{f"{name}_after": value for name, value in sides.items()},
    )
