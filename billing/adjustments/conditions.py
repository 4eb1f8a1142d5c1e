"""A customer's coupons, taxes and prepaid credit as plain values. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.adjustments.credit import AvailableCredit
from billing.kinds import FEE_KINDS, USAGE_KINDS, CouponScope, LineKind
from billing.lines import Charge
from billing.money import ZERO, round_amount, times
from customers.kinds import TaxTreatment

NOTES = {
    TaxTreatment.EXEMPT: "The customer is exempt from tax.",
    TaxTreatment.REVERSE_CHARGE: "Reverse charge: the recipient accounts for the tax.",
}


@dataclass(frozen=True, slots=True)
class PastUse:
    """An invoice that a coupon has reduced, by how much, and the invoice's subscription."""

    amount: Decimal
    subscription_id: int | None = None


@dataclass(slots=True)
class AppliedCoupon:
    """A coupon that is applied to a customer. `used` holds its uses on invoices that aren't void, by number.

    `coupon_id` is the coupon's public id. If it `keeps_rest`, its amount is used up over several invoices.
    """

    id: int
    code: str
    name: str
    percent_off: Decimal | None = None
    amount_off: Decimal | None = None
    currency: str = ""
    scope: CouponScope = CouponScope.EVERYTHING
    feature_ids: frozenset[int] = frozenset()
    version_ids: frozenset[int] = frozenset()
    subscription_id: int | None = None
    starts_at: datetime | None = None
    ended_at: datetime | None = None
    limit: int | None = None
    coupon_id: str = ""
    keeps_rest: bool = False
    used: dict[int, PastUse] = field(default_factory=dict)

    def is_live(self, at: datetime, currency: str, subscription_id: int | None) -> bool:
        """Return whether it applies to an invoice that is due at a moment. One that ends at the moment doesn't."""
        has_started = self.starts_at is None or self.starts_at <= at
        has_ended = self.ended_at is not None and self.ended_at <= at
        fits = self.currency in ("", currency) and self.subscription_id in (None, subscription_id)
        return has_started and not has_ended and fits

    def is_used_up(self, uses: Collection[PastUse]) -> bool:
        """Return whether these uses reach the coupon's limit."""
        if self.keeps_rest:
            return self._rest_after(uses) <= 0
        return self.limit is not None and len(uses) >= self.limit

    def _rest_after(self, uses: Iterable[PastUse]) -> Decimal:
        return (self.amount_off or ZERO) - sum((use.amount for use in uses), ZERO)

    def covers(self, charge: Charge) -> bool:
        """Return whether the coupon's scope includes a charge."""
        is_fee, is_usage = charge.kind in FEE_KINDS, charge.kind in (*USAGE_KINDS, LineKind.COMMITMENT)
        if self.scope == CouponScope.CHOSEN:
            return (is_usage and charge.feature_id in self.feature_ids) or (
                is_fee and charge.plan_version_id in self.version_ids
            )
        return {CouponScope.EVERYTHING: True, CouponScope.FEES: is_fee, CouponScope.USAGE: is_usage}[self.scope]

    def reduction_of(self, amount: Decimal, currency: str) -> Decimal:
        """Return the discount on an amount: rounded, and never more than the amount. 25% of $0.99 is $0.25.

        "$50.00 off, once" that keeps the rest takes $30.00 off an invoice of $30.00, and $20.00 off the next one.
        """
        discount = self._rest_after(self.used.values()) if self.keeps_rest else self.amount_off or ZERO
        if self.percent_off is not None:
            discount = times(amount, Fraction(self.percent_off) / 100)
        return round_amount(min(discount, amount), currency)

    def next_number(self) -> int:
        """Return the number of the next use: the lowest one, from 1, that no invoice has."""
        return next(number for number in range(1, len(self.used) + 2) if number not in self.used)


@dataclass(frozen=True, slots=True)
class CouponUse:
    """The discount of a coupon on an invoice. `number` counts the coupon's uses."""

    coupon: AppliedCoupon
    number: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class CustomerTax:
    """A tax that a customer pays. A `currency` of "" is any; `rate_id` is the rate's public id."""

    code: str
    name: str
    percentage: Decimal
    is_inclusive: bool = False
    currency: str = ""
    rate_id: str = ""


@dataclass(slots=True)
class Conditions:
    """A customer's coupons, taxes and prepaid credit. The customer's subscriptions in a batch share one object.

    A subscription's taxes apply first, or else the customer's, or else the company's. `credit` is by currency, in the
    order of use. Invoices that are calculated one after another use up coupons and credit here.
    """

    treatment: TaxTreatment = TaxTreatment.TAXABLE
    note: str = ""
    taxes: tuple[CustomerTax, ...] = ()
    subscription_taxes: dict[int, tuple[CustomerTax, ...]] = field(default_factory=dict)
    coupons: list[AppliedCoupon] = field(default_factory=list)
    credit: dict[str, list[AvailableCredit]] = field(default_factory=dict)

    def taxes_of(self, subscription_id: int | None, currency: str) -> list[CustomerTax]:
        if self.treatment == TaxTreatment.EXEMPT:
            return []
        taxes = self.subscription_taxes.get(subscription_id or 0) or self.taxes
        return [tax for tax in taxes if tax.currency in ("", currency)]

    def live_coupons(self, at: datetime, currency: str, subscription_id: int | None) -> list[AppliedCoupon]:
        """List the coupons that reduce an invoice, each code once, however often it is applied.

        The subscription's own application comes before the customer's. A coupon's limit counts the subscription's
        invoices with any of its live applications: "$50.00 off, once" for a customer and its only subscription takes
        $50.00 off one invoice, and nothing off the next.
        """
        applications: dict[str, list[AppliedCoupon]] = {}
        for coupon in self.coupons:
            if coupon.is_live(at, currency, subscription_id):
                applications.setdefault(coupon.code, []).append(coupon)
        chosen = (_choose(live, subscription_id) for live in applications.values())
        return [coupon for coupon in chosen if coupon is not None]

    @property
    def why_untaxed(self) -> str:
        """The invoice's note on why the customer isn't charged tax."""
        return "" if self.treatment == TaxTreatment.TAXABLE else self.note or NOTES[self.treatment]


def _choose(applications: Sequence[AppliedCoupon], subscription_id: int | None) -> AppliedCoupon | None:
    """Choose which application of one coupon reduces an invoice of the subscription; `None` if it is used up."""
    earlier = [
        use
        for application in applications
        for use in application.used.values()
        if use.subscription_id == subscription_id
    ]
    usable = [
        application
        for application in applications
        if not application.is_used_up(application.used.values()) and not application.is_used_up(earlier)
    ]
    return min(usable, key=lambda application: (application.subscription_id is None, application.id), default=None)
