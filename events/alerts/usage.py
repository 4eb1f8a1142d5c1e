"""Usage alerts: send a webhook once in each billing period in which a quantity is reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

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


class NotMetered(Refused):
    """The feature isn't metered, so it has no usage."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An alert whose quantity was reached in the current period."""

    alert: UsageAlert
    period: Period
    quantity: Decimal


def make_alert(subscription: Subscription, feature: Feature, threshold: Decimal, *, by: User | None) -> UsageAlert:
    """Create an alert. Raises ValidationError for a duplicate, NotMetered for a feature without usage."""
    if feature.kind != FeatureKind.METERED:
        raise NotMetered(f"{feature} isn't metered, so it has no usage.")
    alert = UsageAlert(subscription=subscription, feature=feature, threshold=threshold, created_by=by)
    alert.full_clean(exclude=["subscription", "feature", "created_by"])
    alert.validate_constraints()
    with recorded(by=by):
        alert.save()
    return alert


def check_alerts(*, now: datetime) -> int:
    """Send webhooks for alerts that were reached and not yet sent in this period; return how many.

    A fixed number of queries per 500 alerts. Safe to repeat and to run concurrently: an alert is sent in the
    transaction that records it, and a constraint allows one record per period.
    """
    return sum(_notify(_reached(chunk, now), now) for chunk in _chunks(now))


def _chunks(now: datetime) -> Iterator[list[UsageAlert]]:
    last_id = 0
    live = Subscription.objects.live(now).values("pk")
    rows = UsageAlert.objects.filter(is_enabled=True, subscription__in=live).order_by("pk")
    rows = rows.select_related("subscription__customer", "feature")
    while chunk := list(rows.filter(pk__gt=last_id)[:CHUNK]):
        last_id = chunk[-1].pk
        yield chunk


def _reached(alerts: Sequence[UsageAlert], now: datetime) -> list[Reached]:
    periods = {alert.pk: period for alert in alerts if (period := _period(alert, now))}
    sent = set(
        UsageAlertFiring.objects.filter(
            alert__in=list(periods), period_start__gte=min((period.start for period in periods.values()), default=now)
        ).values_list("alert", "period_start")
    )
    unsent = [alert for alert in alerts if alert.pk in periods and (alert.pk, periods[alert.pk].start) not in sent]
    requests = [
        UsageRequest(alert.subscription.customer_id, alert.feature_id, periods[alert.pk].start, now) for alert in unsent
    ]
    return [
        Reached(alert, periods[alert.pk], usage.value)
        for alert, usage in zip(unsent, usage_many(requests), strict=True)
        if usage.value >= alert.threshold
    ]


def _period(alert: UsageAlert, now: datetime) -> Period | None:
    try:
        return get_billing_period(alert.subscription, now)
    except NoSuchPeriod:
        return None


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
