"""Put one price list by the values of a property into a draft."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from catalog.by_value.variants import (
    NotByValue,
    get_other_variant,
    get_variant,
    list_priced_values,
    update_other_values,
)
from catalog.models import Entitlement, Feature, PlanVersion, Price
from catalog.models.prices import IntervalUnit, PriceKind, PriceModel
from config.audit import recorded


@dataclass(frozen=True, slots=True)
class ValuePrice:
    """The price of one unit for events with one of the values; without values, for all that have no price."""

    values: Sequence[str]
    unit_amount: Decimal


@transaction.atomic
def set_value_prices(
    draft: PlanVersion,
    feature: Feature,
    name: str,
    prices: Sequence[ValuePrice],
    *,
    currency: str,
    interval: IntervalUnit = IntervalUnit.MONTH,
    free_units: Decimal | None = None,
    by: User | None,
) -> list[Price]:
    """Set the prices of a feature by the values of a property in a draft. Values that aren't named keep their price.

    `free_units` are those of each of these prices; `None` leaves free tiers as they are. Safe to repeat. Raises
    NotByValue and ValidationError.
    """
    named = Counter(value for price in prices for value in price.values)
    if repeated := [value for value, times in named.items() if times > 1]:
        raise NotByValue(f"“{repeated[0]}” has two prices. Enter each value once.")
    saved = []
    for price in sorted(prices, key=lambda price: not price.values):
        if price.values:
            variant = get_variant(feature, name, price.values, by=by)
        else:
            update_other_values(draft, by=by)
            terms = {"currency": currency, "interval": interval, "interval_count": 1}
            variant = get_other_variant(feature, name, list_priced_values(draft, feature, **terms), by=by)
        saved.append(_save_price(draft, variant, price.unit_amount, currency, interval, by))
        if free_units is not None:
            _save_free_tier(draft, variant, free_units, by)
    update_other_values(draft, by=by)
    return saved


def _save_price(
    draft: PlanVersion, variant: Feature, unit_amount: Decimal, currency: str, interval: str, by: User | None
) -> Price:
    terms = {"currency": currency, "interval": interval, "interval_count": 1}
    price = draft.prices.filter(feature=variant, **terms).first()
    if price is None:
        price = Price(version=draft, kind=PriceKind.USAGE, feature=variant, position=draft.prices.count(), **terms)
    price.model, price.unit_amount = PriceModel.PER_UNIT, unit_amount
    price.full_clean(exclude=["version", "feature"])
    with recorded(by=by, reason=f"Prices by {variant.variant_property}"):
        price.save()
    return price


def _save_free_tier(draft: PlanVersion, variant: Feature, free_units: Decimal, by: User | None) -> None:
    tier = draft.entitlements.filter(feature=variant).first() or Entitlement(version=draft, feature=variant)
    tier.free_units = free_units
    tier.full_clean(exclude=["version", "feature"])
    with recorded(by=by, reason=f"Prices by {variant.variant_property}"):
        tier.save()
