"""The billing status of every event counted in a month: invoiced, on a draft, to be billed later, or not billed.

The month of each (customer, feature) is cut into pieces that don't overlap. Each piece has one status, so the events by
status add up to all events counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import batched, pairwise

from django.db.models import BooleanField, ExpressionWrapper, F, Q

from billing.charges.subscription import BilledSubscription
from billing.explanation.line_events import read_counted_windows
from billing.invoicing.subscriptions import load_terms
from billing.models import InvoiceLine, InvoiceState, LineKind
from billing.month_end.customer_ranges import CustomerRange
from catalog.models import Feature
from catalog.models.features import UsageReset
from customers.kinds import PhaseKind
from customers.models import Subscription
from customers.periods import Period
from events.usage.contributing_events import FeatureSpan, counted_by_pair
from events.usage.meter import UsageRequest, ceil_day, counts_many, floor_day

BATCH_SIZE = 500  # subscriptions

# A line whose usage is all free. A line that is free in part is billed: its events share the free units.
IS_FREE = ExpressionWrapper(
    Q(kind=LineKind.USAGE, amount=0, quantity__gt=0, free_units__gte=F("quantity")), output_field=BooleanField()
)

Pair = tuple[int, int]
Counts = dict[tuple[int, "UsageStatus"], int]


class UsageStatus(IntEnum):
    """The billing status of usage. If two apply to a moment, the stronger wins."""

    INVOICED = 1
    FREE_TRIAL = 2
    DRAFT = 3
    RUNNING = 4
    DUE = 5
    VOID = 6
    LEFT_OUT = 7
    PAUSED = 8
    NO_PRICE = 9
    NO_SUBSCRIPTION = 10
    FREE_UNITS = 11
    OTHER_PRICE = 12

    @property
    def is_unbilled(self) -> bool:
        """Return whether the usage is charged nowhere, neither now nor later."""
        return self in UNBILLED

    @property
    def strength(self) -> int:
        """Return the order in which statuses win. Values are stored, so a later status has its place here."""
        return STRENGTH.index(self)


STATUS_LABELS = {
    UsageStatus.INVOICED: "On a finalized invoice",
    UsageStatus.FREE_UNITS: "On a finalized invoice, within the free units",
    UsageStatus.FREE_TRIAL: "On an invoice, free during the trial",
    UsageStatus.DRAFT: "On a draft",
    UsageStatus.RUNNING: "In a current period",
    UsageStatus.DUE: "In an ended period, not billed yet",
    UsageStatus.VOID: "Not billed: its invoice is void",
    UsageStatus.LEFT_OUT: "Not billed: its period was invoiced without it",
    UsageStatus.PAUSED: "Not billed: the subscription was paused",
    UsageStatus.OTHER_PRICE: "With another price: by value, or for all values",
    UsageStatus.NO_PRICE: "Not billed: the plan has no price for it",
    UsageStatus.NO_SUBSCRIPTION: "Not billed: no subscription at the time",
}
FREE = (UsageStatus.FREE_UNITS, UsageStatus.FREE_TRIAL)
BILLED = (UsageStatus.INVOICED, *FREE, UsageStatus.DRAFT)
UNBILLED = (
    *(UsageStatus.VOID, UsageStatus.LEFT_OUT, UsageStatus.PAUSED),
    *(UsageStatus.NO_PRICE, UsageStatus.NO_SUBSCRIPTION),
)
STRENGTH = (
    *(UsageStatus.INVOICED, UsageStatus.FREE_UNITS, UsageStatus.FREE_TRIAL, UsageStatus.DRAFT, UsageStatus.RUNNING),
    *(UsageStatus.DUE, UsageStatus.VOID, UsageStatus.LEFT_OUT, UsageStatus.PAUSED, UsageStatus.OTHER_PRICE),
    *(UsageStatus.NO_PRICE, UsageStatus.NO_SUBSCRIPTION),
)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The number of a feature's events with a billing status."""

    feature: Feature
    status: UsageStatus
    events: int


@dataclass(frozen=True, slots=True)
class UsageTable:
    """A month's usage by feature and billing status, next to all events counted, which are added up separately."""

    rows: Sequence[UsageRow]
    counted: int

    @property
    def accounted(self) -> int:
        return sum(row.events for row in self.rows)

    @property
    def difference(self) -> int:
        """Events counted that no row has. Zero unless events were counted during the calculation."""
        return self.counted - self.accounted

    def totals(self) -> dict[UsageStatus, int]:
        """Add up the events by status, without statuses that have none."""
        totals: dict[UsageStatus, int] = defaultdict(int)
        for row in self.rows:
            totals[row.status] += row.events
        return dict(sorted(totals.items()))


