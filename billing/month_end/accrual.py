"""What is earned by the end of a month and not billed then: the usage of periods that go on, and of those still due."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import batched, chain

from django.db.models import Max, Q

from billing.charges.next_invoice import CYCLE, NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices
from billing.invoicing.subscriptions import load_terms
from billing.isolation import isolate, unexpected_error
from billing.lines import USAGE
from billing.models import Invoice, InvoiceKind
from billing.money import ZERO
from billing.month_end.customer_ranges import CustomerRange
from billing.month_end.months import Month
from catalog.models import Feature, PlanVersion
from customers.models import Subscription
from customers.periods import Period

AT_ONCE = 500  # subscriptions

logger = logging.getLogger(__name__)

Place = tuple[str, str, str]  # currency, plan, feature
_Key = tuple[str, int | None, int | None]  # currency, plan version, feature


@dataclass(frozen=True, slots=True)
class AccrualRow:
    """What a plan's feature earned without being billed by the month's end, and in how many subscriptions."""

    currency: str
    plan: str
    feature: str
    amount: Decimal
    subscriptions: int


@dataclass(frozen=True, slots=True)
class Accrual:
    """The month's accrual by currency, plan and feature; how many subscriptions couldn't be rated, and why of some."""

    rows: Sequence[AccrualRow]
    problems: dict[str, str]
    unrated: int

    def totals(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for row in self.rows:
            found[row.currency] += row.amount
        return dict(sorted(found.items()))


@dataclass(slots=True)
class Earned:
    """What some subscriptions earned: the amount by place, with how many of them, and why others couldn't be rated."""

    rows: dict[Place, tuple[Decimal, int]]
    problems: dict[str, str]


def earned_by(month: Month, stretch: CustomerRange) -> Earned:
    """Rate the usage of some customers that no invoice finalized by the month's end holds, as usage is known now.

    By the code that bills. Of every period that has begun by then: the part until then. Draft invoices aren't revenue,
    so their periods are in.
    """
    end = month.period.end
    unsettled = Q(ended_at=None) | Q(ended_at__gt=month.period.start) | Q(billing__closed_at=None)
    live = Subscription.objects.filter(
        unsettled, started_at__lt=end, customer__gte=stretch.first, customer__lte=stretch.last
    )
    amounts: dict[_Key, Decimal] = defaultdict(lambda: ZERO)
    subscriptions: dict[_Key, set[int]] = defaultdict(set)
    problems: dict[int, str] = {}
    for some in batched(live.order_by("pk").values_list("pk", "ended_at"), AT_ONCE):
        for computed in _rated(list(_works(dict(some), end))):
            subscription = computed.work.subscription
            if computed.problem:
                problems[subscription.subscription_id] = computed.problem
            for line in computed.lines:
                if line.kind == USAGE and line.amount:
                    key = (subscription.currency, line.plan_version_id, line.feature_id)
                    amounts[key] += line.amount
                    subscriptions[key].add(subscription.subscription_id)
    return Earned(_by_name(amounts, subscriptions), _named(problems))


def accrual(earned: dict[Place, tuple[Decimal, int]], problems: dict[str, str], unrated: int) -> Accrual:
    """Make the table of what was found, in the order of its names."""
    rows = [AccrualRow(*place, amount, count) for place, (amount, count) in sorted(earned.items())]
    return Accrual(rows, problems, unrated)


def _rated(requests: Sequence[InvoiceRequest]) -> list[ComputedInvoice]:
    """Calculate many periods. An unexpected error becomes the problem of the one period that fails."""
    return list(chain.from_iterable(isolate(requests, compute_invoices, _cannot_be_rated)))


def _cannot_be_rated(request: InvoiceRequest, error: Exception) -> list[ComputedInvoice]:
    logger.error("Subscription %s can't be rated", request.subscription.subscription_id, exc_info=error)
    return [ComputedInvoice(request, problem=unexpected_error(error))]


def _works(ends: dict[int, datetime | None], end: datetime) -> Iterator[InvoiceRequest]:
    """List the periods to be rated: those that began before the end and that no invoice of then held."""
    covered = _covered(list(ends), end)
    until = {pk: end if ended_at is None else min(end, ended_at) for pk, ended_at in ends.items()}
    left = [pk for pk in ends if pk not in covered or covered[pk] < until[pk]]
    for pk, subscription in load_terms(left).items():
        since = covered.get(pk, subscription.started_at)
        while since < until[pk]:
            period = _period(subscription, since)
            yield InvoiceRequest(subscription, NextInvoice(CYCLE, period, period.end), until=end)
            since = period.end


def _period(subscription: BilledSubscription, since: datetime) -> Period:
    full = subscription.full_period(subscription.schedule.index_at(since))
    return Period(since, full.end if subscription.ended_at is None else min(full.end, subscription.ended_at))


def _covered(ids: Sequence[int], end: datetime) -> dict[int, datetime]:
    """Say up to when invoices that were finalized, and not void, by the end had charged each subscription's usage."""
    invoices = Invoice.objects.filter(
        Q(voided_at=None) | Q(voided_at__gte=end),
        subscription__in=ids,
        kind__in=(InvoiceKind.CYCLE, InvoiceKind.FINAL),
        finalized_at__lt=end,
    )
    return dict(invoices.order_by().values_list("subscription_id").annotate(until=Max("period_end")))


def _by_name(amounts: dict[_Key, Decimal], subscriptions: dict[_Key, set[int]]) -> dict[Place, tuple[Decimal, int]]:
    versions = PlanVersion.objects.select_related("plan").in_bulk({key[1] for key in amounts if key[1]})
    features = Feature.objects.in_bulk({key[2] for key in amounts if key[2]})
    named: dict[Place, tuple[Decimal, set[int]]] = {}
    for key, amount in amounts.items():
        plan = versions[key[1]].plan.name if key[1] else ""
        place = (key[0], plan, features[key[2]].name if key[2] else "")
        before = named.get(place, (ZERO, set()))
        named[place] = (before[0] + amount, before[1] | subscriptions[key])
    return {place: (amount, len(which)) for place, (amount, which) in named.items()}


def _named(problems: dict[int, str]) -> dict[str, str]:
    found = Subscription.objects.filter(pk__in=problems).order_by("pk").values_list("pk", "public_id")
    return {public_id: problems[pk] for pk, public_id in found}
