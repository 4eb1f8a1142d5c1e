"""What a customer's invoices are reduced by, taxed by, and paid from, as plain values. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.lines import FEE, PRORATION, USAGE_KINDS, Charge
from billing.money import ZERO, round_amount, times

EVERYTHING, FEES, USAGE, CHOSEN = "everything", "fees", "usage", "chosen"
TAXABLE, EXEMPT, REVERSE_CHARGE = "taxable", "exempt", "reverse_charge"
NOTES = {
    EXEMPT: "The customer is exempt from tax.",
    REVERSE_CHARGE: "Reverse charge: the recipient accounts for the tax.",
}


@dataclass(slots=True)
class AppliedCoupon:
    """A coupon at work for a customer. `used` are the numbers of the invoices that it reduced and that aren't void.

    `coupon_id` is what clients know it by.
    """

    id: int
    code: str
    name: str
    percent_off: Decimal | None = None
    amount_off: Decimal | None = None
    currency: str = ""
    scope: str = EVERYTHING
    feature_ids: frozenset[int] = frozenset()
    version_ids: frozenset[int] = frozenset()
    subscription_id: int | None = None
    starts_at: datetime | None = None
    ended_at: datetime | None = None
    limit: int | None = None
    coupon_id: str = ""
    used: set[int] = field(default_factory=set)

    def is_live(self, at: datetime, currency: str, subscription_id: int | None) -> bool:
        """Tell whether it reduces an invoice that falls due at the moment. Its start is in, its end isn't."""
        begun = self.starts_at is None or self.starts_at <= at
        over = self.ended_at is not None and self.ended_at <= at
        fits = self.currency in ("", currency) and self.subscription_id in (None, subscription_id)
        return begun and not over and fits and (self.limit is None or len(self.used) < self.limit)

    def covers(self, charge: Charge) -> bool:
        is_fee, is_usage = charge.kind in (FEE, PRORATION), charge.kind in USAGE_KINDS
        if self.scope == CHOSEN:
            return (is_usage and charge.feature_id in self.feature_ids) or (
                is_fee and charge.plan_version_id in self.version_ids
            )
        return {EVERYTHING: True, FEES: is_fee, USAGE: is_usage}[self.scope]

    def reduction_of(self, amount: Decimal, currency: str) -> Decimal:
        """Return what the coupon takes off an amount: rounded, and never more than the amount."""
        off = self.amount_off or ZERO
        if self.percent_off is not None:
            off = times(amount, Fraction(self.percent_off) / 100)
        return round_amount(min(off, amount), currency)

    def next_number(self) -> int:
        """Return which use the next one is, from 1: the lowest number that is free."""
        return next(number for number in range(1, len(self.used) + 2) if number not in self.used)


@dataclass(frozen=True, slots=True)
class CouponUse:
    """A coupon's reduction of an invoice, its `number`th."""

    coupon: AppliedCoupon
    number: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class CustomerTax:
    """A tax that a customer pays. `currency` of "" is any; `rate_id` is what clients know it by."""

    code: str
    name: str
    percentage: Decimal
    is_inclusive: bool = False
    currency: str = ""
    rate_id: str = ""


@dataclass(slots=True)
class AvailableCredit:
    """What is left of one grant of prepaid credit."""

    grant_id: int
    available: Decimal
    expires_at: datetime | None = None


@dataclass(slots=True)
class Conditions:
    """What a customer's invoices are reduced by, taxed by, and paid from. Its subscriptions in one batch share it.

    Taxes are the subscription's own, else the customer's own, else the company's. `credit` is by currency, in the order
    of use. Invoices worked out one after the other use up coupons and credit here.
    """

    treatment: str = TAXABLE
    note: str = ""
    taxes: tuple[CustomerTax, ...] = ()
    subscription_taxes: dict[int, tuple[CustomerTax, ...]] = field(default_factory=dict)
    coupons: list[AppliedCoupon] = field(default_factory=list)
    credit: dict[str, list[AvailableCredit]] = field(default_factory=dict)

    def taxes_of(self, subscription_id: int | None, currency: str) -> list[CustomerTax]:
        if self.treatment == EXEMPT:
            return []
        taxes = self.subscription_taxes.get(subscription_id or 0) or self.taxes
        return [tax for tax in taxes if tax.currency in ("", currency)]

    def live_coupons(self, at: datetime, currency: str, subscription_id: int | None) -> list[AppliedCoupon]:
        return [coupon for coupon in self.coupons if coupon.is_live(at, currency, subscription_id)]

    @property
    def why_untaxed(self) -> str:
        """What the invoice says where the customer isn't charged tax."""
        return "" if self.treatment == TAXABLE else self.note or NOTES[self.treatment]