def usage_table(counts: Counts, counted: int) -> UsageTable:
    """Build the table of events by feature name and status, next to all events counted."""
    features = Feature.objects.in_bulk({feature_id for feature_id, _ in counts})
    rows = [
        UsageRow(features[pk], status, events) for (pk, status), events in counts.items() if events and pk in features
    ]
    return UsageTable(sorted(rows, key=lambda row: (row.feature.name, row.feature.pk, row.status)), counted)


def usage_of(
    period: Period, customers: CustomerRange, *, now: datetime, feature_id: int | None = None
) -> tuple[Counts, int]:
    """Count the events of some customers by feature and billing status, and all events counted; of one feature, or all.

    Usage on a line of free units alone has a status of its own.
    """
    pairs = _pairs(period, customers, feature_id)
    counts: Counts = defaultdict(int)
    for (_, feature_id), status, events in _counted(period, pairs, _cut(period, pairs, customers, now)):
        counts[feature_id, status] += events
    return counts, sum(pairs.values())


def spans_with(
    status: UsageStatus | None,
    period: Period,
    customers: CustomerRange,
    *,
    now: datetime,
    feature_id: int | None = None,
) -> list[FeatureSpan]:
    """List the spans of some customers' usage that have a billing status, or any, by feature."""
    cut = _cut(period, _pairs(period, customers, feature_id), customers, now)
    spans = [
        FeatureSpan(*pair, window.start, window.end)
        for pair, pair_pieces in cut.items()
        for window, piece_status in pair_pieces
        if status in (None, piece_status)
    ]
    return sorted(spans, key=lambda span: (span.feature_id, span.customer_id, span.start))


def join_free_units(counts: Counts) -> Counts:
    """Count usage within the free units as invoiced, as month ends do, so that closed months keep their figures."""
    joined: Counts = defaultdict(int)
    for (feature_id, status), events in counts.items():
        joined[feature_id, UsageStatus.INVOICED if status == UsageStatus.FREE_UNITS else status] += events
    return joined


def _pairs(period: Period, customers: CustomerRange, feature_id: int | None) -> dict[Pair, int]:
    """Count the events of each customer and feature. Full UTC days are counted already; others are counted exactly."""
    first, last = floor_day(period.start), ceil_day(period.end)
    pairs = counted_by_pair(first, last, first=customers.first, last=customers.last)
    pairs = {pair: events for pair, events in pairs.items() if feature_id in (None, pair[1])}
    if (first, last) == (period.start, period.end):
        return pairs
    events = counts_many([UsageRequest(*pair, period.start, period.end) for pair in pairs])
    return {pair: count for pair, count in zip(pairs, events, strict=True) if count}


def _counted(
    period: Period, pairs: dict[Pair, int], cut: dict[Pair, list[tuple[Period, UsageStatus]]]
) -> Iterator[tuple[Pair, UsageStatus, int]]:
    """Count the events of each piece. A month of one piece is counted already."""
    statuses: list[tuple[Pair, UsageStatus]] = []
    requests = []
    for pair, events in pairs.items():
        if len(cut[pair]) == 1:
            yield pair, cut[pair][0][1], events
            continue
        for window, status in cut[pair]:
            statuses.append((pair, status))
            requests.append(UsageRequest(*pair, window.start, window.end))
    for (pair, status), events in zip(statuses, counts_many(requests), strict=True):
        yield pair, status, events


def _cut(
    period: Period, pairs: Iterable[Pair], customers: CustomerRange, now: datetime
) -> dict[Pair, list[tuple[Period, UsageStatus]]]:
    """Cut the month of each pair by its invoice lines, and by its subscriptions if part of the month isn't billed.

    Billed statuses are stronger than those of subscriptions, so fully billed months don't load subscriptions.
    """
    covers: dict[Pair, list[tuple[Period, UsageStatus]]] = defaultdict(list)
    for pair, window, status in _of_lines(period, customers):
        covers[pair].append((window, status))
    cut = {pair: pieces(period, covers[pair]) for pair in pairs}
    unbilled: dict[int, list[int]] = defaultdict(list)
    for (customer_id, feature_id), pair_pieces in cut.items():
        if any(status not in BILLED for _, status in pair_pieces):
            unbilled[customer_id].append(feature_id)
    for pair, window, status in _of_subscriptions(period, unbilled, now):
        covers[pair].append((window, status))
    for customer_id, feature_ids in unbilled.items():
        cut |= {(customer_id, pk): pieces(period, covers[customer_id, pk]) for pk in feature_ids}
    return cut


