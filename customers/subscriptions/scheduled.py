"""List and withdraw changes of a subscription that are scheduled: a cancellation, changes of plan or terms, pauses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise

from django.contrib.auth.models import User

from catalog.models import PlanVersion
from config.enums import LabeledEnum
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.models import PhaseKind, Subscription, SubscriptionPhase
from customers.subscriptions.cancellation import save_end, undo_cancellation
from customers.subscriptions.chain import Chain, PhaseSpan, change_spans
from customers.subscriptions.locking import lock_subscription
from customers.subscriptions.phases import get_phases, read_chain, write_chain
from customers.subscriptions.refusals import NothingScheduled, SubscriptionEnded


class ScheduledKind(LabeledEnum):
    """What a scheduled change does."""

    CANCELLATION = "cancellation", "Cancellation"
    PLAN_CHANGE = "plan_change", "Plan change"
    TERMS_CHANGE = "terms_change", "Change of terms"
    PAUSE = "pause", "Pause"


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """A change that takes effect at `at`, which is in the future.

    `version` is the plan version that a plan change moves to, `until` the end of a pause, None if it is open-ended.
    """

    kind: ScheduledKind
    at: datetime
    recorded_at: datetime
    reason: str = ""
    version: PlanVersion | None = None
    until: datetime | None = None


def list_scheduled_changes(
    subscription: Subscription, phases: Sequence[SubscriptionPhase], now: datetime
) -> list[ScheduledChange]:
    """List what is scheduled, the earliest first. `phases` are those in force, in order.

    The end of a trial or of a running pause, and an end date set at the start, aren't scheduled changes.
    """
    changes = []
    for before, phase in pairwise(phases):
        if phase.starts_at <= now:
            continue
        if phase.plan_version.terms_id != before.plan_version.terms_id:
            is_same_plan = phase.plan_version.list_id == before.plan_version.list_id
            kind = ScheduledKind.TERMS_CHANGE if is_same_plan else ScheduledKind.PLAN_CHANGE
            changes.append(_describe(kind, phase))
        if phase.kind == PhaseKind.PAUSED and before.kind != PhaseKind.PAUSED:
            changes.append(_describe(ScheduledKind.PAUSE, phase))
    end = subscription.ended_at
    if subscription.cancelled_at is not None and end is not None and end > now and phases:
        reason = phases[-1].reason
        changes.append(ScheduledChange(ScheduledKind.CANCELLATION, end, subscription.cancelled_at, reason))
    return sorted(changes, key=lambda change: change.at)


def _describe(kind: ScheduledKind, phase: SubscriptionPhase) -> ScheduledChange:
    until = phase.ends_at if kind == ScheduledKind.PAUSE else None
    version = phase.plan_version if kind == ScheduledKind.PLAN_CHANGE else None
    return ScheduledChange(kind, phase.starts_at, phase.recorded_at, phase.reason, version, until)


def withdraw_scheduled_change(
    subscription: Subscription,
    *,
    only: ScheduledChange | None = None,
    now: datetime,
    by: User | None,
    reason: str = "",
) -> Subscription:
    """Undo a scheduled change, or everything scheduled after now: changes of plan and terms, pauses and a cancellation.

    With a change of terms, later changes of the same plan's terms are withdrawn, too.

    The end of a trial or of a running pause, and an end date set at the start, aren't changes and stay. Raises
    SubscriptionEnded, and NothingScheduled, also if the change has been withdrawn or has taken effect.
    """
    with lock_subscription(subscription, by=by) as locked:
        if locked.ended_at is not None and locked.ended_at <= now:
            raise SubscriptionEnded(f"The subscription ended on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        is_cancellation = only is None or only.kind == ScheduledKind.CANCELLATION
        is_end_undone = locked.cancelled_at is not None and is_cancellation
        if is_end_undone:
            undo_cancellation(locked, now=now, by=by, reason=reason)
        chain = read_chain(locked)
        withdrawn = _withdraw_changes(chain, now) if only is None else _withdraw_change(chain, only, now)
        if not write_chain(locked, withdrawn, now=now, by=by, reason=reason) and not is_end_undone:
            raise NothingScheduled("This subscription has no scheduled change.")
        if is_end_undone:
            save_end(locked, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_UPDATED, "subscription", [locked.pk], at=now)
    return subscription


def undo_scheduled_cancellation(
    subscription: Subscription, *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """Withdraw a scheduled cancellation. Without one, nothing changes. Raises SubscriptionEnded."""
    for change in list_scheduled_changes(subscription, list(get_phases(subscription)), now):
        if change.kind == ScheduledKind.CANCELLATION:
            return withdraw_scheduled_change(subscription, only=change, now=now, by=by, reason=reason)
    if subscription.ended_at is not None and subscription.ended_at <= now:
        raise SubscriptionEnded(f"The subscription ended on {subscription.ended_at:%Y-%m-%d %H:%M} UTC.")
    return subscription


def has_scheduled_change(subscription: Subscription, chain: Chain, now: datetime) -> bool:
    """Return whether there is something for `withdraw_scheduled_change` to undo."""
    if subscription.ended_at is not None and subscription.ended_at <= now:
        return False
    return subscription.cancelled_at is not None or chain != _withdraw_changes(chain, now)


def _withdraw_changes(chain: Chain, now: datetime) -> Chain:
    """Keep the current plan in later spans, and remove later pauses."""
    if not chain:
        return chain
    current = next((span for span in chain if span.contains(now)), chain[0])

    def withdraw(span: PhaseSpan) -> PhaseSpan:
        is_later_pause = span.kind == PhaseKind.PAUSED and span.starts_at > current.starts_at
        kind = PhaseKind.ACTIVE if is_later_pause else span.kind
        return replace(span, version_id=current.version_id, kind=kind)

    return change_spans(chain, withdraw, current.starts_at)


def _withdraw_change(chain: Chain, change: ScheduledChange, now: datetime) -> Chain:
    """Keep the plan or terms before a scheduled change, or the subscription active instead of a scheduled pause."""
    for before, span in pairwise(chain):
        if not span.starts_at == change.at > now:
            continue
        if change.kind in (ScheduledKind.PLAN_CHANGE, ScheduledKind.TERMS_CHANGE):
            until = _find_next_plan(chain, change) if change.kind == ScheduledKind.TERMS_CHANGE else None
            return change_spans(chain, partial(replace, version_id=before.version_id), change.at, until)
        if change.kind == ScheduledKind.PAUSE and span.kind == PhaseKind.PAUSED:
            resumed = (later.starts_at for later in chain if later.starts_at > change.at and later.kind != span.kind)
            return change_spans(chain, partial(replace, kind=PhaseKind.ACTIVE), change.at, next(resumed, None))
    return chain


def _find_next_plan(chain: Chain, change: ScheduledChange) -> datetime | None:
    """Return when another plan follows a change of terms, if one does."""
    ids = {span.version_id for span in chain}
    list_ids = {version.pk: version.list_id for version in PlanVersion.with_agreed.filter(pk__in=ids)}
    later = [span for span in chain if span.starts_at >= change.at]
    others = (span.starts_at for span in later if list_ids[span.version_id] != list_ids[later[0].version_id])
    return next(others, None)
