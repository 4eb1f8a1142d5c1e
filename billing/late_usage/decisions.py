"""What staff decide about late adjustments: approved, ignored with a reason, taken up again."""

from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from billing.late_usage.reconcile import reconcile
from billing.models import BillingState, LateAdjustment, LateState
from billing.models.late import OPEN_STATES
from config.audit import recorded
from config.refusals import ReasonRequired
from customers.periods import Period


def approve(ids: Iterable[int], *, by: User | None, now: datetime) -> list[LateAdjustment]:
    """Let adjustments that wait for approval, or are below the limit, go on the next invoice; return those that will.

    Others are passed over. A second call changes nothing.
    """
    return _decide(ids, (LateState.HELD, LateState.SMALL), LateState.WAITING, reason="", by=by, now=now)


def ignore(ids: Iterable[int], *, reason: str, by: User | None, now: datetime) -> list[LateAdjustment]:
    """Let go of open adjustments for good, with a reason; return those that were. Others are passed over.

    What changes about their periods afterwards is reckoned from here. Raises `ReasonRequired`.
    """
    if not reason.strip():
        raise ReasonRequired("Say why the difference is let go.")
    return _decide(ids, OPEN_STATES, LateState.IGNORED, reason=reason.strip()[:255], by=by, now=now)


def take_up(ids: Iterable[int], *, by: User | None, now: datetime) -> list[LateAdjustment]:
    """Take ignored adjustments up again, as usage is by now; return what is open of their periods then."""
    with transaction.atomic():
        rows = _locked(ids, (LateState.IGNORED,))
        with recorded(by=by):
            for row in rows:
                row.state, row.reason, row.decided_at, row.decided_by = LateState.CANCELLED, "Taken up again", now, by
                row.save()
        periods = {(row.subscription_id, Period(row.period_start, row.period_end)) for row in rows}
        prices = {row.price_id for row in rows}
        found = [
            row
            for subscription_id, period in sorted(periods, key=lambda each: (each[0], each[1].start))
            for row in reconcile(subscription_id, [period], now=now)
        ]
        return [row for row in found if row.price_id in prices]


def _decide(
    ids: Iterable[int], among: Iterable[LateState], state: LateState, *, reason: str, by: User | None, now: datetime
) -> list[LateAdjustment]:
    with transaction.atomic(), recorded(by=by, reason=reason):
        rows = _locked(ids, among)
        for row in rows:
            row.state, row.reason, row.decided_at, row.decided_by = state, reason, now, by
            row.returned_by = None
            row.save()
        return rows


def _locked(ids: Iterable[int], among: Iterable[LateState]) -> list[LateAdjustment]:
    """Lock the subscriptions' standings, then their adjustments that are in one of the states."""
    chosen = LateAdjustment.objects.filter(pk__in=list(ids))
    subscriptions = chosen.values_list("subscription_id", flat=True)
    standings = BillingState.objects.select_for_update().filter(pk__in=list(subscriptions)).order_by("pk")
    list(standings.values_list("pk", flat=True))
    rows = chosen.filter(state__in=list(among)).select_for_update(of=("self",))
    return list(rows.select_related("price__feature", "subscription__customer").order_by("pk"))
