"""The phases, upcoming billing periods and add-ons on a subscription's page."""

from dataclasses import dataclass
from datetime import datetime

from catalog.selectors import Terms, prices_by_version
from catalog.wording import describe_price
from customers.models import AddonStatus, Subscription, SubscriptionAddon, SubscriptionPhase
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period, get_phase_history

PERIODS_SHOWN = 9  # the current one and the next eight


@dataclass(frozen=True, slots=True)
class Timeline:
    """The current phases, each with "over", "now" or "ahead", and the superseded phases."""

    phases: list[tuple[str, SubscriptionPhase]]
    superseded: list[SubscriptionPhase]


def timeline_of(subscription: Subscription, now: datetime) -> Timeline:
    """Return the subscription's history. One query."""
    rows = list(get_phase_history(subscription))
    return Timeline(
        phases=[(_tense(phase, now), phase) for phase in rows if phase.superseded_at is None],
        superseded=sorted(
            (phase for phase in rows if phase.superseded_at is not None),
            key=lambda phase: (phase.superseded_at, phase.pk),
            reverse=True,
        ),
    )


def upcoming_periods(subscription: Subscription, now: datetime) -> list[Period]:
    """Return the current billing period and the next eight, fewer if the subscription ends before."""
    if subscription.ended_at is not None and subscription.ended_at <= max(now, subscription.started_at):
        return []
    periods = []
    for offset in range(PERIODS_SHOWN):
        try:
            periods.append(get_billing_period(subscription, now, offset=offset))
        except NoSuchPeriod:
            break
    return periods


def _tense(phase: SubscriptionPhase, now: datetime) -> str:
    if phase.starts_at > now:
        return "ahead"
    return "over" if phase.ends_at is not None and phase.ends_at <= now else "now"


@dataclass(frozen=True, slots=True)
class AddonLine:
    """An add-on of a subscription, what it charges in words, and its status."""

    row: SubscriptionAddon
    charges: list[str]
    status: AddonStatus


def addons_of(subscription: Subscription, now: datetime) -> list[AddonLine]:
    """Return the add-ons that a subscription has, will have and had. Two queries, three if there are some."""
    rows = list(subscription.addons.select_related("version__plan", "subscription"))
    terms = Terms(subscription.currency, subscription.interval, subscription.interval_count)
    prices = prices_by_version({row.version for row in rows}) if rows else {}
    return [
        AddonLine(
            row,
            [
                f"{price.label}: {describe_price(price)}"
                for price in prices.get(row.version_id, [])
                if Terms.of(price) == terms
            ],
            row.status_at(now),
        )
        for row in rows
    ]
