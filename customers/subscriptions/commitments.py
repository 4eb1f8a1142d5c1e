"""Agree and end commitments of a whole subscription. Why: decision 225."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet

from config.approvals.gate import Action, find_needed_approval, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import ReasonRequired
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.kinds import CommitmentKind
from customers.models import Commitment, Subscription
from customers.signals import invoice_change
from customers.subscriptions.locking import lock_subscription
from customers.subscriptions.phases import get_billing_period, get_schedule
from customers.subscriptions.refusals import (
    CommitmentOverlaps,
    NotAPeriodsStart,
    NotYetStarted,
    SubscriptionEnded,
    TermsNeedApproval,
)


@dataclass(frozen=True, slots=True)
class CommitmentTerms:
    """What is committed: the amount of a term, its length in billing periods, and the price of usage above it."""

    amount: Decimal
    kind: CommitmentKind = CommitmentKind.MINIMUM
    periods: int = 1
    overage_factor: Decimal = Decimal(1)

    def write(self) -> dict[str, Any]:
        """Write the terms as JSON."""
        return asdict(self) | {"amount": f"{self.amount:f}", "overage_factor": f"{self.overage_factor:f}"}

    @classmethod
    def read(cls, data: dict[str, Any]) -> "CommitmentTerms":
        """Read what `write` wrote."""
        amount, factor = Decimal(data["amount"]), Decimal(data["overage_factor"])
        return cls(amount, CommitmentKind(data["kind"]), data["periods"], factor)


def get_commitments(subscription_id: int) -> QuerySet[Commitment]:
    """Return a subscription's commitments that weren't withdrawn, in their order."""
    rows = Commitment.objects.filter(subscription=subscription_id).exclude(ends_at=F("starts_at"))
    return rows.select_related("subscription").order_by("starts_at")


def get_current_commitments(subscriptions: Iterable[Subscription], at: datetime) -> dict[int, Commitment]:
    """Return the commitments in force at a moment, or at the subscription's start if that is later. One query."""
    by_id = {subscription.pk: subscription for subscription in subscriptions}
    current: dict[int, Commitment] = {}
    for commitment in Commitment.objects.filter(subscription__in=by_id).order_by("starts_at"):
        commitment.subscription = subscription = by_id[commitment.subscription_id]
        moment = max(at, subscription.started_at)
        if commitment.starts_at <= moment and (commitment.ends_at is None or moment < commitment.ends_at):
            current[subscription.pk] = commitment
    return current


def agree_commitment(
    subscription: Subscription,
    terms: CommitmentTerms,
    *,
    starts_at: datetime,
    ends_at: datetime | None = None,
    now: datetime,
    by: User | None,
    reason: str = "",
) -> Commitment:
    """Commit the customer to an amount in every term from the start of a billing period on.

    The same commitment again is returned. A prepayment of a term that has begun is invoiced at once; other effects on
    invoices that exist are on the next one.

    Raises NotAPeriodsStart, NotYetStarted, SubscriptionEnded, CommitmentOverlaps, ReasonRequired for a start before the
    current billing period, ValidationError, and ApprovalNeeded where publishing prices needs approval.
    """
    with lock_subscription(subscription, by=by) as locked:
        same = Commitment.objects.filter(subscription=locked, starts_at=starts_at, ends_at=ends_at, **asdict(terms))
        if ends_at != starts_at and (existing := same.first()) is not None:
            return existing
        commitment = Commitment(
            subscription=locked, starts_at=starts_at, ends_at=ends_at, recorded_at=now, **asdict(terms)
        )
        _check(locked, commitment)
        if starts_at < get_billing_period(locked, now).start and not reason.strip():
            raise ReasonRequired("The commitment starts before the current billing period. Enter a reason.")
        require_approval(_describe(locked, terms, starts_at, ends_at, reason), by=by)
        _save(commitment, now=now, by=by, reason=reason)
        if terms.kind == CommitmentKind.PREPAID and starts_at <= now:
            invoice_change(locked, at=now, now=now)
        return commitment


def commit_at_start(
    subscription: Subscription, terms: CommitmentTerms, *, now: datetime, by: User | None, reason: str
) -> Commitment:
    """Commit a new subscription from its start on. Raises TermsNeedApproval, ValidationError."""
    action = _describe(subscription, terms, subscription.started_at, None, reason)
    if find_needed_approval(action, by=by) is not None:
        raise TermsNeedApproval(
            "A commitment needs approval. Create the subscription without the commitment, then request it."
        )
    starts_at = subscription.started_at
    commitment = Commitment(subscription=subscription, starts_at=starts_at, recorded_at=now, **asdict(terms))
    commitment.full_clean(exclude=["subscription"])
    return _save(commitment, now=now, by=by, reason=reason)


