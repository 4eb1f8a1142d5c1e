"""Alerts on usage: told once in each billing period in which a quantity is reached."""

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
    """Only a metered feature has usage."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An alert whose quantity was reached in the period that holds now."""

    alert: UsageAlert
    period: Period
    quantity: Decimal


def make_alert(subscription: Subscription, feature: Feature, threshold: Decimal, *, by: User | None) -> UsageAlert:
    """Make an alert. The same once more is refused (ValidationError); so is a feature without usage (NotMetered)."""
    if feature.kind != FeatureKind.METERED:
        raise NotMetered(f"{feature} isn't metered: it has no usage.")
    alert = UsageAlert(subscription=subscription, feature=feature, threshold=threshold, created_by=by)
    alert.full_clean(exclude=["subscription", "feature", "created_by"])
    alert.validate_constraints()
    with recorded(by=by):
        alert.save()
    return alert


def check_alerts(*, now: datetime) -> int:
    """Tell of every alert that is reached and wasn't told of in this period yet; return how many.

    A fixed number of queries for each 500 alerts. Safe to run twice or side by side: an alert is told of in the
    transaction that notes it, once per period by constraint.
    """
    return sum(_tell(_reached(chunk, now), now) for chunk in _chunks(now))


def _chunks(now: datetime) -> Iterator[list[UsageAlert]]:
    last = 0
    live = Subscription.objects.live(now).values("pk")
    rows = UsageAlert.objects.filter(is_enabled=True, subscription__in=live).order_by("pk")
    rows = rows.select_related("subscription__customer", "feature")
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1].pk
        yield chunk


def _reached(alerts: Sequence[UsageAlert], now: datetime) -> list[Reached]:
    periods = {alert.pk: period for alert in alerts if (period := _period(alert, now))}
    told = set(
        UsageAlertFiring.objects.filter(
            alert__in=list(periods), period_start__gte=min((p.start for p in periods.values()), default=now)
        ).values_list("alert", "period_start")
    )
    asked = [each for each in alerts if each.pk in periods and (each.pk, periods[each.pk].start) not in told]
    requests = [
        UsageRequest(each.subscription.customer_id, each.feature_id, periods[each.pk].start, now) for each in asked
    ]
    found = usage_many(requests)
    return [
        Reached(alert, periods[alert.pk], used.value)
        for alert, used in zip(asked, found, strict=True)
        if used.value >= alert.threshold
    ]


def _period(alert: UsageAlert, now: datetime) -> Period | None:
    try:
        return get_billing_period(alert.subscription, now)
    except NoSuchPeriod:
        return None


def _tell(reached: Sequence[Reached], now: datetime) -> int:
    if not reached:
        return 0
    with transaction.atomic():
        ids = [each.alert.pk for each in reached]
        locked = set(UsageAlert.objects.select_for_update(no_key=True).filter(pk__in=ids).values_list("pk", flat=True))
        before = UsageAlertFiring.objects.filter(alert__in=locked).values_list("alert", "period_start")
        known = set(before.filter(period_start__in={each.period.start for each in reached}))
        new = [each for each in reached if each.alert.pk in locked and (each.alert.pk, each.period.start) not in known]
        UsageAlertFiring.objects.bulk_create(
            UsageAlertFiring(
                alert=each.alert, period_start=each.period.start, period_end=each.period.end,
                quantity=each.quantity, fired_at=now,
            )
            for each in new
        )  # fmt: skip
        emit(WebhookEvent.USAGE_THRESHOLD_REACHED, "usage", new, at=now)
    return len(new)
