"""What becomes of a difference, as the company decided. `decide` is pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from billing.models import LateLimit, LatePolicy, LateState
from billing.models.late import LessDue, MoreDue
from billing.money import format_amount


@dataclass(frozen=True, slots=True)
class Policy:
    """The company's choices. Amounts smaller than their currency's limit aren't billed.

    `holds_credited` has staff look at what is given back of charges that were credited by hand in part.
    """

    holds_more: bool = False
    holds_less: bool = False
    credits_less: bool = False
    limits: Mapping[str, Decimal] = field(default_factory=dict)
    holds_credited: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """The state that a new adjustment begins in, and why where that needs saying."""

    state: LateState
    reason: str = ""


def read_policy() -> Policy:
    """Read the policy as it is now; without a row everything goes on the next invoice."""
    row = LatePolicy.objects.first() or LatePolicy()
    return Policy(
        holds_more=row.more_due == MoreDue.HOLD,
        holds_less=row.less_due == LessDue.HOLD,
        credits_less=row.less_due == LessDue.CREDIT_NOTE,
        limits=dict(LateLimit.objects.values_list("currency", "amount")),
    )


def decide(amount: Decimal, currency: str, policy: Policy) -> Decision:
    """Say what becomes of a difference. One of nothing rides along with the next invoice."""
    limit = policy.limits.get(currency)
    if amount and limit is not None and abs(amount) < limit:
        return Decision(LateState.SMALL, f"Smaller than {format_amount(limit, currency)}")
    held = policy.holds_more if amount > 0 else policy.holds_less
    return Decision(LateState.HELD if amount and held else LateState.WAITING)
