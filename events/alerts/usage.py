"""Usage alerts: send a webhook once for each billing period in which a quantity is reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q

from catalog.models import Feature
from catalog.models.features import FeatureKind
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.models import Subscription
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period
from events.models import UsageAlert, UsageAlertFiring
from events.usage.meter import UsageRequest, usage_many

CHUNK = 500
MOST_PERIODS = 100  # of an alert in one check; more only if checks didn't run for long
WATCHED_AFTER_END = timedelta(days=1)


class NotMetered(Refused):
    """The feature isn't metered, so it has no usage."""


@dataclass(frozen=True, slots=True)
class Watched:
    """An alert and a billing period whose usage it looks at."""

    alert: UsageAlert
    period: Period

    @property
    def customer_id(self) -> int:
        return self.alert.subscription.customer_id


@dataclass(frozen=True, slots=True)
class Reached(Watched):
    """An alert whose quantity was reached in a billing period."""

    quantity: Decimal


def make_alert(
    subscription: Subscription, feature: Feature, threshold: Decimal, *, is_enabled: bool = True, by: User | None
) -> UsageAlert:
    """Create an alert. Raises ValidationError for a duplicate, NotMetered for a feature without usage."""
    if feature.kind != FeatureKind.METERED:
        raise NotMetered(f"{feature} isn't metered, so it has no usage.")
    alert = UsageAlert(
        subscription=subscription, feature=feature, threshold=threshold, is_enabled=is_enabled, created_by=by
    )
    alert.full_clean(exclude=["subscription", "feature", "created_by"])
    alert.validate_constraints()
    with recorded(by=by):
        alert.save()
    return alert


def set_enabled(alert: UsageAlert, is_enabled: bool, *, by: User | None, now: datetime) -> UsageAlert:
    """Enable or disable an alert. An enabled alert looks at the periods that end from now on."""
    if alert.is_enabled != is_enabled:
        alert.is_enabled, alert.checked_until = is_enabled, now
        with recorded(by=by):
            alert.save(update_fields=["is_enabled", "checked_until", "updated_at"])
    return alert


def check_alerts(*, now: datetime) -> int:
    """Send webhooks for alerts that were reached and not yet sent; return how many.

    Each alert looks at the current billing period and at those that ended since it was last checked, so usage in the
    last minute of a period isn't missed. A period is looked at for a day after its end, since events arrive late. The
    running total of a cumulative feature reaches a threshold once, and again only if it fell below it in between.

    A fixed number of queries per 500 alerts. Safe to repeat and to run concurrently: an alert is sent in the
    transaction that records it, and a constraint allows one record per period.
    """
    return sum(_check(chunk, now) for chunk in _chunks(now))


def _check(alerts: Sequence[UsageAlert], now: datetime) -> int:
    watched = [Watched(alert, period) for alert in alerts for period in _list_periods(alert, now)]
    sent = _notify(_reached(watched, now), now)
    _save_progress(alerts, watched, now)
    return sent


def _chunks(now: datetime) -> Iterator[list[UsageAlert]]:
    last_id = 0
    ends_later = Q(subscription__ended_at=None) | Q(subscription__ended_at__gt=now - WATCHED_AFTER_END)
    is_unchecked = ends_later | Q(subscription__ended_at__gt=F("checked_until"))
    rows = UsageAlert.objects.filter(is_unchecked, is_enabled=True, subscription__started_at__lte=now).order_by("pk")
    rows = rows.select_related("subscription__customer", "feature")
    while chunk := list(rows.filter(pk__gt=last_id)[:CHUNK]):
        last_id = chunk[-1].pk
        yield chunk


def _checked_until(alert: UsageAlert, now: datetime) -> datetime:
    """Return until when periods are checked; if a clock is ahead of this one, a day ago."""
    return alert.checked_until if alert.checked_until <= now else now - WATCHED_AFTER_END


