"""Decisions of staff about late adjustments: approve, ignore with a reason, reopen."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing.late_usage.reconcile import reconcile
from billing.models import BillingState, LateAdjustment, LateState
from billing.models.late import OPEN_STATES
from billing.notifications import notify_late_usage
from config.audit import recorded
from config.refusals import ReasonRequired
from customers.periods import Period

APPROVABLE = (LateState.HELD, LateState.SMALL)
WAIVABLE = OPEN_STATES
REOPENABLE = (LateState.IGNORED,)


def approve(ids: Iterable[int], *, by: User | None, now: datetime) -> list[LateAdjustment]:
    """Put adjustments that are held or below the limit on the next invoice; return those that were approved.

    Others are skipped. A second call changes nothing.
    """
    return _decide(ids, APPROVABLE, LateState.WAITING, reason="", by=by, now=now)


def ignore(ids: Iterable[int], *, reason: str, by: User | None, now: datetime) -> list[LateAdjustment]:
    """Waive open adjustments, with a reason; return those that were waived. Others are skipped.

    Later changes of their periods are differences from here. Raises `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Enter a reason for waiving this difference.")
    return _decide(ids, WAIVABLE, LateState.IGNORED, reason=reason.strip()[:255], by=by, now=now)


def reopen_ignored(ids: Iterable[int], *, by: User | None, now: datetime) -> list[LateAdjustment]:
    """Reopen ignored adjustments with the usage as it is now; return what is open of their periods then."""
    with transaction.atomic():
        ignored = _locked(ids, REOPENABLE)
        with recorded(by=by):
            for adjustment in ignored:
                adjustment.state, adjustment.reason = LateState.CANCELLED, "Reopened"
                adjustment.decided_at, adjustment.decided_by = now, by
                adjustment.save()
        periods = {
            (adjustment.subscription_id, Period(adjustment.period_start, adjustment.period_end))
            for adjustment in ignored
        }
        price_ids = {adjustment.price_id for adjustment in ignored}
        reopened = [
            adjustment
            for subscription_id, period in sorted(periods, key=lambda pair: (pair[0], pair[1].start))
            for adjustment in reconcile(subscription_id, [period], now=now)
            if adjustment.price_id in price_ids
        ]
        notify_late_usage([*ignored, *reopened], now=now)
        return reopened


def _decide(
    ids: Iterable[int], states: Iterable[LateState], state: LateState, *, reason: str, by: User | None, now: datetime
) -> list[LateAdjustment]:
    with transaction.atomic(), recorded(by=by, reason=reason):
        adjustments = _locked(ids, states)
        for adjustment in adjustments:
            adjustment.state, adjustment.reason = state, reason
            adjustment.decided_at, adjustment.decided_by, adjustment.returned_by = now, by, None
            adjustment.save()
        notify_late_usage(adjustments, now=now)
        return adjustments


def _locked(ids: Iterable[int], states: Iterable[LateState]) -> list[LateAdjustment]:
    """Lock the subscriptions' billing progress, then their adjustments that are in one of the states."""
    adjustments = LateAdjustment.objects.filter(pk__in=list(ids))
    subscription_ids = list(adjustments.values_list("subscription_id", flat=True))
    progress = BillingState.objects.select_for_update().filter(pk__in=subscription_ids).order_by("pk")
    list(progress.values_list("pk", flat=True))
    locked = adjustments.filter(state__in=list(states)).select_for_update(of=("self",))
    return list(locked.select_related("price__feature", "subscription__customer").order_by("pk"))
