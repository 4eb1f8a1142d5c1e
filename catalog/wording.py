"""Describe features, prices and free tiers in plain English, for admin pages."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from catalog.kinds import PackageRounding
from catalog.models import Aggregation, Entitlement, Feature, IntervalUnit, Price, PriceTier
from catalog.models.features import FeatureKind
from catalog.models.prices import Every, PriceKind, PriceModel
from config.numbers import money, number

_VERBS = {
    Aggregation.COUNT: "Counts every {event} event{filters}",
    Aggregation.SUM: "Sums {field} of every {event} event{filters}",
    Aggregation.SUM_WITH_MULTIPLIER: "Sums {field} × {multiplier} of every {event} event{filters}",
    Aggregation.MAX: "Takes the largest {field} of the {event} events{filters}",
    Aggregation.MIN: "Takes the smallest {field} of the {event} events{filters}",
    Aggregation.LATEST: "Takes the latest {field} of the {event} events{filters}",
    Aggregation.AVERAGE: "Averages {field} over the {event} events{filters}",
    Aggregation.UNIQUE_COUNT: "Counts the distinct values of {field} in the {event} events{filters}",
    Aggregation.WEIGHTED_SUM: (
        "Sums {field} of every {event} event{filters}, weighted by the remaining share of the period"
    ),
}


_PER = {
    IntervalUnit.DAY: "day",
    IntervalUnit.WEEK: "week",
    IntervalUnit.MONTH: "month",
    IntervalUnit.QUARTER: "quarter",
    IntervalUnit.HALF_YEAR: "half-year",
    IntervalUnit.YEAR: "year",
}


def describe_meter(feature: Feature) -> str:
    """Describe in one sentence which events count, how, and when usage resets."""
    if feature.kind == FeatureKind.BOOLEAN:
        return "Switched on or off by the plan. Events don't affect it."
    if feature.kind == FeatureKind.STATIC:
        return "A value set by the plan. Events don't affect it."
    sentence = _VERBS[Aggregation(feature.aggregation)].format(
        field=f"“{feature.field}”",
        event=f"“{feature.event_name}”",
        multiplier=number(feature.multiplier) if feature.multiplier is not None else "",
        filters=_filters(feature),
    )
    if feature.is_cumulative:
        return f"{sentence}; the running total of the customer's whole history is billed every period."
    return f"{sentence}; starts at 0 each billing period."


def describe_price(price: Price) -> str:
    """Describe what the price charges: "$0.002 per token", "Graduated: up to 1,000 at $0.01, then $0.005"."""
    if price.kind == PriceKind.FIXED:
        return f"{_fee(price)} {_fee_period(price)}, {price.get_cadence_display().lower()}"
    text = _describe_usage_price(price)
    if price.minimum_amount is not None:
        text += f"; at least {money(price.minimum_amount, price.currency)}"
    if price.minimum_quantity is not None and price.feature is not None:
        units = price.feature.unit_for(price.minimum_quantity)
        text += f"; at least {number(price.minimum_quantity)} {units}"
    if price.maximum_amount is not None:
        text += f"; at most {money(price.maximum_amount, price.currency)}"
    return f"{text}; {_interval(price)}"


def describe_free_tier(entitlement: Entitlement) -> str:
    """Describe what is granted: "1,000 tokens free each billing period"."""
    feature = entitlement.feature
    if feature.kind == FeatureKind.BOOLEAN:
        return "On" if entitlement.is_enabled else "Off"
    if feature.kind == FeatureKind.STATIC:
        return entitlement.static_value
    if entitlement.free_units is None:
        return "Unlimited"
    reset = entitlement.get_reset_display().partition(":")[0]
    interval = "once" if reset == "Never" else reset.lower()
    return f"{number(entitlement.free_units)} {feature.unit_for(entitlement.free_units)} free {interval}"


def _filters(feature: Feature) -> str:
    counted = f" whose {_conditions(feature.filters)}" if feature.filters else ""
    return f"{counted}, except those whose {_conditions(feature.excluded)}" if feature.excluded else counted


def _conditions(filters: Mapping[str, Sequence[object]]) -> str:
    return " and whose ".join(f"{key} is {' or '.join(map(str, values))}" for key, values in filters.items())


def _interval(price: Price) -> str:
    return _per(Every(IntervalUnit(price.interval), price.interval_count))


def _per(every: Every) -> str:
    return f"per {_PER[every.unit]}" if every.number == 1 else f"every {every.number} {_PER[every.unit]}s"


def _fee_period(price: Price) -> str:
    """Describe how often a fee is charged: "per month", "per year with monthly billing"."""
    if price.periods == 1:
        return _interval(price)
    if price.interval_count == 1:
        return f"{_per(price.every)} with {price.get_interval_display().lower()} billing"
    return f"{_per(price.every)} with billing {_interval(price)}"


def _fee(price: Price) -> str:
    amount = money(price.unit_amount or Decimal(0), price.currency)
    return amount if price.quantity == 1 else f"{number(price.quantity)} × {amount}"


def _describe_usage_price(price: Price) -> str:
    unit = price.feature.unit_for(1) if price.feature else "unit"
    units = price.feature.unit_for(2) if price.feature else "units"
    amount = money(price.unit_amount or Decimal(0), price.currency)
    match price.model:
        case PriceModel.PER_UNIT:
            return f"{amount} per {unit}"
        case PriceModel.FLAT:
            return f"{amount} flat"
        case PriceModel.PACKAGE:
            full = "" if price.package_rounding == PackageRounding.UP else " full"
            return f"{amount} per{full} {number(price.package_size or Decimal(1))} {units}"
        case PriceModel.PERCENTAGE:
            return f"{number(price.rate_percent or Decimal(0))}% of the value"
    title = price.get_model_display().partition(":")[0]
    return f"{title}: " + (", ".join(describe_tier(price, tier) for tier in price.tiers.all()) or "no tiers yet")


def describe_tier(price: Price, tier: PriceTier) -> str:
    """Describe what a tier charges: "up to 1,000 at $0.01", "then $0.005 + $10"."""
    if price.model == PriceModel.GRADUATED_PERCENTAGE:
        rate = f"{number(tier.rate_percent)}%"
    else:
        rate = money(tier.unit_amount, price.currency)
    if tier.flat_amount:
        rate += f" + {money(tier.flat_amount, price.currency)}"
    return f"then {rate}" if tier.up_to is None else f"up to {number(tier.up_to)} at {rate}"
