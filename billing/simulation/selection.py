"""Which subscriptions a simulation calculates: live ones of a plan, of a segment of customers, of a list, or all."""

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.models import SimulatedSelection, Simulation
from customers.models import Subscription, SubscriptionPhase


def select_subscriptions(simulation: Simulation) -> QuerySet[Subscription]:
    """Filter to the simulation's subscriptions: those that are live at its time."""
    live = live_at(simulation.as_of)
    if simulation.selection == SimulatedSelection.PLAN:
        return on_plan(simulation.plan_id or 0, simulation.as_of)
    if simulation.selection == SimulatedSelection.SEGMENT:
        return live.filter(customer__metadata__contains={simulation.segment_key: simulation.segment_value})
    if simulation.selection == SimulatedSelection.LIST:
        return live.filter(public_id__in=simulation.listed)
    return live


def live_at(at: datetime) -> QuerySet[Subscription]:
    """Filter to subscriptions that have started and not ended."""
    return Subscription.objects.filter(Q(ended_at=None) | Q(ended_at__gt=at), started_at__lte=at)


def on_plan(plan_id: int, at: datetime) -> QuerySet[Subscription]:
    """Filter to live subscriptions that are on a plan at the moment."""
    phases = SubscriptionPhase.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=at),
        subscription=OuterRef("pk"),
        superseded_at=None,
        starts_at__lte=at,
        plan_version__plan=plan_id,
    )
    return live_at(at).filter(Exists(phases))