def end_commitment(
    commitment: Commitment, *, at: datetime, now: datetime, by: User | None, reason: str = ""
) -> Commitment:
    """End a commitment at the start of a billing period, now or later. One that hasn't started can be withdrawn.

    A minimum is prorated to the shortened term. A prepayment isn't refunded.

    Raises NotAPeriodsStart, SubscriptionEnded if it has ended, CommitmentOverlaps if another one follows, and
    ApprovalNeeded where publishing prices needs approval.
    """
    with lock_subscription(commitment.subscription, by=by) as locked:
        row = Commitment.objects.select_for_update().get(pk=commitment.pk)
        row.subscription = locked
        if row.ends_at == at:
            return row
        if row.ends_at is not None and row.ends_at <= now:
            raise SubscriptionEnded(f"{row} has ended.")
        is_withdrawn = at == row.starts_at and row.starts_at >= now
        if not is_withdrawn and (at < now or at <= row.starts_at):
            raise NotAPeriodsStart("A commitment ends at the start of a billing period that is still to come.")
        row.ends_at = at
        _check(locked, row)
        require_approval(
            Action(
                Operation.END_COMMITMENT,
                [ApprovalKind.PRICES],
                [locked],
                {"commitment": row.pk, "at": at.isoformat(), "reason": reason},
                title=f"End a commitment of {locked}",
                effect=f"{row} ends on {at:%Y-%m-%d %H:%M} UTC.",
            ),
            by=by,
        )
        return _save(row, now=now, by=by, reason=reason)


def _save(commitment: Commitment, *, now: datetime, by: User | None, reason: str) -> Commitment:
    with recorded(by=by, reason=reason):
        commitment.save()
    emit(WebhookEvent.SUBSCRIPTION_UPDATED, "subscription", [commitment.subscription_id], at=now)
    return commitment


def _check(subscription: Subscription, commitment: Commitment) -> None:
    """Refuse a commitment that starts or ends within a billing period, or meets another one."""
    starts_at, ends_at = commitment.starts_at, commitment.ends_at
    if starts_at < subscription.started_at:
        raise NotYetStarted(f"The subscription starts on {subscription.started_at:%Y-%m-%d %H:%M} UTC.")
    if subscription.ended_at is not None and starts_at >= subscription.ended_at:
        raise SubscriptionEnded(f"The subscription ends on {subscription.ended_at:%Y-%m-%d %H:%M} UTC.")
    for moment in (starts_at, ends_at):
        if moment is not None and not _is_periods_start(subscription, moment):
            raise NotAPeriodsStart(f"No billing period starts on {moment:%Y-%m-%d %H:%M} UTC.")
    commitment.full_clean(exclude=["subscription"], validate_constraints=False)
    others = Commitment.objects.filter(subscription=subscription).exclude(pk=commitment.pk)
    others = others.exclude(ends_at=F("starts_at")).filter(Q(ends_at=None) | Q(ends_at__gt=starts_at))
    if ends_at is not None:
        others = others.filter(starts_at__lt=ends_at)
    if ends_at != starts_at and (other := others.first()) is not None:
        raise CommitmentOverlaps(f"Another commitment applies from {other.starts_at:%Y-%m-%d} on. End it first.")


def _is_periods_start(subscription: Subscription, moment: datetime) -> bool:
    schedule = get_schedule(subscription)
    return moment == subscription.started_at or schedule.boundary(schedule.index_at(moment)) == moment


def _describe(
    subscription: Subscription, terms: CommitmentTerms, starts_at: datetime, ends_at: datetime | None, reason: str
) -> Action:
    return Action(
        Operation.AGREE_COMMITMENT,
        [ApprovalKind.PRICES],
        [subscription],
        {
            "terms": terms.write(),
            "starts_at": starts_at.isoformat(),
            "ends_at": ends_at.isoformat() if ends_at else None,
            "reason": reason,
        },
        title=f"Agree a commitment with {subscription}",
        effect=f"{terms.kind.label.partition(':')[0]} of {terms.amount:f} {subscription.currency} every "
        f"{terms.periods} billing periods from {starts_at:%Y-%m-%d} on.",
    )
