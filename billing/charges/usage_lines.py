"""Rate a usage charge by what the meter counted: its lines, with how each was calculated. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from billing import wording
from billing.charges.allowances import Grant
from billing.charges.commitments import calculate_true_up
from billing.charges.rest_of_period import subtract_charges
from billing.charges.subscription import BilledSubscription
from billing.charges.usage_charges import UsageCharge
from billing.kinds import LineKind
from billing.lines import Charge
from billing.money import ZERO, exact, round_amount
from billing.rating.percentage import free_first, rate_events
from billing.rating.rate import Rated, RatedPart, rate
from billing.rating.terms import Model
from catalog.kinds import Aggregation
from config.numbers import number
from customers.periods import Period


class MeterReading(Protocol):
    """What `events.usage` counted: the value, the number of events, and their checksum."""

    @property
    def value(self) -> Decimal: ...
    @property
    def events(self) -> int: ...
    @property
    def checksum(self) -> int: ...


@dataclass(slots=True)
class GrantUsage:
    """The usage of one grant's windows. `free_taken` is how much of it was free, if single events are priced."""

    grant: Grant
    quantity: Decimal
    used_before: Decimal
    events: int
    checksum: int
    free_taken: Decimal | None = None

    @property
    def counted(self) -> Decimal:
        """The usage without a negative total, which counts as zero."""
        return max(self.quantity, ZERO)

    @property
    def remaining_allowance(self) -> Decimal | None:
        """The free units that earlier usage has left of the allowance. `None` is unlimited."""
        if not self.grant.limit:
            return self.grant.limit
        with exact():
            return max(self.grant.limit - max(self.used_before, ZERO), ZERO)

    @property
    def free(self) -> Decimal:
        if self.free_taken is not None:
            return self.free_taken
        allowance = self.remaining_allowance
        return self.counted if allowance is None else min(self.counted, allowance)


def calculate_usage(
    subscription: BilledSubscription,
    charge: UsageCharge,
    readings: Sequence[MeterReading],
    values: Sequence[Sequence[Decimal]] = (),
) -> list[Charge]:
    """Return the usage line, unless nothing was used and nothing is due, and the minimum commitment's true-up.

    `readings` answer the charge's `meter_queries`. `values` are the values of each grant's events, needed only if the
    price charges single events.
    """
    if charge.charged_before is None:
        lines = _rate_charge(subscription, charge, readings, values)
        return [line for line in lines if line.events_count or line.quantity or line.amount]
    earlier, charge = charge.charged_before, replace(charge, charged_before=None)
    readings_count, grants_count = len(charge.meter_queries()), len(charge.grants)
    charges = _rate_charge(subscription, charge, readings[:readings_count], values[:grants_count])
    earlier_charges = _rate_charge(subscription, earlier, readings[readings_count:], values[grants_count:])
    return subtract_charges(charges, earlier_charges, earlier.span, subscription)


def _rate_charge(
    subscription: BilledSubscription,
    charge: UsageCharge,
    readings: Sequence[MeterReading],
    values: Sequence[Sequence[Decimal]],
) -> list[Charge]:
    """Return the usage line, even if nothing was used, and the true-up."""
    usage = usage_by_grant(charge, readings)
    rated = _rate_single_events(charge, usage, values) if charge.needs_events else None
    with exact():
        free = sum((grant.free for grant in usage), ZERO)
        billable = sum((grant.counted for grant in usage), ZERO) - free
    if charge.is_trial:
        return [_trial_line(subscription, charge, usage, free)]
    if rated is None:
        rated = rate(billable, charge.price.terms)
    else:
        with exact():
            free += rated.free_units_used
    line = _usage_line(subscription, charge, usage, rated, free)
    return [line, *calculate_true_up(subscription, charge.price, charge.plan, charge.active, line.amount)]


def _rate_single_events(charge: UsageCharge, usage: Sequence[GrantUsage], values: Sequence[Sequence[Decimal]]) -> Rated:
    """Price single events after each grant's free units are deducted from its events."""
    billed: list[Decimal] = []
    for grant, event_values in zip(usage, values, strict=True):
        grant.free_taken, billed_values = free_first(event_values, grant.remaining_allowance)
        billed += billed_values
    return rate_events(billed, charge.price.terms)


