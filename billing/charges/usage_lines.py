"""The lines that a usage charge makes of what the meter answers, with how each was worked out. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from billing import lines, wording
from billing.charges.allowances import Grant
from billing.charges.commitments import true_up
from billing.charges.rest_of_period import differences
from billing.charges.subscription import BilledSubscription
from billing.charges.usage_charges import UsageCharge
from billing.lines import Charge
from billing.money import ZERO, exact, round_amount
from billing.rating.percentage import free_first, rate_events
from billing.rating.rate import Rated, RatedPart, rate
from billing.rating.terms import Model
from config.numbers import number
from customers.periods import Period


class MeterReading(Protocol):
    """What `events.usage` answers: the value, how many events it came from, and their checksum."""

    @property
    def value(self) -> Decimal: ...
    @property
    def events(self) -> int: ...
    @property
    def checksum(self) -> int: ...


@dataclass(slots=True)
class _Used:
    """A grant's usage, as its feature adds up, and how much of it was free.

    `taken` is how much was, where single events took from it.
    """

    grant: Grant
    quantity: Decimal
    used_before: Decimal
    events: int
    checksum: int
    taken: Decimal | None = None

    @property
    def counted(self) -> Decimal:
        return max(self.quantity, ZERO)

    @property
    def left(self) -> Decimal | None:
        """What of the allowance is still there. `None` is unlimited."""
        if not self.grant.limit:
            return self.grant.limit
        with exact():
            return max(self.grant.limit - max(self.used_before, ZERO), ZERO)

    @property
    def free(self) -> Decimal:
        if self.taken is not None:
            return self.taken
        left = self.left
        return self.counted if left is None else min(self.counted, left)


def usage_lines(
    subscription: BilledSubscription,
    charge: UsageCharge,
    metered: Sequence[MeterReading],
    values: Sequence[Sequence[Decimal]] = (),
) -> list[Charge]:
    """Rate a charge by the answers to its `asks`, and by its events' values, grant by grant, where these are priced.

    The usage line, left out when nothing was used and nothing is due, then the minimum commitment's true-up.
    """
    if charge.less is None:
        return _whole_lines(subscription, charge, metered, values)
    own, less = replace(charge, less=None), charge.less
    asked, valued = len(own.asks()), len(own.grants)
    whole = _whole_lines(subscription, own, metered[:asked], values[:valued])
    return differences(
        whole, _whole_lines(subscription, less, metered[asked:], values[valued:]), less.span, subscription
    )


def _whole_lines(
    subscription: BilledSubscription,
    charge: UsageCharge,
    metered: Sequence[MeterReading],
    values: Sequence[Sequence[Decimal]],
) -> list[Charge]:
    used = _sort_out(charge, metered)
    rated = _rate_single(charge, used, values) if charge.needs_events else None
    with exact():
        free = sum((each.free for each in used), ZERO)
        billable = sum((each.counted for each in used), ZERO) - free
    if charge.is_trial:
        return [_trial_line(subscription, charge, used, free)] if sum(each.events for each in used) else []
    if rated is None:
        rated = rate(billable, charge.price.terms)
    else:
        free += rated.free_units_used
    line = _usage_line(subscription, charge, used, rated, free)
    shown = [line] if line.events_count or line.quantity or line.amount else []
    return shown + true_up(subscription, charge.price, charge.plan, charge.active, line.amount)


def _rate_single(charge: UsageCharge, used: Sequence[_Used], values: Sequence[Sequence[Decimal]]) -> Rated:
    """Price single events, after each grant's free units came off its own."""
    billed: list[Decimal] = []
    for each, own in zip(used, values, strict=True):
        each.taken, rest = free_first(own, each.left)
        billed += rest
    return rate_events(billed, charge.price.terms)


def _sort_out(charge: UsageCharge, metered: Sequence[MeterReading]) -> list[_Used]:
    answers = iter(metered)
    found: list[_Used] = []
    for grant in charge.grants:
        parts = [next(answers) for _ in grant.windows]
        before = ZERO if grant.used_in is None else next(answers).value
        checksum = 0
        for part in parts:
            checksum ^= part.checksum
        quantity = _combined(charge.price.feature.aggregation, parts)
        found.append(_Used(grant, quantity, before, sum(part.events for part in parts), checksum))
    return found


