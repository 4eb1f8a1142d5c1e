"""Problems that keep a plan version from being published, beyond what constraints check row by row."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from babel.core import get_global
from django.core.exceptions import ValidationError

from catalog.by_value.checks import find_wrong_lists
from catalog.models import Aggregation, Entitlement, PlanVersion, Price, PriceTier
from catalog.models.features import FeatureKind, FeatureState
from catalog.models.prices import PriceKind, PriceModel

PERCENTAGES = (PriceModel.PERCENTAGE, PriceModel.GRADUATED_PERCENTAGE)


def find_publishing_problems(version: PlanVersion) -> list[ValidationError]:
    """List everything that keeps the version from being published. The list is empty if it can be published.

    Each error names its price or free tier and the field. Its `params` hold `object` and `field`, for forms.
    """
    prices = list(version.prices.select_related("feature").prefetch_related("tiers"))
    entitlements = list(version.entitlements.select_related("feature"))
    problems = find_problems_of_rows(prices, entitlements)
    problems += find_repeated_prices(prices)
    if not prices and not entitlements:
        problems.append(_problem(str(version), "prices", "the version has no prices and no free tiers"))
    return problems


def find_problems_of_rows(prices: Iterable[Price], entitlements: Iterable[Entitlement]) -> list[ValidationError]:
    """List the problems of single prices and free tiers, read with their features and tiers."""
    problems = [problem for price in prices for problem in _price_problems(price)]
    return problems + [problem for row in entitlements for problem in _entitlement_problems(row)]


def price_title(price: Price) -> str:
    """Name a price with its terms: "API calls (USD, monthly)"."""
    interval = price.get_interval_display().lower()
    if price.interval_count != 1:
        interval = f"{interval} × {price.interval_count}"
    return f"{price.label} ({price.currency}, {interval})"


def _price_problems(price: Price) -> Iterator[ValidationError]:
    title, feature = price_title(price), price.feature
    if not is_current(price.currency):
        yield _problem(title, "currency", f"{price.currency} isn't a currency in use")
    if feature is not None and feature.kind != FeatureKind.METERED:
        yield _problem(title, "feature", f"{feature} isn't metered, so it has no usage to price")
    elif feature is not None and feature.state == FeatureState.ARCHIVED:
        yield _problem(title, "feature", f"{feature} is archived: activate it, or remove the price")
    if feature is not None and price.model in PERCENTAGES and not Aggregation(feature.aggregation).is_numeric:
        yield _problem(
            title, "pricing model", f"a percentage price needs a feature with numeric values, and {feature} only counts"
        )
    yield from _tier_problems(title, price, list(price.tiers.all()))


def _tier_problems(title: str, price: Price, tiers: list[PriceTier]) -> Iterator[ValidationError]:
    if not price.is_tiered:
        if tiers:
            yield _problem(title, "tiers", f"{price.get_model_display()} can't have tiers")
        return
    if not tiers:
        yield _problem(title, "tiers", f"{price.get_model_display().partition(':')[0]} needs tiers")
        return
    open_tiers = [tier for tier in tiers if tier.up_to is None]
    if not open_tiers:
        highest = max(tier.up_to for tier in tiers if tier.up_to is not None)
        yield _problem(
            title,
            "tiers",
            f"the last tier must be unlimited (leave “up to” blank): usage above {highest:f} has no price",
        )
    bounds = [tier.up_to for tier in tiers if tier.up_to is not None]
    if len(set(bounds)) != len(bounds) or len(open_tiers) > 1:
        yield _problem(title, "tiers", "the limits must increase, but two tiers end at the same quantity")
    yield from (problem for tier in tiers for problem in _amount_problems(title, price, tier))


def _amount_problems(title: str, price: Price, tier: PriceTier) -> Iterator[ValidationError]:
    name = "unlimited tier" if tier.up_to is None else f"tier {tier}"
    if price.model == PriceModel.GRADUATED_PERCENTAGE:
        if tier.unit_amount:
            yield _problem(title, "tiers", f"the {name} has a unit amount, but a graduated percentage needs a rate")
    elif tier.rate_percent:
        yield _problem(title, "tiers", f"the {name} has a rate, which only a graduated percentage uses")


def _entitlement_problems(entitlement: Entitlement) -> Iterator[ValidationError]:
    title, feature = f"Free tier of {entitlement.feature}", entitlement.feature
    if feature.state == FeatureState.ARCHIVED:
        yield _problem(title, "feature", f"{feature} is archived: activate it, or remove the free tier")
    if feature.kind == FeatureKind.STATIC and not entitlement.static_value:
        yield _problem(title, "static value", f"{feature} is a fixed value: enter the value")
    if feature.kind != FeatureKind.METERED and entitlement.free_units is not None:
        yield _problem(title, "free units", f"{feature} isn't metered, so it has no units")


def find_repeated_prices(prices: list[Price]) -> list[ValidationError]:
    """Find features with two prices on the same terms, which would charge usage twice. Reads the prices' features."""
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
    return [
        _problem(price_title(price), "feature", "it has two prices with the same currency and interval")
        for price in repeated.values()
    ] + [_problem(price_title(price), "feature", problem) for price, problem in find_wrong_lists(prices)]


def _problem(title: str, field: str, problem: str) -> ValidationError:
    return ValidationError(
        "%(object)s: %(field)s: %(problem)s.",
        code="cannot_publish",
        params={"object": title, "field": field, "problem": problem},
    )


def is_current(currency: str) -> bool:
    """Return whether the upper-case ISO 4217 code is legal tender somewhere today."""
    return currency in _legal_tender()


@cache
def _legal_tender() -> frozenset[str]:
    entries = (entry for entries in get_global("territory_currencies").values() for entry in entries)
    return frozenset(code for code, _, ended, tender in entries if tender and ended is None)
