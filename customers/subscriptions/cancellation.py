"""Cancel subscriptions, and undo a cancellation that hasn't taken effect.

A change of time before `now` needs a reason (ReasonRequired). Other changes don't.
"""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from config.audit import recorded
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.models import Subscription
from customers.periods import NoSuchPeriod
from customers.subscriptions.chain import Chain, end_chain, find_trial_end, join_spans, split_span
from customers.subscriptions.composing import make_spans_without_addons
from customers.subscriptions.locking import lock_subscription
from customers.subscriptions.phases import get_billing_period, get_phase_history, read_chain, write_chain
from customers.subscriptions.refusals import SubscriptionEnded


def cancel(
    subscription: Subscription, *, at: datetime, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """End the subscription at a moment, excluding that moment: now, later, or earlier with a reason.

    A subscription canceled at or before its start never starts. A scheduled cancellation is replaced; nothing changes
    if it is for the same moment. Raises SubscriptionEnded if the subscription has ended, or ends before that moment.
    """
    with lock_subscription(subscription, by=by) as locked:
        if locked.ended_at is not None and locked.ended_at == at:
            return subscription
        if locked.ended_at is not None and locked.ended_at <= now:
            raise SubscriptionEnded(f"The subscription ended on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        if locked.cancelled_at is not None:
            undo_cancellation(locked, now=now, by=by, reason=reason)
        if locked.ended_at is not None and locked.ended_at < at:
            raise SubscriptionEnded(f"The subscription already ends on {locked.ended_at:%Y-%m-%d %H:%M} UTC.")
        locked.ended_at, locked.cancelled_at = max(at, locked.started_at), now
        write_chain(locked, end_chain(read_chain(locked), at), now=now, by=by, reason=reason)
        save_end(locked, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_CANCELLED, "subscription", [locked.pk], at=now)
    return subscription


def cancel_at_period_end(
    subscription: Subscription, *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """End the subscription at the end of the current billing period, or of the running trial. See `cancel`.

    Raises SubscriptionEnded if the subscription was canceled before it started, since it has no billing period.
    """
    with transaction.atomic():
        uncancelled = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        chain = read_chain(uncancelled)
        if uncancelled.cancelled_at is not None and uncancelled.ended_at is not None and uncancelled.ended_at > now:
            chain = _restore_chain(uncancelled, chain)  # a scheduled cancellation must not shorten the period
            uncancelled.ended_at = chain[-1].ends_at
        at = _find_period_end(uncancelled, chain, now)
        return cancel(subscription, at=at, now=now, by=by, reason=reason)


def get_period_end(subscription: Subscription, now: datetime) -> datetime:
    """Return the end of the running trial or else of the current billing period; the end of an ended subscription.

    A trial from 10 to 20 September with calendar billing ends on the 20th, although its billing period ends on
    1 October. Raises SubscriptionEnded if the subscription was canceled before it started.
    """
    return _find_period_end(subscription, read_chain(subscription), now)


def _find_period_end(subscription: Subscription, chain: Chain, now: datetime) -> datetime:
    trial_end = find_trial_end(chain, max(now, subscription.started_at))
    if trial_end is not None:
        return trial_end
    try:
        return get_billing_period(subscription, now).end
    except NoSuchPeriod as error:
        raise SubscriptionEnded(
            "The subscription was canceled before it started, so it has no billing period."
        ) from error


def undo_cancellation(subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
    """Put the phases back that the cancellation removed. The caller holds the lock and saves the subscription."""
    restored = _restore_chain(subscription, read_chain(subscription))
    write_chain(subscription, restored, now=now, by=by, reason=reason)
    subscription.ended_at, subscription.cancelled_at = restored[-1].ends_at, None


def _restore_chain(subscription: Subscription, chain: Chain) -> Chain:
    """Return the chain with the spans that the subscription's cancellation removed."""
    end = subscription.ended_at
    superseded = split_span(_read_superseded_spans(subscription), end)
    return join_spans([*chain, *(span for span in superseded if end is not None and span.starts_at >= end)])


def _read_superseded_spans(subscription: Subscription) -> Chain:
    """Return the spans that the cancellation superseded, from the rows marked at its moment.

    Other changes at exactly that moment marked rows too. Where two rows overlap, the cancellation superseded the newer.
    """
    spans: Chain = []
    phases = get_phase_history(subscription).filter(superseded_at=subscription.cancelled_at).order_by("-pk")
    for span in make_spans_without_addons(phases):
        if not any(span.overlaps(other) for other in spans):
            spans.append(span)
    return sorted(spans, key=lambda span: span.starts_at)


def save_end(subscription: Subscription, *, by: User | None, reason: str) -> None:
    """Save a new end or cancellation, with its history."""
    with recorded(by=by, reason=reason):
        subscription.save(update_fields=["ended_at", "cancelled_at", "updated_at"])
