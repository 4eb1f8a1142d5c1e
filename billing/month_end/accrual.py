"""Unbilled revenue at the end of a month: usage that isn't invoiced yet, and what is earned of commitments."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import batched, chain

from django.db.models import Max, Q

from billing.charges.commitment_facts import ChargedUsage, CommitmentFacts
from billing.charges.earned_commitments import list_earned
from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription, Phase
from billing.charges.subscription_commitments import LABELS, usage_of
from billing.invoicing.commitments import add_commitments_as_of
from billing.invoicing.compute import ComputedInvoice, InvoiceRequest, compute_invoices
from billing.invoicing.subscriptions import load_terms
from billing.isolation import isolate, unexpected_error
from billing.kinds import CommitmentPart, LineKind
from billing.models import Invoice, InvoiceKind
from billing.money import ZERO
from billing.month_end.customer_ranges import CustomerRange
from billing.month_end.months import Month
from catalog.models import Feature, PlanVersion
from customers.models import Subscription
from customers.periods import Period

BATCH_SIZE = 500  # subscriptions
MINIMUM = LABELS[CommitmentPart.TRUE_UP].lower()

logger = logging.getLogger(__name__)

Place = tuple[str, str, str]  # currency, plan, feature
_Key = tuple[str, int | None, int | None, str]  # currency, plan version, feature, what is earned beside its usage


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
    revenue, so their periods are included. Minimum commitments are earned by the day.
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
        rated = _rated(list(_requests(dict(batch), end)))
        for computed in rated:
            if computed.problem:
                problems[computed.request.subscription.subscription_id] = computed.problem
        for subscription_id, key, amount in chain(_usage(rated), _commitments(rated, end)):
            amounts[key] += amount
            subscriptions[key].add(subscription_id)
    return Earned(_by_name(amounts, subscriptions), _named(problems))


def _usage(rated: Sequence[ComputedInvoice]) -> Iterator[tuple[int, _Key, Decimal]]:
    """Yield what usage earned, and the minimums of prices, which are prorated to the days until the end."""
    for computed in rated:
        subscription = computed.request.subscription
        for line in computed.lines:
            if line.kind in (LineKind.USAGE, LineKind.TRUE_UP) and line.amount:
                label = MINIMUM if line.kind == LineKind.TRUE_UP else ""
                key = (subscription.currency, line.plan_version_id, line.feature_id, label)
                yield subscription.subscription_id, key, line.amount


def _commitments(rated: Sequence[ComputedInvoice], end: datetime) -> Iterator[tuple[int, _Key, Decimal]]:
    """Yield what is earned of the commitments of the rated subscriptions, less what invoices held of it at the end."""
    subscriptions = {one.request.subscription.subscription_id: one.request.subscription for one in rated}
    for computed in rated:
        if computed.problem:  # without its usage, it isn't known what is missing to a commitment
            subscriptions.pop(computed.request.subscription.subscription_id, None)
    add_commitments_as_of(subscriptions, end)
    unbilled: dict[int, list[ChargedUsage]] = defaultdict(list)
    for computed in rated:
        unbilled[computed.request.subscription.subscription_id] += usage_of(computed.lines)
    for pk, subscription in subscriptions.items():
        facts = subscription.committed
        facts = CommitmentFacts(facts.amounts, [*facts.usage, *unbilled[pk]], facts.invoiced)
        version_id = max((phase for phase in subscription.phases if phase.start < end), key=_start).version_id
        for part, amount in list_earned(subscription, facts, end):
            yield pk, (subscription.currency, version_id, None, LABELS[part]), amount


def _start(phase: Phase) -> datetime:
    return phase.start


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
        name = features[key[2]].name if key[2] else ""
        place = (key[0], plan, ": ".join(filter(None, (name, key[3]))))
        known_amount, known_ids = by_name.get(place, (ZERO, set()))
        by_name[place] = (known_amount + amount, known_ids | subscriptions[key])
    return {place: (amount, len(ids)) for place, (amount, ids) in by_name.items()}


def _named(problems: dict[int, str]) -> dict[str, str]:
    rows = Subscription.objects.filter(pk__in=problems).order_by("pk").values_list("pk", "public_id")
    return {public_id: problems[pk] for pk, public_id in rows}
