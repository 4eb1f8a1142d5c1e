"""Change the plan of a running subscription, pause and resume it. Every change writes a new chain of phases.

A change of time before `now` needs a reason (ReasonRequired). Other changes don't.
"""

from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import User

from catalog.models import Plan, PlanVersion
from catalog.selectors import Terms
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.kinds import ChangeInvoicing
from customers.models import PhaseKind, Subscription
from customers.signals import invoice_change
from customers.subscriptions.chain import change_spans
from customers.subscriptions.locking import find_span, lock_subscription
from customers.subscriptions.phases import read_chain, write_chain
from customers.subscriptions.refusals import CannotPause, ChangeAlreadyScheduled, NotPaused
from customers.subscriptions.start import get_sellable_version


def change_plan(
    subscription: Subscription,
    plan_or_version: Plan | PlanVersion,
    *,
    at: datetime,
    now: datetime,
    by: User | None,
    reason: str = "",
    invoicing: ChangeInvoicing = ChangeInvoicing.NEXT_INVOICE,
) -> Subscription:
    """Move the subscription to another plan or version from a moment on: now, later, or earlier with a reason.

    `invoicing` is when the difference of the fees in advance is invoiced, if there is something to pay. The admin and
    the API invoice at once unless they are asked not to. Trials, pauses and the end stay. Nothing changes if the
    subscription is already on that version. Raises the errors of `get_sellable_version`, NotYetStarted,
    SubscriptionEnded, ChangeAlreadyScheduled.
    """
    with lock_subscription(subscription, by=by) as locked:
        terms = Terms(locked.currency, locked.interval, locked.interval_count)
        version = get_sellable_version(plan_or_version, terms, now=now, by=by)
        chain = read_chain(locked)
        current = find_span(locked, chain, at)
        for later in chain:
            if later.starts_at > max(at, now) and later.version_id != current.version_id:
                plan = PlanVersion.with_agreed.select_related("plan").get(pk=later.version_id)
                raise ChangeAlreadyScheduled(
                    f"A change to {plan} is scheduled for {later.starts_at:%Y-%m-%d}. Withdraw it first."
                )
        changed = change_spans(chain, lambda span: replace(span, version_id=version.pk), at)
        if write_chain(locked, changed, now=now, by=by, reason=reason):
            emit(WebhookEvent.SUBSCRIPTION_PLAN_CHANGED, "subscription", [locked.pk], at=now)
            if invoicing == ChangeInvoicing.IMMEDIATE:
                invoice_change(locked, at=at, now=now)
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
    with lock_subscription(subscription, by=by) as locked:
        chain = read_chain(locked)
        current = find_span(locked, chain, at)
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
    with lock_subscription(subscription, by=by) as locked:
        chain = read_chain(locked)
        current = find_span(locked, chain, at)
        if current.kind != PhaseKind.PAUSED:
            raise NotPaused(f"The subscription isn't paused on {at:%Y-%m-%d %H:%M} UTC.")
        resumed = change_spans(chain, lambda span: replace(span, kind=PhaseKind.ACTIVE), at, current.ends_at)
        write_chain(locked, resumed, now=now, by=by, reason=reason)
        emit(WebhookEvent.SUBSCRIPTION_RESUMED, "subscription", [locked.pk], at=now)
    return subscription
