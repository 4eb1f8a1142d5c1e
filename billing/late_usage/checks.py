"""From touched hours to the invoiced periods that are to be looked at again."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.models import Invoice, InvoiceKind, InvoiceState, LateCheck
from billing.models.invoices import SETTLEMENT
from catalog.models import Entitlement, Feature
from customers.models import Subscription
from customers.periods import Period, Schedule
from customers.subscriptions import get_schedule
from events.ledger.closing import Touched, take_touched

HOUR = timedelta(hours=1)
NOTES_AT_A_TIME = 5_000
OF_USAGE = (InvoiceKind.CYCLE, InvoiceKind.FINAL)


def find_checks(*, now: datetime) -> int:
    """Turn what usage tracking noted into periods to be checked; return how many notes were taken. Safe to repeat."""
    taken = 0
    while True:
        with transaction.atomic():
            touched = take_touched(NOTES_AT_A_TIME)
            add_checks(periods_of(touched), now=now)
        taken += len(touched)
        if not touched:
            return taken


def add_checks(periods: Iterable[tuple[int, Period]], *, now: datetime) -> None:
    """Note periods, as (subscription id, period), to be worked out anew. One that is noted already stays."""
    rows = [
        LateCheck(subscription_id=pk, period_start=period.start, period_end=period.end, noted_at=now)
        for pk, period in sorted(set(periods), key=lambda found: (found[0], found[1].start))
    ]
    LateCheck.objects.bulk_create(rows, ignore_conflicts=True)


def ready_checks(now: datetime) -> QuerySet[LateCheck]:
    """Keep checks that can be done: not those of a draft, which takes its period's usage in by itself."""
    drafts = Invoice.objects.exclude(SETTLEMENT).filter(
        subscription=OuterRef("subscription"),
        period_start=OuterRef("period_start"),
        kind__in=OF_USAGE,
        state=InvoiceState.DRAFT,
    )
    return LateCheck.objects.filter(Q(retry_at=None) | Q(retry_at__lte=now)).exclude(Exists(drafts))


def periods_of(touched: Sequence[Touched]) -> set[tuple[int, Period]]:
    """Find the billed periods whose invoice the touched hours can change, of all subscriptions of their customers.

    Usage counts in the period that holds its hour; of a running total, and where free units reach beyond a period, in
    every later one as well.
    """
    if not touched:
        return set()
    since = min(each.hour for each in touched)
    lasting = _lasting({each.feature_id for each in touched})
    by_customer: dict[int, list[Touched]] = defaultdict(list)
    for each in touched:
        by_customer[each.customer_id].append(each)
    subscriptions = list(
        Subscription.objects.filter(customer_id__in=list(by_customer), billing__billed_until__gt=since).select_related(
            "billing"
        )
    )
    invoiced = _invoiced([subscription.pk for subscription in subscriptions], since)
    found: set[tuple[int, Period]] = set()
    for subscription in subscriptions:
        mine = by_customer[subscription.customer_id]
        for period in _closed(subscription, invoiced[subscription.pk], min(each.hour for each in mine)):
            begun = _begun(subscription, period)
            if any(_concerns(each, begun, each.feature_id in lasting) for each in mine):
                found.add((subscription.pk, period))
    return found


def _begun(subscription: Subscription, period: Period) -> Period:
    """Reach back to where the billing period began: an invoice that begins within one charges by all of it."""
    schedule = get_schedule(subscription)
    whole = schedule.boundary(schedule.index_at(max(period.start, subscription.started_at)))
    return Period(min(max(whole, subscription.started_at), period.start), period.end)


def _concerns(touched: Touched, period: Period, is_lasting: bool) -> bool:
    return period.end > touched.hour and (is_lasting or period.start < touched.hour + HOUR)


def _closed(subscription: Subscription, invoiced: list[Period], since: datetime) -> list[Period]:
    billed_until = subscription.billing.billed_until
    if billed_until is None or billed_until <= since:
        return []
    schedule = get_schedule(subscription)
    return list(closed_periods(schedule, subscription.started_at, billed_until, invoiced, since))


def _lasting(feature_ids: Collection[int]) -> set[int]:
    """Keep features whose usage reaches into later periods."""
    cumulative = Feature.objects.in_bulk(feature_ids).values()
    beyond = Entitlement.objects.filter(feature_id__in=feature_ids, is_enabled=True).exclude(
        reset__in=("period", "daily")
    )
    return {feature.pk for feature in cumulative if feature.is_cumulative} | set(
        beyond.values_list("feature_id", flat=True).distinct()
    )


def _invoiced(subscription_ids: Collection[int], since: datetime) -> dict[int, list[Period]]:
    found: dict[int, set[Period]] = defaultdict(set)
    invoices = Invoice.objects.filter(
        subscription_id__in=subscription_ids, kind__in=OF_USAGE, period_end__gt=since
    ).values_list("subscription_id", "period_start", "period_end")
    for subscription_id, start, end in invoices:
        if subscription_id is not None and start is not None and end is not None and start < end:
            found[subscription_id].add(Period(start, end))
    return defaultdict(list, {pk: list(periods) for pk, periods in found.items()})


def closed_periods(
    schedule: Schedule, started_at: datetime, billed_until: datetime, invoiced: Iterable[Period], since: datetime
) -> Iterator[Period]:
    """Give the periods billed by `billed_until` that end after a moment: those of invoices, and between them the
    billing periods, or parts of one, for which there was nothing to invoice."""
    covered = sorted((period for period in invoiced if period.end > since), key=lambda period: period.start)
    yield from covered
    at = max(schedule.boundary(schedule.index_at(max(since, started_at))), started_at)
    while at < billed_until:
        end = min(schedule.boundary(schedule.index_at(at) + 1), billed_until)
        yield from (gap for gap in _gaps(Period(at, end), covered) if gap.end > since)
        at = end


def _gaps(period: Period, covered: Iterable[Period]) -> Iterator[Period]:
    at = period.start
    for other in covered:
        if other.end <= at or other.start >= period.end:
            continue
        if at < other.start:
            yield Period(at, other.start)
        at = max(at, other.end)
    if at < period.end:
        yield Period(at, period.end)
