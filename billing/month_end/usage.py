"""Where every event that counted in a month went: onto an invoice, a draft, a period still to be billed, or nowhere.

The month of each (customer, feature) is cut into pieces that don't overlap, each with one answer, so the answers add up
to all that was counted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import batched, pairwise

from billing.charges.subscription import ACTIVE, PAUSED, TRIAL, BilledSubscription
from billing.explanation.line_events import recorded_windows
from billing.invoicing.subscriptions import load_terms
from billing.models import InvoiceLine, InvoiceState, LineKind
from billing.month_end.customer_ranges import CustomerRange
from billing.month_end.months import Month
from catalog.models import Feature
from catalog.models.features import UsageReset
from customers.models import Subscription
from customers.periods import Period
from events.usage.contributing_events import counted_by_pair
from events.usage.meter import UsageRequest, counts_many

AT_ONCE = 500  # subscriptions

Pair = tuple[int, int]
Counts = dict[tuple[int, "Went"], int]


class Went(IntEnum):
    """What became of usage, the strongest answer first: where two hold for one moment, the lower counts."""

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


WORDS = {
    Went.INVOICED: "On a finalized invoice",
    Went.FREE_TRIAL: "On an invoice, free during the trial",
    Went.DRAFT: "On a draft",
    Went.RUNNING: "In a period that goes on",
    Went.DUE: "In a period that is over and not billed yet",
    Went.VOID: "Not billed: its invoice is void",
    Went.LEFT_OUT: "Not billed: its period is invoiced without it",
    Went.PAUSED: "Not billed: the subscription was paused",
    Went.NO_PRICE: "Not billed: the plan has no price for it",
    Went.NO_SUBSCRIPTION: "Not billed: no subscription at the time",
}
BILLED = (Went.INVOICED, Went.FREE_TRIAL, Went.DRAFT)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """How many of a feature's events went where."""

    feature: Feature
    went: Went
    events: int


@dataclass(frozen=True, slots=True)
class UsageTable:
    """A month's usage: where it went by feature, beside what was counted in all, added up apart."""

    rows: Sequence[UsageRow]
    counted: int

    @property
    def accounted(self) -> int:
        return sum(row.events for row in self.rows)

    @property
    def difference(self) -> int:
        """What the rows lack to all that was counted. Zero unless events were counted while this was worked out."""
        return self.counted - self.accounted

    def totals(self) -> dict[Went, int]:
        """Add up by answer, those that hold for nothing left out."""
        found: dict[Went, int] = defaultdict(int)
        for row in self.rows:
            found[row.went] += row.events
        return dict(sorted(found.items()))


def usage_table(went: Counts, counted: int) -> UsageTable:
    """Make the table of what was found, by the features' names, beside what was counted in all."""
    features = Feature.objects.in_bulk({feature_id for feature_id, _ in went})
    rows = [UsageRow(features[pk], where, events) for (pk, where), events in went.items() if events and pk in features]
    return UsageTable(sorted(rows, key=lambda row: (row.feature.name, row.feature.pk, row.went)), counted)


def usage_of(month: Month, stretch: CustomerRange, *, now: datetime) -> tuple[Counts, int]:
    """Say where the month's usage of some customers went, by feature, and how much was counted in all."""
    period = month.period
    pairs = counted_by_pair(period.start, period.end, first=stretch.first, last=stretch.last)
    found: Counts = defaultdict(int)
    for (_, feature_id), went, events in _counted(period, pairs, _cut(period, pairs, stretch, now)):
        found[feature_id, went] += events
    return found, sum(pairs.values())


def _counted(
    period: Period, pairs: dict[Pair, int], cut: dict[Pair, list[tuple[Period, Went]]]
) -> Iterator[tuple[Pair, Went, int]]:
    """Count the events of each piece; a month of one piece is counted already."""
    asked: list[tuple[Pair, Went]] = []
    requests = []
    for pair, events in pairs.items():
        if len(cut[pair]) == 1:
            yield pair, cut[pair][0][1], events
            continue
        for window, went in cut[pair]:
            asked.append((pair, went))
            requests.append(UsageRequest(*pair, window.start, window.end))
    for (pair, went), events in zip(asked, counts_many(requests), strict=True):
        yield pair, went, events


