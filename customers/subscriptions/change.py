"""Change a running subscription. Every change writes a new chain of phases, under the subscription's lock.

A change of time before `now` needs a reason (ReasonRequired). Other changes don't.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from catalog.models import Plan, PlanVersion
from catalog.selectors import Terms
from catalog.signals import after_commit
from config.audit import recorded
from config.refusals import Refused
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.models import PhaseKind, Subscription
from customers.periods import NoSuchPeriod
from customers.signals import subscription_changed
from customers.subscriptions.chain import Chain, PhaseSpan, change_spans, end_chain, join_spans, split_span
from customers.subscriptions.phases import get_billing_period, get_phase_history, make_span, read_chain, write_chain
from customers.subscriptions.start import get_sellable_version


class SubscriptionEnded(Refused):
    """The subscription has ended, or ends before the change."""


class NotYetStarted(Refused):
    """The change is before the subscription's start."""


class ChangeAlreadyScheduled(Refused):
    """Another change is scheduled: withdraw it first."""


class NothingScheduled(Refused):
    """There is no scheduled change to withdraw."""


class NotPaused(Refused):
    """The subscription isn't paused at that time."""


class CannotPause(Refused):
    """Only an active subscription can be paused, not a subscription in trial or already paused."""


def change_plan(
    subscription: Subscription,
    plan_or_version: Plan | PlanVersion,
    *,
    at: datetime,
    now: datetime,
    by: User | None,
    reason: str = "",
) -> Subscription:
    """Move the subscription to another plan or version from a moment on: now, later, or earlier with a reason.

    Trials, pauses and the end stay. Nothing changes if the subscription is already on that version. Raises the errors
    of `get_sellable_version`, NotYetStarted, SubscriptionEnded, ChangeAlreadyScheduled.
    """
    with _lock_subscription(subscription, by=by) as locked:
        terms = Terms(locked.currency, locked.interval, locked.interval_count)
        version = get_sellable_version(plan_or_version, terms, now=now, by=by)
        chain = read_chain(locked)
        current = _find_span(locked, chain, at)
        for later in chain:
            if later.starts_at > max(at, now) and later.version_id != current.version_id:
                plan = PlanVersion.objects.select_related("plan").get(pk=later.version_id)
                raise ChangeAlreadyScheduled(
                    f"A change to {plan} is scheduled for {later.starts_at:%Y-%m-%d}. Withdraw it first."
                )
        changed = change_spans(chain, lambda span: replace(span, version_id=version.pk), at)
        if write_chain(locked, changed, now=now, by=by, reason=reason):
            emit(WebhookEvent.SUBSCRIPTION_PLAN_CHANGED, "subscription", [locked.pk], at=now)
    return subscription