def pieces(period: Period, covers: Iterable[tuple[Period, UsageStatus]]) -> list[tuple[Period, UsageStatus]]:
    """Cut a period where a status starts or ends. Each piece has the strongest status that applies to it."""
    clipped = [(max(window.start, period.start), min(window.end, period.end), status) for window, status in covers]
    inside = [(start, end, status) for start, end, status in clipped if start < end]
    edges = sorted({period.start, period.end, *(edge for start, end, _ in inside for edge in (start, end))})
    joined: list[tuple[Period, UsageStatus]] = []
    for start, end in pairwise(edges):
        statuses = (status for first, last, status in inside if first <= start and end <= last)
        status = min(statuses, default=UsageStatus.NO_SUBSCRIPTION, key=lambda status: status.strength)
        continues = bool(joined) and joined[-1][1] == status
        joined.append((Period(joined.pop()[0].start if continues else start, end), status))
    return joined


def _of_lines(period: Period, customers: CustomerRange) -> Iterator[tuple[Pair, Period, UsageStatus]]:
    lines = InvoiceLine.objects.filter(
        kind__in=(LineKind.USAGE, LineKind.LATE_USAGE),
        period_start__lt=period.end,
        period_end__gt=period.start,
        invoice__subscription__customer__gte=customers.first,
        invoice__subscription__customer__lte=customers.last,
    )
    whose = "invoice__subscription__customer_id"
    columns = (whose, "feature_id", "feature__reset", "invoice__state", "computation", "is_free")
    rows = lines.annotate(is_free=IS_FREE).order_by().values_list(*columns)
    for customer_id, feature_id, reset, state, computation, is_free in rows.iterator(2_000):
        status = _status(state, is_trial=bool(computation.get("trial")), is_free=is_free)
        for span in read_counted_windows(computation):
            # A running total charges all earlier usage too.
            since = period.start if reset == UsageReset.CUMULATIVE else span.start
            if since < span.end:
                yield (customer_id, feature_id or 0), Period(since, span.end), status


def _status(state: str, *, is_trial: bool, is_free: bool = False) -> UsageStatus:
    if state == InvoiceState.VOID:
        return UsageStatus.VOID
    if is_trial:
        return UsageStatus.FREE_TRIAL
    if state == InvoiceState.DRAFT:
        return UsageStatus.DRAFT
    return UsageStatus.FREE_UNITS if is_free else UsageStatus.INVOICED


def _of_subscriptions(
    period: Period, features_by_customer: dict[int, list[int]], now: datetime
) -> Iterator[tuple[Pair, Period, UsageStatus]]:
    subscriptions = Subscription.objects.filter(customer__in=list(features_by_customer)).order_by("pk")
    ids = subscriptions.values_list("pk", flat=True)
    wholes = dict(Feature.objects.filter(variant_of__isnull=False).values_list("pk", "variant_of_id"))
    for batch in batched(ids, BATCH_SIZE) if features_by_customer else ():
        for subscription in load_terms(batch).values():
            for feature_id in features_by_customer[subscription.customer_id]:
                whole_id = wholes.get(feature_id, feature_id)
                for window, status in subscription_windows(subscription, feature_id, period, now, whole_id=whole_id):
                    yield (subscription.customer_id, feature_id), window, status


def subscription_windows(
    subscription: BilledSubscription, feature_id: int, period: Period, now: datetime, *, whole_id: int | None = None
) -> Iterator[tuple[Period, UsageStatus]]:
    """Yield the billing status of usage without invoice lines, by a subscription's phases and billing progress.

    `whole_id` is the feature that counts all the usage of which this feature counts some values.
    """
    for _, window in subscription.windows(period, PhaseKind.PAUSED):
        yield window, UsageStatus.PAUSED
    billed = subscription.progress.billed_until or subscription.started_at
    running = subscription.schedule.boundary(subscription.schedule.index_at(max(now, subscription.started_at)))
    if subscription.ended_at is not None and subscription.ended_at <= now:
        running = subscription.ended_at
    for phase, window in subscription.windows(period, PhaseKind.ACTIVE, PhaseKind.TRIAL):
        plan = subscription.plans[phase.version_id]
        if not any(price.feature.id == feature_id for price in plan.usage):
            is_priced = any(price.feature.whole_id == (whole_id or feature_id) for price in plan.usage)
            yield window, UsageStatus.OTHER_PRICE if is_priced else UsageStatus.NO_PRICE
            continue
        spans = (
            (period.start, billed, UsageStatus.LEFT_OUT),
            (billed, running, UsageStatus.DUE),
            (running, period.end, UsageStatus.RUNNING),
        )
        for start, end, status in spans:
            first, last = max(start, window.start), min(end, window.end)
            if first < last:
                yield Period(first, last), status
