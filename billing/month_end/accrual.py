"""Unbilled revenue at the end of a month: usage of current periods and of ended periods that aren't invoiced yet."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import batched, chain

from django.db.models import Max, Q

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices
from billing.invoicing.subscriptions import load_terms
from billing.isolation import isolate, unexpected_error
from billing.kinds import LineKind
from billing.models import Invoice, InvoiceKind
from billing.money import ZERO
from billing.month_end.customer_ranges import CustomerRange
from billing.month_end.months import Month
from catalog.models import Feature, PlanVersion
from customers.models import Subscription
from customers.periods import Period

BATCH_SIZE = 500  # subscriptions

logger = logging.getLogger(__name__)

Place = tuple[str, str, str]  # currency, plan, feature
_Key = tuple[str, int | None, int | None]  # currency, plan version, feature


@dataclass(frozen=True, slots=True)
class AccrualRow:
    """The unbilled revenue of a plan's feature at the month's end, and the number of subscriptions with it."""

    currency: str
    plan: str
    feature: str
    amount: Decimal
    subscriptions: int


@dataclass(frozen=True, slots=True)
class Accrual:
    """The accrual by currency, plan and feature; how many subscriptions couldn't be rated, and some of the reasons."""

    rows: Sequence[AccrualRow]
    problems: dict[str, str]
    unrated: int

    def totals(self) -> dict[str, Decimal]:
        totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for row in self.rows:
            totals[row.currency] += row.amount
        return dict(sorted(totals.items()))


@dataclass(slots=True)
class Earned:
    """What some subscriptions earned: the amount by place, with how many of them, and why others couldn't be rated."""

    rows: dict[Place, tuple[Decimal, int]]
    problems: dict[str, str]


def earned_by(month: Month, customers: CustomerRange) -> Earned:
    """Rate the usage of some customers that no invoice finalized by the month's end charges, as it is counted now.

    Uses the code that bills. Every period that started by the month's end counts up to that end. Draft invoices aren't
    revenue, so their periods are included.
    """
    end = month.period.end
    unsettled = Q(ended_at=None) | Q(ended_at__gt=month.period.start) | Q(billing__closed_at=None)
    live = Subscription.objects.filter(
        unsettled, started_at__lt=end, customer__gte=customers.first, customer__lte=customers.last
    )
    amounts: dict[_Key, Decimal] = defaultdict(lambda: ZERO)
    subscriptions: dict[_Key, set[int]] = defaultdict(set)
    problems: dict[int, str] = {}
    for batch in batched(live.order_by("pk").values_list("pk", "ended_at"), BATCH_SIZE):
        for computed in _rated(list(_requests(dict(batch), end))):
            subscription = computed.request.subscription
            if computed.problem:
                problems[subscription.subscription_id] = computed.problem
            for line in computed.lines:
                if line.kind == LineKind.USAGE and line.amount:
                    key = (subscription.currency, line.plan_version_id, line.feature_id)
                    amounts[key] += line.amount
                    subscriptions[key].add(subscription.subscription_id)
    return Earned(_by_name(amounts, subscriptions), _named(problems))


def accrual(earned: dict[Place, tuple[Decimal, int]], problems: dict[str, str], unrated: int) -> Accrual:
    """Build the table of unbilled revenue, ordered by currency, plan and feature."""
    rows = [AccrualRow(*place, amount, count) for place, (amount, count) in sorted(earned.items())]
    return Accrual(rows, problems, unrated)


def _rated(requests: Sequence[InvoiceRequest]) -> list[ComputedInvoice]:
    """Calculate many periods. An unexpected error becomes the problem of the one period that fails."""
    return list(chain.from_iterable(isolate(requests, compute_invoices, _cannot_be_rated)))


def _cannot_be_rated(request: InvoiceRequest, error: Exception) -> list[ComputedInvoice]:
    logger.error("Subscription %s can't be rated", request.subscription.subscription_id, exc_info=error)
    return [ComputedInvoice(request, problem=unexpected_error(error))]


def _requests(ends: dict[int, datetime | None], end: datetime) -> Iterator[InvoiceRequest]:
    """Yield the periods to be rated: those that started before the end and weren't on a live invoice at the end."""
    covered = _covered(list(ends), end)
    until = {pk: end if ended_at is None else min(end, ended_at) for pk, ended_at in ends.items()}
    uncovered = [pk for pk in ends if pk not in covered or covered[pk] < until[pk]]
    for pk, subscription in load_terms(uncovered).items():
        since = covered.get(pk, subscription.started_at)
        while since < until[pk]:
            period = _period(subscription, since)
            yield InvoiceRequest(subscription, NextInvoice(InvoiceKind.CYCLE, period, period.end), until=end)
            since = period.end


def _period(subscription: BilledSubscription, since: datetime) -> Period:
    full = subscription.full_period(subscription.schedule.index_at(since))
    return Period(since, full.end if subscription.ended_at is None else min(full.end, subscription.ended_at))


def _covered(ids: Sequence[int], end: datetime) -> dict[int, datetime]:
    """Return until when invoices that were finalized and live at the end had charged each subscription's usage."""
    invoices = Invoice.objects.filter(
        Q(voided_at=None) | Q(voided_at__gte=end),
        subscription__in=ids,
        kind__in=(InvoiceKind.CYCLE, InvoiceKind.FINAL),
        finalized_at__lt=end,
    )
    return dict(invoices.order_by().values_list("subscription_id").annotate(until=Max("period_end")))


def _by_name(amounts: dict[_Key, Decimal], subscriptions: dict[_Key, set[int]]) -> dict[Place, tuple[Decimal, int]]:
    versions = PlanVersion.with_agreed.select_related("plan").in_bulk({key[1] for key in amounts if key[1]})
    features = Feature.objects.in_bulk({key[2] for key in amounts if key[2]})
    by_name: dict[Place, tuple[Decimal, set[int]]] = {}
    for key, amount in amounts.items():
        plan = versions[key[1]].plan.name if key[1] else ""
        place = (key[0], plan, features[key[2]].name if key[2] else "")
        known_amount, known_ids = by_name.get(place, (ZERO, set()))
        by_name[place] = (known_amount + amount, known_ids | subscriptions[key])
    return {place: (amount, len(ids)) for place, (amount, ids) in by_name.items()}


def _named(problems: dict[int, str]) -> dict[str, str]:
    rows = Subscription.objects.filter(pk__in=problems).order_by("pk").values_list("pk", "public_id")
    return {public_id: problems[pk] for pk, public_id in rows}