def cancel(
    subscription: Subscription, *, at: datetime, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """End the subscription at a moment, excluding that moment: now, later, or earlier with a reason.

    A subscription cancelled at or before its start never starts. A scheduled cancellation is replaced; nothing changes
    if it is for the same moment. Raises SubscriptionEnded if the subscription has ended, or ends before that moment.
    """
    with _lock_subscription(subscription, by=by) as locked:
        if locked.ended_at is not None and locked.ended_at == at:
            return subscription
        if locked.ended_at is not None and locked.ended_at <= now:
            raise SubscriptionEnded(f"The subscription ended on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        if locked.cancelled_at is not None:
            _undo_cancellation(locked, now=now, by=by, reason=reason)
        if locked.ended_at is not None and locked.ended_at < at:
            raise SubscriptionEnded(f"The subscription already ends on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        locked.ended_at, locked.cancelled_at = max(at, locked.started_at), now
        write_chain(locked, end_chain(read_chain(locked), at), now=now, by=by, reason=reason)
        _save_end(locked, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_CANCELLED, "subscription", [locked.pk], at=now)
    return subscription


def cancel_at_period_end(
    subscription: Subscription, *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """End the subscription at the end of the current billing period. Otherwise the same as `cancel`.

    Raises SubscriptionEnded if the subscription was cancelled before it started, since it has no billing period.
    """
    uncancelled = Subscription(pk=subscription.pk)
    uncancelled.refresh_from_db()
    if uncancelled.cancelled_at is not None and uncancelled.ended_at is not None and uncancelled.ended_at > now:
        uncancelled.ended_at = None  # a scheduled cancellation must not shorten the period
    return cancel(subscription, at=get_period_end(uncancelled, now), now=now, by=by, reason=reason)


def get_period_end(subscription: Subscription, now: datetime) -> datetime:
    """Return the end of the current billing period, or the subscription's end if it has ended.

    Raises SubscriptionEnded if the subscription was cancelled before it started.
    """
    try:
        return get_billing_period(subscription, now).end
    except NoSuchPeriod as error:
        raise SubscriptionEnded(
            "The subscription was cancelled before it started, so it has no billing period."
        ) from error


def withdraw_scheduled_change(
    subscription: Subscription, *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """Undo everything scheduled after now: moves to another plan, pauses and a cancellation.

    The end of a trial or of a running pause, and an end date set at the start, aren't changes and stay. Raises
    SubscriptionEnded, NothingScheduled.
    """
    with _lock_subscription(subscription, by=by) as locked:
        if locked.ended_at is not None and locked.ended_at <= now:
            raise SubscriptionEnded(f"The subscription ended on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        was_cancelled = locked.cancelled_at is not None
        if was_cancelled:
            _undo_cancellation(locked, now=now, by=by, reason=reason)
        chain = _withdraw_changes(read_chain(locked), now)
        if not write_chain(locked, chain, now=now, by=by, reason=reason) and not was_cancelled:
            raise NothingScheduled("This subscription has no scheduled change.")
        if was_cancelled:
            _save_end(locked, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_UPDATED, "subscription", [locked.pk], at=now)
    return subscription


def pause(
    subscription: Subscription,
    *,
    at: datetime,
    until: datetime | None = None,
    now: datetime,
    by: User | None,
    reason: str = "",
) -> Subscription:
    """Stop service and charges from a moment on, until `until` or until resumed. Billing periods stay the same.

    Raises CannotPause unless the subscription is active at that moment, NotYetStarted, SubscriptionEnded.
    """
    with _lock_subscription(subscription, by=by) as locked:
        chain = read_chain(locked)
        current = _find_span(locked, chain, at)
        if current.kind != PhaseKind.ACTIVE:
            status = "in trial" if current.kind == PhaseKind.TRIAL else "already paused"
            raise CannotPause(f"The subscription is {status} at that time.")
        if until is not None and until <= at:
            raise CannotPause("The pause must end after it starts.")
        paused = change_spans(chain, lambda span: replace(span, kind=PhaseKind.PAUSED), at, until)
        write_chain(locked, paused, now=now, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_PAUSED, "subscription", [locked.pk], at=now)
    return subscription


def resume(
    subscription: Subscription, *, at: datetime, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """Resume service and charges of a paused subscription from a moment on.

    Raises NotPaused, NotYetStarted, SubscriptionEnded.
    """
    with _lock_subscription(subscription, by=by) as locked:
        chain = read_chain(locked)
        current = _find_span(locked, chain, at)
        if current.kind != PhaseKind.PAUSED:
            raise NotPaused(f"The subscription isn't paused on {at:%Y-%m-%d %H:%M} UTC.")
        resumed = change_spans(chain, lambda span: replace(span, kind=PhaseKind.ACTIVE), at, current.ends_at)
        write_chain(locked, resumed, now=now, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_RESUMED, "subscription", [locked.pk], at=now)
    return subscription


def has_scheduled_change(subscription: Subscription, chain: Chain, now: datetime) -> bool:
    """Return whether there is something for `withdraw_scheduled_change` to undo."""
    if subscription.ended_at is not None and subscription.ended_at <= now:
        return False
    return subscription.cancelled_at is not None or chain != _withdraw_changes(chain, now)


@contextmanager
def _lock_subscription(subscription: Subscription, *, by: User | None) -> Iterator[Subscription]:
    """Lock the subscription's row, and refresh the caller's copy at the end."""
    with transaction.atomic():
        locked = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        yield locked
        subscription.refresh_from_db()
        after_commit(subscription_changed, Subscription, subscription=subscription, by=by)


def _find_span(subscription: Subscription, chain: Chain, at: datetime) -> PhaseSpan:
    if at < subscription.started_at:
        raise NotYetStarted(f"The subscription starts on {subscription.started_at:%Y-%m-%d %H:%M} UTC.")
    for span in chain:
        if span.contains(at):
            return span
    raise SubscriptionEnded(f"The subscription has ended by {at:%Y-%m-%d %H:%M} UTC.")


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


def _undo_cancellation(subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
    """Put the phases back that the cancellation removed. The caller saves the subscription."""
    end = subscription.ended_at
    superseded = split_span(_read_superseded_spans(subscription), end)
    removed = [span for span in superseded if end is not None and span.starts_at >= end]
    restored = join_spans([*read_chain(subscription), *removed])
    write_chain(subscription, restored, now=now, by=by, reason=reason)
    subscription.ended_at, subscription.cancelled_at = restored[-1].ends_at, None


def _read_superseded_spans(subscription: Subscription) -> Chain:
    """Return the spans that the cancellation superseded, from the rows marked at its moment.

    Other changes at exactly that moment marked rows too. Where two rows overlap, the cancellation superseded the newer.
    """
    spans: Chain = []
    for phase in get_phase_history(subscription).filter(superseded_at=subscription.cancelled_at).order_by("-pk"):
        span = make_span(phase)
        if not any(span.overlaps(other) for other in spans):
            spans.append(span)
    return sorted(spans, key=lambda span: span.starts_at)


def _save_end(subscription: Subscription, *, by: User | None, reason: str) -> None:
    with recorded(by=by, reason=reason):
        subscription.save(update_fields=["ended_at", "cancelled_at", "updated_at"])
