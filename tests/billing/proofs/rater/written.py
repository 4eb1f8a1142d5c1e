"""Subscriptions as billing sees them, written as the rater reads them."""

from typing import Any

from billing.charges.subscription import BilledSubscription, PlanTerms, UsagePrice
from billing.money import currency_places
from billing.rating.terms import Conversion, Model


def write_subscription(subscription: BilledSubscription) -> dict[str, Any]:
    """Write a subscription as the rater reads it."""
    schedule = subscription.schedule
    phases = [
        {
            "kind": str(phase.kind),
            "version": phase.version_id,
            "start": phase.start.isoformat(),
            "end": None if phase.end is None else phase.end.isoformat(),
        }
        for phase in subscription.phases
    ]
    features = {price.feature.id: price.feature for plan in subscription.plans.values() for price in plan.usage}
    return {
        "cycle": {
            "unit": schedule.interval.unit,
            "count": schedule.interval.count,
            "anchor": schedule.anchor.isoformat(),
            "timezone": schedule.timezone,
            "alignment": schedule.alignment,
        },
        "started_at": subscription.started_at.isoformat(),
        "prorate": subscription.prorate,
        "places": currency_places(subscription.currency),
        "phases": phases,
        "versions": {str(pk): write_plan(plan) for pk, plan in subscription.plans.items()},
        "features": [
            {
                "feature": feature.id,
                "aggregation": str(feature.aggregation),
                "cumulative": feature.is_cumulative,
                "rounding": "none",
                "places": 0,
            }
            for feature in features.values()
        ],
    }


def write_plan(plan: PlanTerms) -> dict[str, Any]:
    return {
        "fees": [
            {
                "price": fee.price_id,
                "amount": str(fee.unit_amount),
                "quantity": str(fee.quantity),
                "advance": fee.in_advance,
                "periods": fee.periods,
            }
            for fee in plan.fees
        ],
        "usage": [write_price(price) for price in plan.usage],
        "free": {
            str(pk): {
                "units": None if allowance.limit is None else str(allowance.limit),
                "reset": str(allowance.reset),
                "prorated": allowance.is_prorated,
            }
            for pk, allowance in plan.allowances.items()
        },
    }


def write_price(price: UsagePrice) -> dict[str, Any]:
    terms, conversion = price.terms, price.terms.conversion or Conversion()
    amount = terms.flat_amount if terms.model is Model.FLAT else terms.unit_amount
    numbers = {
        "unit_amount": amount,
        "package_size": terms.package_size,
        "maximum": terms.cap_amount,
        "minimum": price.minimum,
        "multiply_by": conversion.multiply_by,
        "divide_by": conversion.divide_by,
        "rate_percent": terms.rate_percent,
        "fixed_amount_per_event": terms.fixed_amount_per_event,
        "free_amount": terms.free_amount,
        "per_event_minimum": terms.per_event_min,
        "per_event_maximum": terms.per_event_max,
    }
    return {
        "price": price.price_id,
        "feature": price.feature.id,
        "model": str(terms.model),
        "package_rounding": str(terms.package_rounding),
        "tiers": [
            {
                "up_to": None if tier.up_to is None else str(tier.up_to),
                "unit_amount": str(tier.unit_amount),
                "flat_amount": str(tier.flat_amount),
                "rate_percent": str(tier.rate_percent),
            }
            for tier in terms.tiers
        ],
        "rounding": conversion.rounding,
        "charge_at_zero": terms.charge_at_zero,
        "free_events": terms.free_events,
        **{name: None if number is None else str(number) for name, number in numbers.items()},
    }