def _list_periods(alert: UsageAlert, now: datetime) -> list[Period]:
    """List the current billing period and those that ended since the last check, the earliest first."""
    since, periods = _checked_until(alert, now), []
    for offset in range(MOST_PERIODS):
        try:
            period = get_billing_period(alert.subscription, now, offset=-offset)
        except NoSuchPeriod:
            break
        if period.end <= since:
            break
        periods.append(period)
    return periods[::-1]


def _reached(watched: Sequence[Watched], now: datetime) -> list[Reached]:
    alert_ids = {item.alert.pk for item in watched}
    firings = UsageAlertFiring.objects.filter(alert__in=alert_ids)
    earliest = min((item.period.start for item in watched), default=now)
    sent = set(firings.filter(period_start__gte=earliest).values_list("alert", "period_start"))
    unsent = [item for item in watched if (item.alert.pk, item.period.start) not in sent]
    requests = [
        UsageRequest(item.customer_id, item.alert.feature_id, item.period.start, min(item.period.end, now))
        for item in unsent
    ]
    reached = [
        Reached(item.alert, item.period, usage.value)
        for item, usage in zip(unsent, usage_many(requests), strict=True)
        if usage.value >= item.alert.threshold
    ]
    return _without_repeats(reached, watched)


def _without_repeats(reached: Sequence[Reached], watched: Sequence[Watched]) -> list[Reached]:
    """Leave out running totals that had reached the threshold when their period began.

    The first total that an alert finds counts, however long ago the threshold was reached.
    """
    running = [item for item in reached if item.alert.feature.is_cumulative]
    if not running:
        return list(reached)
    first = {item.alert.pk: item.period for item in reversed(watched)}
    alert_ids = {item.alert.pk for item in running}
    fired = set(UsageAlertFiring.objects.filter(alert__in=alert_ids).values_list("alert", flat=True))
    requests = [
        UsageRequest(item.customer_id, item.alert.feature_id, item.alert.subscription.started_at, item.period.start)
        for item in running
    ]
    repeated = {
        (item.alert.pk, item.period)
        for item, before in zip(running, usage_many(requests), strict=True)
        if before.value >= item.alert.threshold and (item.alert.pk in fired or item.period != first[item.alert.pk])
    }
    return [item for item in reached if (item.alert.pk, item.period) not in repeated]


def _save_progress(alerts: Sequence[UsageAlert], watched: Sequence[Watched], now: datetime) -> None:
    """Save until when periods are checked: once per alert and period."""
    ends: dict[int, datetime] = {}
    for item in watched:
        if item.period.end <= now - WATCHED_AFTER_END:
            ends[item.alert.pk] = item.period.end
    changed = []
    for alert in alerts:
        checked_until = ends.get(alert.pk, _checked_until(alert, now))
        if checked_until != alert.checked_until:
            alert.checked_until = checked_until
            changed.append(alert)
    if changed:
        UsageAlert.objects.bulk_update(changed, ["checked_until"])


def _notify(reached: Sequence[Reached], now: datetime) -> int:
    if not reached:
        return 0
    with transaction.atomic():
        ids = [item.alert.pk for item in reached]
        locked = set(UsageAlert.objects.select_for_update(no_key=True).filter(pk__in=ids).values_list("pk", flat=True))
        firings = UsageAlertFiring.objects.filter(alert__in=locked).values_list("alert", "period_start")
        sent = set(firings.filter(period_start__in={item.period.start for item in reached}))
        new = [item for item in reached if item.alert.pk in locked and (item.alert.pk, item.period.start) not in sent]
        UsageAlertFiring.objects.bulk_create(
            UsageAlertFiring(
                alert=item.alert,
                period_start=item.period.start,
                period_end=item.period.end,
                quantity=item.quantity,
                fired_at=now,
            )
            for item in new
        )
        emit(WebhookEvent.USAGE_THRESHOLD_REACHED, "usage", new, at=now)
    return len(new)
