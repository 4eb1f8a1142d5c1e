"""Lock a subscription for a change, and find the phase that the change starts from."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from catalog.signals import after_commit
from customers.models import Subscription
from customers.signals import subscription_changed
from customers.subscriptions.chain import Chain, PhaseSpan
from customers.subscriptions.refusals import NotYetStarted, SubscriptionEnded


@contextmanager
def lock_subscription(subscription: Subscription, *, by: User | None) -> Iterator[Subscription]:
    """Lock the subscription's row, and refresh the caller's copy at the end."""
    with transaction.atomic():
        locked = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        yield locked
        subscription.refresh_from_db()
        after_commit(subscription_changed, Subscription, subscription=subscription, by=by)


def find_span(subscription: Subscription, chain: Chain, at: datetime) -> PhaseSpan:
    """Return the span that contains a moment. Raises NotYetStarted, SubscriptionEnded."""
    if at < subscription.started_at:
        raise NotYetStarted(f"The subscription starts on {subscription.started_at:%Y-%m-%d %H:%M} UTC.")
    for span in chain:
        if span.contains(at):
            return span
    raise SubscriptionEnded(f"The subscription has ended by {at:%Y-%m-%d %H:%M} UTC.")
