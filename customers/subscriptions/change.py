"""Changes to a running subscription. Each writes the chain of phases anew, under the subscription's lock.

Whatever was in force before `now` changes only with a reason (ReasonRequired). What reaches no further back than now
needs none.
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
from customers.subscriptions.chain import Chain, PhaseSpan, cut, joined, overlay, split
from customers.subscriptions.phases import get_billing_period, get_phase_history, read_chain, write_chain
from customers.subscriptions.start import get_sellable_version


class SubscriptionEnded(Refused):
    """The subscription has ended, or will have by then."""


class NotYetStarted(Refused):
    """The subscription hasn't begun by then."""


class ChangeAlreadyScheduled(Refused):
    """Another change is scheduled for later: withdraw it first."""


class NothingScheduled(Refused):
    """There is no scheduled change to withdraw."""


class NotPaused(Refused):
    """The subscription isn't paused then."""


class CannotPause(Refused):
    """Only an active subscription can be paused: not one in trial, nor one that is paused already."""


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

    A trial, a pause and the end stay where they are. On that version already: nothing changes. Raises what
    `get_sellable_version` does, NotYetStarted, SubscriptionEnded, ChangeAlreadyScheduled.
    """
    with _locked(subscription, now=now, by=by) as locked:
        terms = Terms(locked.currency, locked.interval, locked.interval_count)
        version = get_sellable_version(plan_or_version, terms, now=now, by=by)
        chain = read_chain(locked)
        here = _stretch_at(locked, chain, at)
        for later in chain:
            if later.starts_at > max(at, now) and later.version_id != here.version_id:
                plan = PlanVersion.objects.select_related("plan").get(pk=later.version_id)
                raise ChangeAlreadyScheduled(
                    f"A change to {plan} is scheduled for {later.starts_at:%Y-%m-%d}. Withdraw it first."
                )
        changed = overlay(chain, lambda part: replace(part, version_id=version.pk), at)
        if write_chain(locked, changed, now=now, by=by, reason=reason):
            emit(WebhookEvent.SUBSCRIPTION_PLAN_CHANGED, "subscription", [locked.pk], at=now)
    return subscription


def cancel(
    subscription: Subscription, *, at: datetime, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """End the subscription at a moment, which it no longer holds: now, later, or earlier with a reason.

    Before its start, it never begins. A cancellation that is scheduled already is replaced; to the same moment,
    nothing changes. Raises SubscriptionEnded when it has ended, or is to end before then.
    """
    with _locked(subscription, now=now, by=by) as locked:
        if locked.ended_at is not None and locked.ended_at == at:
            return subscription
        if locked.ended_at is not None and locked.ended_at <= now:
            raise SubscriptionEnded(f"The subscription ended on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        if locked.cancelled_at is not None:
            _restore_after_cancel(locked, now=now, by=by, reason=reason)
        if locked.ended_at is not None and locked.ended_at < at:
            raise SubscriptionEnded(f"The subscription ends on {locked.ended_at:%Y-%m-%d %H:%M} UTC anyhow.")
        locked.ended_at, locked.cancelled_at = max(at, locked.started_at), now
        write_chain(locked, cut(read_chain(locked), at), now=now, by=by, reason=reason)
        _save_end(locked, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_CANCELLED, "subscription", [locked.pk], at=now)
    return subscription


def cancel_at_period_end(
    subscription: Subscription, *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """End the subscription when the billing period that holds now is over. Else as `cancel`.

    Raises SubscriptionEnded when it was cancelled before it began: it has no period.
    """
    whole_life = Subscription(pk=subscription.pk)
    whole_life.refresh_from_db()
    if whole_life.cancelled_at is not None and whole_life.ended_at is not None and whole_life.ended_at > now:
        whole_life.ended_at = None  # the period's own end counts, not where a cancellation cut it short
    return cancel(subscription, at=get_period_end(whole_life, now), now=now, by=by, reason=reason)


def get_period_end(subscription: Subscription, now: datetime) -> datetime:
    """Return when the billing period that holds now is over; of an ended subscription, its end.

    Raises SubscriptionEnded when it was cancelled before it began.
    """
    try:
        return get_billing_period(subscription, now).end
    except NoSuchPeriod as error:
        raise SubscriptionEnded("The subscription was cancelled before it began: it has no billing period.") from error


def withdraw_scheduled_change(
    subscription: Subscription, *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """Undo what is to happen after now: a move to another plan, a pause, a cancellation, all of them.

    The end of a trial or of a running pause, and an end agreed at the start, are no changes and stay. Raises
    SubscriptionEnded, NothingScheduled.
    """
    with _locked(subscription, now=now, by=by) as locked:
        if locked.ended_at is not None and locked.ended_at <= now:
            raise SubscriptionEnded(f"The subscription ended on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        withdrawn = locked.cancelled_at is not None
        if withdrawn:
            _restore_after_cancel(locked, now=now, by=by, reason=reason)
        chain = read_chain(locked)
        here = next((part for part in chain if part.contains(now)), chain[0])
        kept = overlay(chain, lambda part: _as_before(part, here), here.starts_at)
        if not write_chain(locked, kept, now=now, by=by, reason=reason) and not withdrawn:
            raise NothingScheduled("Nothing is scheduled for this subscription.")
        if withdrawn:
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
    """Stop serving and charging from a moment on, until another or until resumed. The billing rhythm goes on.

    Raises CannotPause unless the subscription is active at that moment, NotYetStarted, SubscriptionEnded.
    """
    with _locked(subscription, now=now, by=by) as locked:
        chain = read_chain(locked)
        here = _stretch_at(locked, chain, at)
        if here.kind != PhaseKind.ACTIVE:
            raise CannotPause(
                "The subscription is in trial then." if here.kind == PhaseKind.TRIAL else "It is paused then."
            )
        if until is not None and until <= at:
            raise CannotPause("The pause ends before it begins.")
        paused = overlay(chain, lambda part: replace(part, kind=PhaseKind.PAUSED), at, until)
        write_chain(locked, paused, now=now, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_PAUSED, "subscription", [locked.pk], at=now)
    return subscription


def resume(
    subscription: Subscription, *, at: datetime, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """Serve and charge a paused subscription again from a moment on.

    Raises NotPaused, NotYetStarted, SubscriptionEnded.
    """
    with _locked(subscription, now=now, by=by) as locked:
        chain = read_chain(locked)
        here = _stretch_at(locked, chain, at)
        if here.kind != PhaseKind.PAUSED:
            raise NotPaused(f"The subscription isn't paused on {at:%Y-%m-%d %H:%M} UTC.")
        resumed = overlay(chain, lambda part: replace(part, kind=PhaseKind.ACTIVE), at, here.ends_at)
        write_chain(locked, resumed, now=now, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_RESUMED, "subscription", [locked.pk], at=now)
    return subscription


def has_scheduled_change(subscription: Subscription, chain: Chain, now: datetime) -> bool:
    """Tell whether `withdraw_scheduled_change` would find something to undo."""
    if subscription.ended_at is not None and subscription.ended_at <= now:
        return False
    if subscription.cancelled_at is not None:
        return True
    here = next((part for part in chain if part.contains(now)), chain[0] if chain else None)
    return here is not None and chain != overlay(chain, lambda part: _as_before(part, here), here.starts_at)


@contextmanager
def _locked(subscription: Subscription, *, now: datetime, by: User | None) -> Iterator[Subscription]:
    """Hold the subscription's row, and bring the caller's copy up to date at the end."""
    with transaction.atomic():
        locked = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        yield locked
        subscription.refresh_from_db()
        after_commit(subscription_changed, Subscription, subscription=subscription, by=by)


def _stretch_at(subscription: Subscription, chain: Chain, at: datetime) -> PhaseSpan:
    if at < subscription.started_at:
        raise NotYetStarted(f"The subscription starts on {subscription.started_at:%Y-%m-%d %H:%M} UTC.")
    here = next((part for part in chain if part.contains(at)), None)
    if here is None:
        raise SubscriptionEnded(f"The subscription has no phase on {at:%Y-%m-%d %H:%M} UTC: it has ended by then.")
    return here


def _as_before(part: PhaseSpan, here: PhaseSpan) -> PhaseSpan:
    """Give a later stretch the present plan, and no pause of its own."""
    begins_a_pause = part.kind == PhaseKind.PAUSED and part.starts_at > here.starts_at
    return replace(part, version_id=here.version_id, kind=PhaseKind.ACTIVE if begins_a_pause else part.kind)


def _restore_after_cancel(subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
    """Put back what the cancellation cut off. The caller saves the subscription."""
    end = subscription.ended_at
    tail = [part for part in split(_cut_off(subscription), end) if end is not None and part.starts_at >= end]
    restored = joined([*read_chain(subscription), *tail])
    write_chain(subscription, restored, now=now, by=by, reason=reason)
    subscription.ended_at, subscription.cancelled_at = restored[-1].ends_at, None


def _cut_off(subscription: Subscription) -> Chain:
    """Return what the cancellation superseded, from the rows marked at its moment.

    Other writes of that very moment marked rows too; where two overlap, the one written later is what was cut.
    """
    found: Chain = []
    for phase in get_phase_history(subscription).filter(superseded_at=subscription.cancelled_at).order_by("-pk"):
        part = PhaseSpan(phase.kind, phase.plan_version_id, phase.starts_at, phase.ends_at)
        if not any(part.overlaps(other) for other in found):
            found.append(part)
    return sorted(found, key=lambda part: part.starts_at)


def _save_end(subscription: Subscription, *, by: User | None, reason: str) -> None:
    with recorded(by=by, reason=reason):
        subscription.save(update_fields=["ended_at", "cancelled_at", "updated_at"])
