"""Preview how a change affects the next invoice: make it, calculate, and roll it back, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.invoicing.upcoming import upcoming
from catalog.models import Plan
from customers.models import Subscription
from customers.subscriptions import change_plan


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """The next invoice's total before and after a change, in the subscription's currency."""

    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return self.after - self.before

    @property
    def saved(self) -> Decimal:
        return self.before - self.after


def preview_change(subscription: Subscription, change: Callable[[], object], *, now: datetime) -> ChangePreview:
    """Return how a change affects the subscription's upcoming invoice and the invoices due before it. Saves nothing.

    Raises what the change raises if it can't be made.
    """
    before = _due(subscription, now)
    with transaction.atomic():
        change()
        after = _due(subscription, now)
        transaction.set_rollback(True)
    return ChangePreview(before, after)


def preview_plan_change(
    subscription: Subscription, plan: Plan, *, at: datetime, now: datetime, reason: str
) -> ChangePreview:
    """Preview a change of plan, as `preview_change` does. Raises what `change_plan` raises."""

    def change() -> None:
        change_plan(subscription, plan, at=at, now=now, by=None, reason=reason)

    return preview_change(subscription, change, now=now)


def _due(subscription: Subscription, now: datetime) -> Decimal:
    result = upcoming(subscription.pk, now=now)
    return sum((invoice.total for invoice in result.earlier), result.total)
