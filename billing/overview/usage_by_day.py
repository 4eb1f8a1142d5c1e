"""How the usage of a billing period grew day by day: the quantity that a line of the upcoming invoice rates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import BilledSubscription, period_in_force
from billing.charges.usage_charges import UsageCharge, list_usage_charges
from billing.charges.usage_lines import GrantUsage, usage_by_grant
from billing.invoicing.compute import EXPECTED_ERRORS
from billing.invoicing.subscriptions import load_terms
from billing.kinds import InvoiceKind
from billing.money import ZERO, exact
from billing.rating.terms import Model
from catalog.kinds import Aggregation
from customers.periods import Period, windows
from events.usage.meter import Quantity, UsageRequest, usage_many
from events.usage.windows import features_used

MOST_WINDOWS = 62
UNITS = (("day", timedelta(days=1)), ("week", timedelta(days=7)), ("month", timedelta(days=28)))
ADDITIVE = (Aggregation.COUNT, Aggregation.SUM, Aggregation.SUM_WITH_MULTIPLIER)
SHORTEST_PACE = timedelta(days=3)
TIERED = (Model.GRADUATED, Model.VOLUME)


@dataclass(frozen=True, slots=True)
class UsageByDay:
    """The usage of one price in a billing period. `unit` says whether the windows are days, weeks or months.

    `totals` are the running totals at the end of each window that has begun, the last one up to `now`; None where
    another price was in force. Without `is_counted`, only the events know them, and there are none. `free_units` is
    None if the free units are unlimited or granted several times a period.
    """

    charge: UsageCharge
    timezone: str
    unit: str
    windows: Sequence[Period]
    totals: Sequence[Decimal | None]
    free_units: Decimal | None
    now: datetime
    is_counted: bool = True

    @property
    def edges(self) -> list[tuple[int, Decimal]]:
        """Return each tier's number and the usage up to which it reaches, with the free units that come before."""
        terms = self.charge.price.terms
        if self.free_units is None or self.charge.is_trial or terms.model not in TIERED or terms.conversion is not None:
            return []
        with exact():
            return [
                (number, self.free_units + tier.up_to)
                for number, tier in enumerate(terms.tiers, start=1)
                if tier.up_to is not None
            ]

    @property
    def projection(self) -> list[Decimal | None]:
        """Return the total at each window's end if usage goes on at its average pace, from the current window on.

        Empty unless the total grows with each event, was counted without a break, and for at least three days.
        300 units in 10 of 30 days are 900 at the end.
        """
        feature, span = self.charge.price.feature, self.charge.span
        total = self.totals[-1] if self.totals else None
        is_steady = feature.aggregation in ADDITIVE and not feature.is_cumulative and len(self.charge.windows) == 1
        if not total or total < 0 or not is_steady or self.now - span.start < SHORTEST_PACE:
            return []
        begun = len(self.totals)
        pace = total / Decimal((self.now - span.start).total_seconds())
        later = [_rounded(pace * _seconds(span.start, window.end), total) for window in self.windows[begun:]]
        return [*[None] * (begun - 1), total, *later] if later else []


def list_charges(subscription_id: int, *, now: datetime) -> tuple[BilledSubscription | None, list[UsageCharge]]:
    """List the usage prices of a subscription's current period, those with usage first, otherwise as on the invoice."""
    subscription = load_terms([subscription_id]).get(subscription_id)
    if subscription is None:
        return None, []
    invoice = _invoice_at(subscription, now)
    try:
        charges = [charge for charge in list_usage_charges(subscription, invoice) if charge.span.start < now]
    except EXPECTED_ERRORS:
        return subscription, []
    used = set(features_used(subscription.customer_id, invoice.period)) if charges else set()
    return subscription, sorted(charges, key=lambda charge: charge.price.feature.id not in used)


def usage_by_day(
    subscription: BilledSubscription, charges: Sequence[UsageCharge], *, now: datetime
) -> list[UsageByDay]:
    """Return the running totals of some of the charges of `list_charges`. Reads hourly and daily totals, not events.

    Days, weeks and months are those of the subscription's time zone.
    """
    invoice = _invoice_at(subscription, now)
    unit, parts = _windows(invoice.period, subscription.timezone)
    ends = [min(part.end, now) for part in parts if part.start < now]
    by_end = [list_usage_charges(subscription, invoice, until=end) for end in ends]
    matches = [[_find_same(charge, at_end) for at_end in by_end] for charge in charges]
    readings = iter(_read(subscription, [match for row in matches for match in row if _is_counted(match)]))
    return [
        _growth(charge, [_usage(match, readings) for match in row], subscription.timezone, unit, parts, now)
        for charge, row in zip(charges, matches, strict=True)
    ]


def usage_of_charge(subscription: BilledSubscription, charge: UsageCharge) -> list[GrantUsage]:
    """Return the usage that a charge rates, by allowance."""
    return usage_by_grant(charge, _read(subscription, [charge]))


def _invoice_at(subscription: BilledSubscription, now: datetime) -> NextInvoice:
    period = period_in_force(subscription, max(now, subscription.started_at))
    return NextInvoice(InvoiceKind.CYCLE, period, period.end)


def _windows(period: Period, timezone: str) -> tuple[str, list[Period]]:
    length = period.end - period.start
    unit = next((unit for unit, size in UNITS if length / size <= MOST_WINDOWS), UNITS[-1][0])
    return unit, windows(period, unit, timezone)


def _find_same(charge: UsageCharge, charges: Sequence[UsageCharge]) -> UsageCharge | None:
    """Find the charge as of an earlier moment. It is absent if its price wasn't in force yet."""
    key = (charge.price.price_id, charge.is_trial)
    return next((other for other in charges if (other.price.price_id, other.is_trial) == key), None)


def _is_counted(charge: UsageCharge | None) -> bool:
    """Return whether hourly totals know the usage. Distinct values would have to be counted again for every day."""
    return charge is not None and charge.price.feature.aggregation != Aggregation.UNIQUE_COUNT


def _read(subscription: BilledSubscription, charges: Sequence[UsageCharge | None]) -> list[Quantity]:
    queries = [query for charge in charges if charge for query in charge.meter_queries()]
    return usage_many(
        [
            UsageRequest(subscription.customer_id, query.feature_id, query.window.start, query.window.end)
            for query in queries
        ]
    )


def _usage(charge: UsageCharge | None, readings: Iterator[Quantity]) -> list[GrantUsage]:
    if charge is None or not _is_counted(charge):
        return []
    return usage_by_grant(charge, [next(readings) for _ in charge.meter_queries()])


def _growth(
    charge: UsageCharge,
    usage: Sequence[list[GrantUsage]],
    timezone: str,
    unit: str,
    parts: Sequence[Period],
    now: datetime,
) -> UsageByDay:
    totals = [sum((grant.quantity for grant in grants), ZERO) if grants else None for grants in usage]
    is_single = len(charge.grants) == 1 and bool(usage and usage[-1])
    free_units = usage[-1][0].remaining_allowance if is_single else None
    return UsageByDay(charge, timezone, unit, parts, totals, free_units, now, is_counted=_is_counted(charge))


def _seconds(start: datetime, end: datetime) -> Decimal:
    return Decimal((end - start).total_seconds())


def _rounded(projected: Decimal, total: Decimal) -> Decimal:
    """Round to whole units, or to two decimals where the total has decimals."""
    return round(projected, 0 if total == total.to_integral_value() else 2)