def _combined(aggregation: str, parts: Sequence[MeterReading]) -> Decimal:
    """Add up the windows that a pause separates, in the feature's own way.

    Distinct values can't be told apart across windows: the largest count is taken, which never charges one twice.
    """
    counted = [part for part in parts if part.events]
    if len(counted) < 2:
        return counted[0].value if counted else parts[-1].value
    values = [part.value for part in counted]
    with exact():
        if aggregation in ("max", "unique_count"):
            return max(values)
        if aggregation == "min":
            return min(values)
        if aggregation == "latest":
            return values[-1]
        if aggregation == "average":
            weighted = sum((part.value * part.events for part in counted), ZERO)
            return weighted / sum(part.events for part in counted)
        return sum(values, ZERO)


def _usage_line(
    subscription: BilledSubscription, charge: UsageCharge, used: list[_Used], rated: Rated, free: Decimal
) -> Charge:
    with exact():
        quantity = sum((each.quantity for each in used), ZERO)
    checksum = 0
    for each in used:
        checksum ^= each.checksum
    return Charge(
        kind=lines.USAGE,
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
        events_count=sum(each.events for each in used),
        events_checksum=checksum,
        computation=_computation(charge, used, rated),
        label=charge.price.label,
    )


def _trial_line(subscription: BilledSubscription, charge: UsageCharge, used: list[_Used], free: Decimal) -> Charge:
    nothing = Rated(ZERO, free, free, ZERO, ())
    return _usage_line(subscription, charge, used, nothing, free)


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
    """Say how the amount comes about where one sentence can; tiers are shown below the line."""
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


def _computation(charge: UsageCharge, used: list[_Used], rated: Rated) -> dict[str, Any]:
    terms, feature = charge.price.terms, charge.price.feature
    how: dict[str, Any] = {
        "label": charge.price.label,
        "model": terms.model.value,
        "reset": "cumulative" if feature.is_cumulative else "periodic",
        "plan": f"{charge.plan.name} v{charge.plan.number}",
        "windows": [_window(each) for each in used],
        "tiers": [_step(part) for part in rated.parts],
    }
    if charge.is_trial:
        how["trial"] = True
    allowance = charge.plan.allowances.get(feature.id)
    if allowance is not None and not charge.is_trial:
        limit = "unlimited" if allowance.limit is None else wording.plain(allowance.limit)
        how["free"] = {"units": limit, "reset": allowance.reset}
    if terms.conversion is not None:
        how["conversion"] = {
            "multiply_by": wording.plain(terms.conversion.multiply_by),
            "divide_by": wording.plain(terms.conversion.divide_by),
            "rounding": terms.conversion.rounding,
        }
    if terms.model is Model.PACKAGE:
        how["package"] = {"size": wording.plain(terms.package_size), "rounding": terms.package_rounding}
    return how


def _window(used: _Used) -> dict[str, Any]:
    grant = used.grant
    found: dict[str, Any] = {
        "spans": [_span(each) for each in grant.windows],
        "quantity": wording.plain(used.quantity),
        "free": wording.plain(used.free),
        "limit": None if grant.limit is None else wording.plain(grant.limit),
    }
    if grant.used_in is not None:
        found["before"] = {**_span(grant.used_in), "quantity": wording.plain(used.used_before)}
    return found


def _span(period: Period) -> dict[str, str]:
    return {"from": period.start.isoformat(), "to": period.end.isoformat()}


def _step(part: RatedPart) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": part.kind,
        "quantity": wording.plain(part.quantity),
        "unit_amount": wording.plain(part.unit_amount),
        "flat_amount": wording.plain(part.flat_amount),
        "amount": wording.plain(part.amount),
    }
    if part.tier is not None:
        found["tier"] = part.tier
        found["from"] = wording.plain(part.from_quantity or ZERO)
        found["to"] = None if part.up_to is None else wording.plain(part.up_to)
    if part.rate_percent is not None:
        found["rate_percent"] = wording.plain(part.rate_percent)
    if part.cap_amount is not None:
        found["cap"] = wording.plain(part.cap_amount)
    return found
