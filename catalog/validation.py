"""What is wrong with a plan version, beyond what the database's constraints refuse row by row."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

from babel.core import get_global
from django.core.exceptions import ValidationError

from catalog.models import Aggregation, Entitlement, PlanVersion, Price, PriceTier
from catalog.models.features import FeatureKind, FeatureState
from catalog.models.prices import PriceKind, PriceModel

PERCENTAGES = (PriceModel.PERCENTAGE, PriceModel.GRADUATED_PERCENTAGE)


def faults_of(version: PlanVersion) -> list[ValidationError]:
    """List everything that keeps the version from being published, each naming its price or free tier and the field.

    Empty when it can be. The errors' `params` hold `object` and `field` for a door that shows them beside a form.
    """
    prices = list(version.prices.select_related("feature").prefetch_related("tiers"))
    entitlements = list(version.entitlements.select_related("feature"))
    faults = [fault for price in prices for fault in _price_faults(price)]
    faults += [fault for entitlement in entitlements for fault in _entitlement_faults(entitlement)]
    faults += _repeated(prices)
    if not prices and not entitlements:
        faults.append(_fault(str(version), "prices", "there are neither prices nor free tiers: nothing to sell"))
    return faults


def price_title(price: Price) -> str:
    """Name a price so that staff find it: "API calls (USD, monthly)"."""
    rhythm = price.get_interval_display().lower()
    every = rhythm if price.interval_count == 1 else f"{rhythm} × {price.interval_count}"
    return f"{price.label} ({price.currency}, {every})"


def _price_faults(price: Price) -> Iterator[ValidationError]:
    title, feature = price_title(price), price.feature
    if not is_current(price.currency):
        yield _fault(title, "currency", f"{price.currency} is not a currency that is in use")
    if feature is not None and feature.kind != FeatureKind.METERED:
        yield _fault(title, "feature", f"{feature} is not metered, so it has no usage to price")
    elif feature is not None and feature.state == FeatureState.ARCHIVED:
        yield _fault(title, "feature", f"{feature} is archived: activate it, or remove the price")
    if feature is not None and price.model in PERCENTAGES and not Aggregation(feature.aggregation).is_numeric:
        yield _fault(title, "pricing model", f"a percentage needs values to take it of, and {feature} only counts")
    yield from _tier_faults(title, price, list(price.tiers.all()))


def _tier_faults(title: str, price: Price, tiers: list[PriceTier]) -> Iterator[ValidationError]:
    if not price.is_tiered:
        if tiers:
            yield _fault(title, "tiers", f"{price.get_model_display()} takes no tiers")
        return
    if not tiers:
        yield _fault(title, "tiers", f"{price.get_model_display().partition(':')[0]} needs tiers")
        return
    open_tiers = [tier for tier in tiers if tier.up_to is None]
    if not open_tiers:
        highest = max(tier.up_to for tier in tiers if tier.up_to is not None)
        yield _fault(
            title, "tiers", f"the last tier must be open (leave “up to” empty); usage above {highest:f} has no price"
        )
    bounds = [tier.up_to for tier in tiers if tier.up_to is not None]
    if len(set(bounds)) != len(bounds) or len(open_tiers) > 1:
        yield _fault(title, "tiers", "the bounds must rise; two tiers end at the same quantity")
    yield from (fault for tier in tiers for fault in _amount_faults(title, price, tier))


def _amount_faults(title: str, price: Price, tier: PriceTier) -> Iterator[ValidationError]:
    if price.model == PriceModel.GRADUATED_PERCENTAGE:
        if tier.unit_amount:
            yield _fault(title, "tiers", f"the tier {tier} has a unit amount; a graduated percentage takes a rate")
    elif tier.rate_percent:
        yield _fault(title, "tiers", f"the tier {tier} has a rate; only a graduated percentage takes one")


def _entitlement_faults(entitlement: Entitlement) -> Iterator[ValidationError]:
    title, feature = f"Free tier of {entitlement.feature}", entitlement.feature
    if feature.state == FeatureState.ARCHIVED:
        yield _fault(title, "feature", f"{feature} is archived: activate it, or remove the free tier")
    if feature.kind == FeatureKind.STATIC and not entitlement.static_value:
        yield _fault(title, "static value", f"{feature} is a fixed value: say which")
    if feature.kind != FeatureKind.METERED and entitlement.free_units is not None:
        yield _fault(title, "free units", f"{feature} is not metered, so there is nothing to count")


def _repeated(prices: list[Price]) -> list[ValidationError]:
    """Find features with two prices on the same terms: every unit would be charged twice."""
    terms = Counter(
        (price.feature_id, price.currency, price.interval, price.interval_count)
        for price in prices
        if price.kind == PriceKind.USAGE
    )
    repeated: dict[tuple[object, ...], Price] = {}
    for price in prices:
        key = (price.feature_id, price.currency, price.interval, price.interval_count)
        if price.kind == PriceKind.USAGE and terms[key] > 1:
            repeated.setdefault(key, price)
    return [_fault(price_title(price), "feature", "it has two prices on these terms") for price in repeated.values()]


def _fault(title: str, field: str, what: str) -> ValidationError:
    return ValidationError(
        "%(object)s: %(field)s: %(what)s.",
        code="cannot_publish",
        params={"object": title, "field": field, "what": what},
    )


def is_current(currency: str) -> bool:
    """Tell whether the upper-case ISO 4217 code is legal tender somewhere today."""
    return currency in _tender()


@cache
def _tender() -> frozenset[str]:
    entries = (entry for entries in get_global("territory_currencies").values() for entry in entries)
    return frozenset(code for code, _, ended, tender in entries if tender and ended is None)
