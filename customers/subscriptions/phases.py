"""The chain of phases in the database. Rows are only ever added, or marked as superseded."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from config.audit import recorded
from config.refusals import ReasonRequired
from customers.models import Subscription, SubscriptionPhase
from customers.periods import Interval, Period, Schedule, period_containing
from customers.subscriptions.chain import Chain, PhaseSpan, first_difference


def phases(subscription: Subscription) -> QuerySet[SubscriptionPhase]:
    """Return the phases that hold now, in order, plans loaded. Superseded ones are in `all_phases`."""
    return all_phases(subscription).filter(superseded_at=None)


def all_phases(subscription: Subscription) -> QuerySet[SubscriptionPhase]:
    """Return every phase that was ever written, in order of time, then of writing; plans and authors loaded."""
    related = ("plan_version__plan", "recorded_by")
    return (
        SubscriptionPhase.objects.filter(subscription=subscription).select_related(*related).order_by("starts_at", "pk")
    )


def phase_at(subscription: Subscription, at: datetime) -> SubscriptionPhase | None:
    """Return the phase that holds a moment, None before the start and from the end on."""
    return phases(subscription).filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at).first()


def phase_chain(subscriptions: Iterable[int]) -> dict[int, list[SubscriptionPhase]]:
    """Return the phases of many subscriptions by subscription id, in order, plans loaded. One query."""
    found: dict[int, list[SubscriptionPhase]] = {}
    rows = SubscriptionPhase.objects.filter(subscription__in=set(subscriptions), superseded_at=None)
    for phase in rows.select_related("plan_version__plan").order_by("starts_at", "pk"):
        found.setdefault(phase.subscription_id, []).append(phase)
    return found


def schedule_of(subscription: Subscription) -> Schedule:
    """Return where the subscription's billing periods begin, for `customers.periods`."""
    interval = Interval(subscription.interval, subscription.interval_count)
    return Schedule(interval, subscription.anchor, subscription.timezone, subscription.alignment)


def current_period(subscription: Subscription, at: datetime, *, offset: int = 0) -> Period:
    """Return the billing period that holds a moment, or the one `offset` later, clipped to the subscription's life.

    Before the start it is the first one, after the end the last. Raises NoSuchPeriod where the offset leads outside,
    or when the subscription was cancelled before it began.
    """
    return period_containing(
        schedule_of(subscription),
        at,
        offset=offset,
        started_at=subscription.started_at,
        ended_at=subscription.ended_at,
    )


def read_chain(subscription: Subscription) -> Chain:
    """Return the phases that hold now as plain stretches."""
    return [_stretch(phase) for phase in phases(subscription)]


def write_chain(subscription: Subscription, chain: Chain, *, now: datetime, by: User | None, reason: str = "") -> bool:
    """Make the chain the one that holds: supersede the phases that differ and add new ones. Tell if any did.

    The caller holds the subscription's lock. A phase that is only shortened keeps its author and reason where another
    follows it. Raises ReasonRequired when that changes what was in force before now and no reason is given.
    """
    old = list(phases(subscription))
    since = first_difference([_stretch(phase) for phase in old], chain)
    if since is None:
        return False
    if old and since < now and not reason.strip():
        raise ReasonRequired(f"This changes the subscription from {since:%Y-%m-%d %H:%M} UTC, before now. Say why.")
    with recorded(by=by, reason=reason):
        _replace(subscription, old, chain, now=now, by=by, reason=reason)
    return True


def _replace(
    subscription: Subscription,
    old: list[SubscriptionPhase],
    chain: Chain,
    *,
    now: datetime,
    by: User | None,
    reason: str,
) -> None:
    kept = {_stretch(phase) for phase in old} & set(chain)
    explained = {(phase.kind, phase.plan_version_id, phase.starts_at): phase for phase in old}
    for phase in old:
        if _stretch(phase) not in kept:
            phase.superseded_at = now
            phase.save(update_fields=["superseded_at"])
    for stretch in chain:
        if stretch in kept:
            continue
        earlier = explained.get((stretch.kind, stretch.version_id, stretch.starts_at))
        if stretch is chain[-1]:
            earlier = None  # where the chain ends, or no longer does, is this change's doing
        SubscriptionPhase.objects.create(
            subscription=subscription,
            kind=stretch.kind,
            plan_version_id=stretch.version_id,
            starts_at=stretch.starts_at,
            ends_at=stretch.ends_at,
            recorded_at=now,
            recorded_by=earlier.recorded_by if earlier else by,
            reason=earlier.reason if earlier else reason,
        )


def _stretch(phase: SubscriptionPhase) -> PhaseSpan:
    return PhaseSpan(phase.kind, phase.plan_version_id, phase.starts_at, phase.ends_at)