def _cut(
    period: Period, pairs: Iterable[Pair], stretch: CustomerRange, now: datetime
) -> dict[Pair, list[tuple[Period, Went]]]:
    """Cut the month of each pair by its invoices' lines, and by the subscriptions where these leave something open.

    What is billed is stronger than all that a subscription says, so where all is, it isn't read.
    """
    covers: dict[Pair, list[tuple[Period, Went]]] = defaultdict(list)
    for pair, window, went in _of_lines(period, stretch):
        covers[pair].append((window, went))
    cut = {pair: pieces(period, covers[pair]) for pair in pairs}
    features: dict[int, list[int]] = defaultdict(list)
    for (customer_id, feature_id), found in cut.items():
        if any(went not in BILLED for _, went in found):
            features[customer_id].append(feature_id)
    for pair, window, went in _of_subscriptions(period, features, now):
        covers[pair].append((window, went))
    for customer_id, left in features.items():
        cut |= {(customer_id, pk): pieces(period, covers[customer_id, pk]) for pk in left}
    return cut


def pieces(period: Period, covers: Iterable[tuple[Period, Went]]) -> list[tuple[Period, Went]]:
    """Cut a period where an answer begins or ends; each piece has the strongest of the answers that hold in it."""
    clipped = [(max(each.start, period.start), min(each.end, period.end), went) for each, went in covers]
    inside = [(start, end, went) for start, end, went in clipped if start < end]
    edges = sorted({period.start, period.end, *(edge for start, end, _ in inside for edge in (start, end))})
    found: list[tuple[Period, Went]] = []
    for start, end in pairwise(edges):
        holding = (went for first, last, went in inside if first <= start and end <= last)
        went = min(holding, default=Went.NO_SUBSCRIPTION)
        goes_on = bool(found) and found[-1][1] == went
        found.append((Period(found.pop()[0].start if goes_on else start, end), went))
    return found


def _of_lines(period: Period, stretch: CustomerRange) -> Iterator[tuple[Pair, Period, Went]]:
    lines = InvoiceLine.objects.filter(
        kind__in=(LineKind.USAGE, LineKind.LATE_USAGE),
        period_start__lt=period.end,
        period_end__gt=period.start,
        invoice__customer__gte=stretch.first,
        invoice__customer__lte=stretch.last,
    )
    columns = ("invoice__customer_id", "feature_id", "feature__reset", "invoice__state", "computation")
    for customer_id, feature_id, reset, state, how in lines.order_by().values_list(*columns).iterator(2_000):
        went = _state(state, is_trial=bool(how.get("trial")))
        for span in recorded_windows(how):
            # A running total charges all that came before, too.
            since = period.start if reset == UsageReset.CUMULATIVE else span.start
            if since < span.end:
                yield (customer_id, feature_id or 0), Period(since, span.end), went


def _state(state: str, *, is_trial: bool) -> Went:
    if state == InvoiceState.VOID:
        return Went.VOID
    if is_trial:
        return Went.FREE_TRIAL
    return Went.DRAFT if state == InvoiceState.DRAFT else Went.INVOICED


def _of_subscriptions(
    period: Period, features: dict[int, list[int]], now: datetime
) -> Iterator[tuple[Pair, Period, Went]]:
    ids = Subscription.objects.filter(customer__in=list(features)).order_by("pk").values_list("pk", flat=True)
    for some in batched(ids, AT_ONCE) if features else ():
        for subscription in load_terms(some).values():
            for feature_id in features[subscription.customer_id]:
                for window, went in subscription_windows(subscription, feature_id, period, now):
                    yield (subscription.customer_id, feature_id), window, went


def subscription_windows(
    subscription: BilledSubscription, feature_id: int, period: Period, now: datetime
) -> Iterator[tuple[Period, Went]]:
    """Say what a subscription makes of a feature's usage in a period, as long as no line says more."""
    for _, window in subscription.windows(period, PAUSED):
        yield window, Went.PAUSED
    billed = subscription.progress.billed_until or subscription.started_at
    running = subscription.schedule.boundary(subscription.schedule.index_at(max(now, subscription.started_at)))
    if subscription.ended_at is not None and subscription.ended_at <= now:
        running = subscription.ended_at
    for phase, window in subscription.windows(period, ACTIVE, TRIAL):
        plan = subscription.plans[phase.version_id]
        if not any(price.feature.id == feature_id for price in plan.usage):
            yield window, Went.NO_PRICE
            continue
        spans = (
            (period.start, billed, Went.LEFT_OUT),
            (billed, running, Went.DUE),
            (running, period.end, Went.RUNNING),
        )
        for start, end, went in spans:
            first, last = max(start, window.start), min(end, window.end)
            if first < last:
                yield Period(first, last), went
