"""Read and write the chain of phases in the database. Rows are only added, or marked as superseded."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from config.audit import recorded
from config.refusals import ReasonRequired
from customers.models import Subscription, SubscriptionPhase
from customers.periods import Interval, Period, Schedule, period_containing
from customers.subscriptions.chain import Chain, find_first_difference, join_spans
from customers.subscriptions.composing import add_addons, make_span, make_spans_without_addons


def get_phases(subscription: Subscription) -> QuerySet[SubscriptionPhase]:
    """Return the phases in force, in order, with plans loaded. `get_phase_history` includes superseded phases."""
    return get_phase_history(subscription).filter(superseded_at=None)


def get_phase_history(subscription: Subscription) -> QuerySet[SubscriptionPhase]:
    """Return every phase ever recorded, by start, then by time of recording, with plans and authors loaded."""
    related = ("plan_version__plan", "recorded_by")
    return (
        SubscriptionPhase.objects.filter(subscription=subscription).select_related(*related).order_by("starts_at", "pk")
    )


def get_phase_at(subscription: Subscription, at: datetime) -> SubscriptionPhase | None:
    """Return the phase in force at a moment, None before the subscription starts and once it has ended."""
    return get_phases(subscription).filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at).first()


def get_phases_by_subscription(subscription_ids: Iterable[int]) -> dict[int, list[SubscriptionPhase]]:
    """Return the phases in force of many subscriptions by subscription id, in order, with plans loaded. One query."""
    phases_by_subscription: dict[int, list[SubscriptionPhase]] = {}
    get_phases = SubscriptionPhase.objects.filter(subscription__in=set(subscription_ids), superseded_at=None)
    for phase in get_phases.select_related("plan_version__plan").order_by("starts_at", "pk"):
        phases_by_subscription.setdefault(phase.subscription_id, []).append(phase)
    return phases_by_subscription


def get_schedule(subscription: Subscription) -> Schedule:
    """Return the schedule of the subscription's billing periods."""
    interval = Interval(subscription.interval, subscription.interval_count)
    return Schedule(interval, subscription.anchor, subscription.timezone, subscription.alignment)


def get_billing_period(subscription: Subscription, at: datetime, *, offset: int = 0) -> Period:
    """Return the billing period that contains a moment, or the period `offset` later, within the subscription's life.

    A moment before the start gets the first period, a moment after the end the last. Raises NoSuchPeriod if the offset
    leads outside the subscription's life, or the subscription was canceled before it started.
    """
    return period_containing(
        get_schedule(subscription),
        at,
        offset=offset,
        started_at=subscription.started_at,
        ended_at=subscription.ended_at,
    )


def read_chain(subscription: Subscription) -> Chain:
    """Return the phases in force as plain spans, without add-ons."""
    return join_spans(make_spans_without_addons(get_phases(subscription)))


def write_chain(subscription: Subscription, chain: Chain, *, now: datetime, by: User | None, reason: str = "") -> bool:
    """Put a chain into force: supersede the phases that differ, and add new ones. Return whether any phase differed.

    The chain is without add-ons: those that the subscription has are added. Raises AddonNotCompatible.
    The caller holds the subscription's lock. A phase that is only shortened keeps its author and reason if another
    phase follows it. Raises ReasonRequired for a change of time before now without a reason.
    """
    chain = add_addons(subscription, chain, now=now, by=by, reason=reason)
    old = list(get_phases(subscription))
    since = find_first_difference([make_span(phase) for phase in old], chain)
    if since is None:
        return False
    if old and since < now and not reason.strip():
        raise ReasonRequired(
            f"This changes the subscription from {since:%Y-%m-%d %H:%M} UTC, which is in the past. Enter a reason."
        )
    with recorded(by=by, reason=reason):
        _replace_phases(subscription, old, chain, now=now, by=by, reason=reason)
    return True


def _replace_phases(
    subscription: Subscription,
    old: list[SubscriptionPhase],
    chain: Chain,
    *,
    now: datetime,
    by: User | None,
    reason: str,
) -> None:
    unchanged = {make_span(phase) for phase in old} & set(chain)
    old_by_start = {(phase.kind, phase.plan_version_id, phase.starts_at): phase for phase in old}
    for phase in old:
        if make_span(phase) not in unchanged:
            phase.superseded_at = now
            phase.save(update_fields=["superseded_at"])
    for span in chain:
        if span in unchanged:
            continue
        earlier = old_by_start.get((span.kind, span.version_id, span.starts_at))
        if span is chain[-1]:
            earlier = None  # this change moved the end of the chain, so its author and reason are recorded
        SubscriptionPhase.objects.create(
            subscription=subscription,
            kind=span.kind,
            plan_version_id=span.version_id,
            starts_at=span.starts_at,
            ends_at=span.ends_at,
            recorded_at=now,
            recorded_by=earlier.recorded_by if earlier else by,
            reason=earlier.reason if earlier else reason,
        )
