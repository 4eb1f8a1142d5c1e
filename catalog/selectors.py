"""Read the prices of plan versions: one query each, plus one for the tiers."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F, Prefetch, QuerySet

from catalog.models import Entitlement, IntervalUnit, PlanVersion, Price, PriceTier
from catalog.models.prices import PriceKind


@dataclass(frozen=True, slots=True, order=True)
class Terms:
    """The currency and billing interval that a price must match for a subscription to be charged by it."""

    currency: str
    interval: str
    interval_count: int = 1

    def __str__(self) -> str:
        unit = IntervalUnit(self.interval).label.lower()
        return (
            f"{self.currency} {unit}" if self.interval_count == 1 else f"{self.currency} {unit} × {self.interval_count}"
        )


def prices_on_terms(version: PlanVersion, terms: Terms) -> QuerySet[Price]:
    """Return the prices that a subscription on these terms is charged, in invoice order, with features and tiers."""
    return _load_related(Price.objects.filter(version=version)).filter(
        currency=terms.currency, interval=terms.interval, interval_count=terms.interval_count
    )


def fees(version: PlanVersion, terms: Terms) -> QuerySet[Price]:
    """Return the recurring fees among `prices_on_terms`."""
    return prices_on_terms(version, terms).filter(kind=PriceKind.FIXED)


def list_offered_terms(version: PlanVersion) -> list[Terms]:
    """List the currencies and intervals for which the version has prices, sorted."""
    rows = version.prices.order_by().values_list("currency", "interval", "interval_count").distinct()
    return sorted(Terms(*row) for row in rows)


def prices_by_version(versions: Iterable[int]) -> dict[int, list[Price]]:
    """Return all prices of many versions by version id, with features and tiers."""
    prices: dict[int, list[Price]] = {}
    for price in _load_related(Price.objects.filter(version__in=set(versions))):
        prices.setdefault(price.version_id, []).append(price)
    return prices


def entitlements_by_version(versions: Iterable[int]) -> dict[int, dict[int, Entitlement]]:
    """Return the free tiers of many versions, by version id and feature id."""
    entitlements: dict[int, dict[int, Entitlement]] = {}
    for entitlement in Entitlement.objects.filter(version__in=set(versions)).select_related("feature"):
        entitlements.setdefault(entitlement.version_id, {})[entitlement.feature_id] = entitlement
    return entitlements


def _load_related(prices: QuerySet[Price]) -> QuerySet[Price]:
    tiers = PriceTier.objects.order_by(F("up_to").asc(nulls_last=True))
    return prices.select_related("feature").prefetch_related(Prefetch("tiers", tiers)).order_by("position", "pk")
