"""The phases and upcoming billing periods on a subscription's page."""

from dataclasses import dataclass
from datetime import datetime

from customers.models import Subscription, SubscriptionPhase
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
