"""Preview how a change affects the next invoice: make it, calculate, and roll it back, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.invoicing.upcoming import upcoming
from billing.invoicing.whole_period import WholePeriod, whole_period
from billing.models import Invoice
from billing.money import ZERO
from catalog.models import Plan
from config.approvals.gate import without_approval
from customers.kinds import ChangeInvoicing
from customers.models import Subscription
from customers.subscriptions import change_plan


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change is about to cost, in the subscription's currency.

    `before` and `after` are the totals of the upcoming invoices without and with the change. `at_once` are the invoices
    that the change makes at once, which `after` includes. `period_before` and `period_after` are what a whole period
    costs with the usage of the last one, before and after the change; None if no period is over yet.
    """

    before: Decimal
    after: Decimal
    at_once: tuple[Decimal, ...] = ()
    period_before: WholePeriod | None = None
    period_after: WholePeriod | None = None

    @property
    def period_difference(self) -> Decimal:
        """How much more a whole period costs after the change; zero if it can't be compared."""
        if self.period_before is None or self.period_after is None:
            return ZERO
        return self.period_after.total - self.period_before.total

    @property
    def difference(self) -> Decimal:
        return self.after - self.before

    @property
    def saved(self) -> Decimal:
        return self.before - self.after

    @property
    def immediate(self) -> Decimal:
        """The total that is invoiced at once."""
        return sum(self.at_once, ZERO)

    @property
    def later(self) -> Decimal:
        """The total that is left to the upcoming invoice."""
        return self.after - self.immediate


def preview_change(subscription: Subscription, change: Callable[[], object], *, now: datetime) -> ChangePreview:
    """Return how a change affects the subscription's upcoming invoice and the invoices due before it. Saves nothing.

    Raises what the change raises if it can't be made.
    """
    before, period_before = _due(subscription, now), whole_period(subscription.pk, now=now)
    with transaction.atomic():
        existing = list(Invoice.objects.filter(subscription=subscription).values_list("pk", flat=True))
        with without_approval():
            change()
        new = Invoice.objects.filter(subscription=subscription).exclude(pk__in=existing).order_by("pk")
        at_once = tuple(new.values_list("total", flat=True))
        after = sum(at_once, ZERO) + _due(subscription, now)
        period_after = whole_period(subscription.pk, now=now)
        transaction.set_rollback(True)
    return ChangePreview(before, after, at_once, period_before, period_after)


def preview_plan_change(
    subscription: Subscription, plan: Plan, *, at: datetime, now: datetime, reason: str, invoicing: ChangeInvoicing
) -> ChangePreview:
    """Preview a change of plan, as `preview_change` does. Raises what `change_plan` raises."""

    def change() -> None:
        change_plan(subscription, plan, at=at, now=now, by=None, reason=reason, invoicing=invoicing)

    return preview_change(subscription, change, now=now)


def _due(subscription: Subscription, now: datetime) -> Decimal:
    result = upcoming(subscription.pk, now=now)
    return sum((invoice.total for invoice in result.earlier), result.total)
