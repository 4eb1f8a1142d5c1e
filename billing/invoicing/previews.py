"""What a change would do to the next invoice: made, looked at, and taken back, in one transaction."""

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
class Effect:
    """What is to be invoiced next, as things are and after the change, in the subscription's currency."""

    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return self.after - self.before

    @property
    def saved(self) -> Decimal:
        return self.before - self.after


def effect_of(subscription: Subscription, change: Callable[[], object], *, now: datetime) -> Effect:
    """Work out what a change would do to the subscription's upcoming invoice and those due before it. Writes nothing.

    Raises what the change raises where it can't be made.
    """
    before = _due(subscription, now)
    with transaction.atomic():
        change()
        after = _due(subscription, now)
        transaction.set_rollback(True)
    return Effect(before, after)


def effect_of_plan(subscription: Subscription, plan: Plan, *, at: datetime, now: datetime, reason: str) -> Effect:
    """Work out what moving to a plan would do, as `effect_of`. Raises what `change_plan` raises."""

    def change() -> None:
        change_plan(subscription, plan, at=at, now=now, by=None, reason=reason)

    return effect_of(subscription, change, now=now)


def _due(subscription: Subscription, now: datetime) -> Decimal:
    whole = upcoming(subscription.pk, now=now)
    return sum((invoice.total for invoice in whole.earlier), whole.total)