def usage_by_grant(charge: UsageCharge, readings: Sequence[MeterReading]) -> list[GrantUsage]:
    """Return the usage of each of a charge's grants. `readings` answer the charge's `meter_queries`."""
    remaining = iter(readings)
    usage: list[GrantUsage] = []
    for grant in charge.grants:
        windows = [next(remaining) for _ in grant.windows]
        used_before = ZERO if grant.used_in is None else next(remaining).value
        checksum = 0
        for window in windows:
            checksum ^= window.checksum
        quantity = _combine(charge.price.feature.aggregation, windows)
        usage.append(GrantUsage(grant, quantity, used_before, sum(window.events for window in windows), checksum))
    return usage


def _combine(aggregation: Aggregation, readings: Sequence[MeterReading]) -> Decimal:
    """Combine the windows that a pause separates, as the feature's aggregation asks.

    Windows of 10 and 4 units: a sum is 14, a maximum 10, the latest 4. A unique count is 10: the two windows may count
    the same users, and no user must be charged for twice.
    """
    counted = [reading for reading in readings if reading.events]
    if len(counted) < 2:
        return counted[0].value if counted else readings[-1].value
    values = [reading.value for reading in counted]
    with exact():
        if aggregation in (Aggregation.MAX, Aggregation.UNIQUE_COUNT):
            return max(values)
        if aggregation == Aggregation.MIN:
            return min(values)
        if aggregation == Aggregation.LATEST:
            return values[-1]
        if aggregation == Aggregation.AVERAGE:
            weighted = sum((reading.value * reading.events for reading in counted), ZERO)
            return weighted / sum(reading.events for reading in counted)
        return sum(values, ZERO)


def _usage_line(
    subscription: BilledSubscription, charge: UsageCharge, usage: list[GrantUsage], rated: Rated, free: Decimal
) -> Charge:
    with exact():
        quantity = sum((grant.quantity for grant in usage), ZERO)
    checksum = 0
    for grant in usage:
        checksum ^= grant.checksum
    return Charge(
        kind=LineKind.USAGE,
        description=_describe(subscription, charge, quantity, free, rated),
        period=charge.span,
        amount=round_amount(rated.amount, subscription.currency),
        exact_amount=rated.amount,
        price_id=charge.price.price_id,
        plan_version_id=charge.plan.version_id,
        quantity=quantity,
        free_units=free,
        billable_quantity=rated.billable_quantity,
        unit_amount=_unit_amount(charge, rated),
        feature_id=charge.price.feature.id,
        events_count=sum(grant.events for grant in usage),
        events_checksum=checksum,
        computation=_computation(charge, usage, rated),
        label=charge.price.label,
    )


def _trial_line(
    subscription: BilledSubscription, charge: UsageCharge, usage: list[GrantUsage], free: Decimal
) -> Charge:
    nothing = Rated(ZERO, free, free, ZERO, ())
    return _usage_line(subscription, charge, usage, nothing, free)


def _unit_amount(charge: UsageCharge, rated: Rated) -> Decimal | None:
    terms = charge.price.terms
    if terms.model in (Model.PER_UNIT, Model.PACKAGE):
        return terms.unit_amount
    return None


def _describe(
    subscription: BilledSubscription, charge: UsageCharge, quantity: Decimal, free: Decimal, rated: Rated
) -> str:
    feature = charge.price.feature
    when = " and ".join(wording.dates(window, subscription.timezone) for window in charge.windows)
    used = f"{number(quantity)}{wording.unit(feature.unit_singular, feature.unit_plural, quantity)}"
    if feature.is_cumulative:
        used = f"running total {used} at the end"
    else:
        used += " used"
    if charge.is_trial:
        return f"{charge.price.label}, {when} · {used}, free during the trial"
    if any(grant.limit is None for grant in charge.grants):
        return f"{charge.price.label}, {when} · {used}, unlimited"
    parts = [used, f"{number(free)} free"] if free else [used]
    priced = _priced(subscription, charge, rated)
    return f"{charge.price.label}, {when} · {', '.join([*parts, priced] if priced else parts)}"


