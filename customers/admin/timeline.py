"""What a subscription's page draws: its phases in order, and the billing periods ahead."""

from dataclasses import dataclass
from datetime import datetime

from customers.models import Subscription, SubscriptionPhase
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period, get_phase_history

PERIODS_SHOWN = 9  # the current one and the next eight


@dataclass(frozen=True, slots=True)
class Timeline:
    """The phases that hold, each with whether it is over, running or ahead, and those that no longer hold."""

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


def coming_periods(subscription: Subscription, now: datetime) -> list[Period]:
    """List the current billing period and the next eight, fewer where the subscription ends. Empty once it has."""
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
