"""From changed hours of usage to the invoiced periods that have to be recalculated."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.models import Invoice, InvoiceKind, InvoiceState, LateCheck
from billing.models.invoices import SETTLEMENT
from catalog.models import Entitlement, EntitlementReset, Feature
from customers.models import Subscription
from customers.periods import Period, Schedule
from customers.subscriptions import get_schedule
from events.ledger.closing import Touched, take_touched

HOUR = timedelta(hours=1)
HOURS_AT_A_TIME = 5_000
OF_USAGE = (InvoiceKind.CYCLE, InvoiceKind.FINAL)


def find_checks(*, now: datetime) -> int:
    """Add checks for the changed hours that usage tracking noted; return how many hours. Safe to repeat."""
    hours = 0
    while True:
        with transaction.atomic():
            touched = take_touched(HOURS_AT_A_TIME)
            add_checks(periods_of(touched), now=now)
        hours += len(touched)
        if not touched:
            return hours


def add_checks(periods: Iterable[tuple[int, Period]], *, now: datetime) -> None:
    """Note periods, as (subscription id, period), to be recalculated. A period that is noted already stays noted."""
    rows = [
        LateCheck(subscription_id=pk, period_start=period.start, period_end=period.end, noted_at=now)
        for pk, period in sorted(set(periods), key=lambda pair: (pair[0], pair[1].start))
    ]
    LateCheck.objects.bulk_create(rows, ignore_conflicts=True)


def ready_checks(now: datetime) -> QuerySet[LateCheck]:
    """Filter to checks that can be done now: a draft includes its period's usage automatically, so it needs none."""
    drafts = Invoice.objects.exclude(SETTLEMENT).filter(
        subscription=OuterRef("subscription"),
        period_start=OuterRef("period_start"),
        kind__in=OF_USAGE,
        state=InvoiceState.DRAFT,
    )
    return LateCheck.objects.filter(Q(retry_at=None) | Q(retry_at__lte=now)).exclude(Exists(drafts))


def periods_of(touched: Sequence[Touched]) -> set[tuple[int, Period]]:
    """Find the billed periods whose charges the changed hours can change, for all subscriptions of their customers.

    Usage counts in the period that contains its hour. For a running total, and for free units that last longer than a
    period, it counts in every later period too.
    """
    if not touched:
        return set()
    since = min(usage.hour for usage in touched)
    lasting_features = _lasting_features({usage.feature_id for usage in touched})
    by_customer: dict[int, list[Touched]] = defaultdict(list)
    for usage in touched:
        by_customer[usage.customer_id].append(usage)
    subscriptions = list(
        Subscription.objects.filter(customer_id__in=list(by_customer), billing__billed_until__gt=since).select_related(
            "billing"
        )
    )
    invoiced = _invoiced([subscription.pk for subscription in subscriptions], since)
    periods: set[tuple[int, Period]] = set()
    for subscription in subscriptions:
        customer_usage = by_customer[subscription.customer_id]
        first_hour = min(usage.hour for usage in customer_usage)
        for period in _closed(subscription, invoiced[subscription.pk], first_hour):
            billing_period = _from_billing_period_start(subscription, period)
            if any(_changes(usage, billing_period, usage.feature_id in lasting_features) for usage in customer_usage):
                periods.add((subscription.pk, period))
    return periods


def _from_billing_period_start(subscription: Subscription, period: Period) -> Period:
    """Extend a period back to its billing period's start: an invoice that starts within one charges by all of it."""
    schedule = get_schedule(subscription)
    start = schedule.boundary(schedule.index_at(max(period.start, subscription.started_at)))
    return Period(min(max(start, subscription.started_at), period.start), period.end)


def _changes(touched: Touched, period: Period, is_lasting: bool) -> bool:
    return period.end > touched.hour and (is_lasting or period.start < touched.hour + HOUR)


def _closed(subscription: Subscription, invoiced: list[Period], since: datetime) -> list[Period]:
    billed_until = subscription.billing.billed_until
    if billed_until is None or billed_until <= since:
        return []
    schedule = get_schedule(subscription)
    return list(closed_periods(schedule, subscription.started_at, billed_until, invoiced, since))


def _lasting_features(feature_ids: Collection[int]) -> set[int]:
    """Return the features whose usage counts in later periods too."""
    features = Feature.objects.in_bulk(feature_ids).values()
    lasting_free_units = Entitlement.objects.filter(feature_id__in=feature_ids, is_enabled=True).exclude(
        reset__in=(EntitlementReset.PERIOD, EntitlementReset.DAILY)
    )
    return {feature.pk for feature in features if feature.is_cumulative} | set(
        lasting_free_units.values_list("feature_id", flat=True).distinct()
    )


def _invoiced(subscription_ids: Collection[int], since: datetime) -> dict[int, list[Period]]:
    periods_by_id: dict[int, set[Period]] = defaultdict(set)
    invoices = Invoice.objects.filter(
        subscription_id__in=subscription_ids, kind__in=OF_USAGE, period_end__gt=since
    ).values_list("subscription_id", "period_start", "period_end")
    for subscription_id, start, end in invoices:
        if subscription_id is not None and start is not None and end is not None and start < end:
            periods_by_id[subscription_id].add(Period(start, end))
    return defaultdict(list, {pk: list(periods) for pk, periods in periods_by_id.items()})


def closed_periods(
    schedule: Schedule, started_at: datetime, billed_until: datetime, invoiced: Iterable[Period], since: datetime
) -> Iterator[Period]:
    """Yield the periods billed by `billed_until` that end after `since`.

    These are the invoiced periods and, between them, the billing periods or parts of them without an invoice.
    """
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