def _priced(subscription: BilledSubscription, charge: UsageCharge, rated: Rated) -> str:
    """Describe how the amount is calculated, if one phrase can; tiers are listed below the line."""
    terms, units = charge.price.terms, rated.billable_quantity
    price = wording.at_price(terms.unit_amount, subscription.currency)
    if terms.model is Model.FLAT:
        return f"flat {wording.at_price(terms.flat_amount, subscription.currency)}" if rated.parts else ""
    if not units:
        return ""
    if terms.model is Model.PER_UNIT:
        return f"{number(units)} × {price}"
    if terms.model is Model.PACKAGE:
        packages = sum((part.quantity for part in rated.parts if part.kind == "packages"), ZERO)
        name = "package" if packages == 1 else "packages"
        return f"{number(packages)} {name} of {number(terms.package_size)} × {price}"
    if terms.model is Model.PERCENTAGE:
        return f"{number(terms.rate_percent)}% of {number(units)}"
    tiers = [part for part in rated.parts if part.tier is not None]
    if terms.model is Model.VOLUME and tiers:
        price = wording.at_price(tiers[0].unit_amount, subscription.currency)
        return f"{number(units)} × {price} (tier {tiers[0].tier})"
    return f"{number(units)} in {len(tiers)} {'tier' if len(tiers) == 1 else 'tiers'}"


def _computation(charge: UsageCharge, usage: list[GrantUsage], rated: Rated) -> dict[str, Any]:
    terms, feature = charge.price.terms, charge.price.feature
    computation: dict[str, Any] = {
        "label": charge.price.label,
        "model": terms.model.value,
        "reset": "cumulative" if feature.is_cumulative else "periodic",
        "plan": f"{charge.plan.name} v{charge.plan.number}",
        "windows": [_describe_grant(grant) for grant in usage],
        "tiers": [_describe_part(part) for part in rated.parts],
    }
    if charge.is_trial:
        computation["trial"] = True
    allowance = charge.plan.allowances.get(feature.id)
    if allowance is not None and not charge.is_trial:
        limit = "unlimited" if allowance.limit is None else wording.plain(allowance.limit)
        computation["free"] = {"units": limit, "reset": allowance.reset}
    if terms.conversion is not None:
        computation["conversion"] = {
            "multiply_by": wording.plain(terms.conversion.multiply_by),
            "divide_by": wording.plain(terms.conversion.divide_by),
            "rounding": terms.conversion.rounding,
        }
    if terms.model is Model.PACKAGE:
        computation["package"] = {"size": wording.plain(terms.package_size), "rounding": terms.package_rounding}
    return computation


def _describe_grant(usage: GrantUsage) -> dict[str, Any]:
    grant = usage.grant
    description: dict[str, Any] = {
        "spans": [_span(window) for window in grant.windows],
        "quantity": wording.plain(usage.quantity),
        "free": wording.plain(usage.free),
        "limit": None if grant.limit is None else wording.plain(grant.limit),
    }
    if grant.used_in is not None:
        description["before"] = {**_span(grant.used_in), "quantity": wording.plain(usage.used_before)}
    return description


def _span(period: Period) -> dict[str, str]:
    return {"from": period.start.isoformat(), "to": period.end.isoformat()}


def _describe_part(part: RatedPart) -> dict[str, Any]:
    description: dict[str, Any] = {
        "kind": part.kind,
        "quantity": wording.plain(part.quantity),
        "unit_amount": wording.plain(part.unit_amount),
        "flat_amount": wording.plain(part.flat_amount),
        "amount": wording.plain(part.amount),
    }
    if part.tier is not None:
        description["tier"] = part.tier
        description["from"] = wording.plain(part.from_quantity or ZERO)
        description["to"] = None if part.up_to is None else wording.plain(part.up_to)
    if part.rate_percent is not None:
        description["rate_percent"] = wording.plain(part.rate_percent)
    if part.cap_amount is not None:
        description["cap"] = wording.plain(part.cap_amount)
    return description
