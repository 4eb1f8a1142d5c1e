"""The company's policy for late usage: bill a difference, hold it for approval, or leave it. `decide` is pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import LateLimit, LatePolicy, LateState
from billing.models.late import LessDue, MoreDue
from billing.money import format_amount
from config.audit import recorded


@dataclass(frozen=True, slots=True)
class Policy:
    """The company's choices. Amounts smaller than their currency's limit aren't billed.

    `holds_credited` holds refunds of charges that staff credited by hand in part.
    """

    holds_more: bool = False
    holds_less: bool = False
    credits_less: bool = False
    limits: Mapping[str, Decimal] = field(default_factory=dict)
    holds_credited: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """The first state of an adjustment, and the reason if it isn't obvious."""

    state: LateState
    reason: str = ""


def read_policy() -> Policy:
    """Load the current policy. Without a row, every difference goes on the next invoice."""
    row = LatePolicy.objects.first() or LatePolicy()
    return Policy(
        holds_more=row.more_due == MoreDue.HOLD,
        holds_less=row.less_due == LessDue.HOLD,
        credits_less=row.less_due == LessDue.CREDIT_NOTE,
        limits=dict(LateLimit.objects.values_list("currency", "amount")),
    )


def change_policy(
    *, more_due: MoreDue, less_due: LessDue, limits: Mapping[str, Decimal], by: User | None
) -> LatePolicy:
    """Replace the policy and its limits by currency. Applies to differences calculated from now on."""
    with transaction.atomic(), recorded(by=by):
        row = LatePolicy.objects.select_for_update().get_or_create(pk=1)[0]
        row.more_due, row.less_due = more_due, less_due
        row.full_clean()
        row.save()
        saved = {limit.currency: limit for limit in row.limits.all()}
        for currency, amount in limits.items():
            limit = saved.pop(currency, None) or LateLimit(policy=row, currency=currency)
            if limit.amount != amount:
                limit.amount = amount
                limit.full_clean()
                limit.save()
        for limit in saved.values():
            limit.delete()
    return row


def decide(amount: Decimal, currency: str, policy: Policy, *, credit_reason: str = "") -> Decision:
    """Decide on a difference. An amount of zero goes on the next invoice.

    `credit_reason` says that part of the charges was credited by hand and part of their usage remains. Which part was
    credited isn't known, so staff decide.
    """
    limit = policy.limits.get(currency)
    if amount and limit is not None and abs(amount) < limit:
        return Decision(LateState.SMALL, f"Smaller than {format_amount(limit, currency)}")
    is_held = policy.holds_more if amount > 0 else policy.holds_less
    if amount and is_held:
        return Decision(LateState.HELD)
    if credit_reason and policy.holds_credited:
        return Decision(LateState.HELD, credit_reason)
    return Decision(LateState.WAITING)
