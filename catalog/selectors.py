"""Read the prices of plan versions: one query each, plus one for the tiers. Agreed terms take one query more."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from django.db.models import F, Prefetch, Q, QuerySet

from catalog.models import Entitlement, IntervalUnit, PlanVersion, Price, PriceTier, SharedPrice
from catalog.models.prices import PriceKind


@dataclass(frozen=True, slots=True, order=True)
class Terms:
    """The currency and billing interval that a price must match for a subscription to be charged by it."""

    currency: str
    interval: str
    interval_count: int = 1

    @classmethod
    def of(cls, price: Price) -> Self:
        """Return the terms that a subscription must have to be charged by a price."""
        return cls(price.currency, price.interval, price.interval_count)

    def __str__(self) -> str:
        unit = IntervalUnit(self.interval).label.lower()
        return (
            f"{self.currency} {unit}" if self.interval_count == 1 else f"{self.currency} {unit} × {self.interval_count}"
        )


def prices_of(version: PlanVersion) -> QuerySet[Price]:
    """Return all that a version charges: its own prices and, of agreed terms, those that they share."""
    if version.base_id is None:
        return Price.objects.filter(version=version)
    shared = SharedPrice.objects.filter(version=version).values("price")
    return Price.objects.filter(Q(version=version) | Q(pk__in=shared))


def prices_on_terms(version: PlanVersion, terms: Terms) -> QuerySet[Price]:
    """Return the prices that a subscription on these terms is charged, in invoice order, with features and tiers."""
    return _load_related(prices_of(version)).filter(
        currency=terms.currency, interval=terms.interval, interval_count=terms.interval_count
    )


def fees(version: PlanVersion, terms: Terms) -> QuerySet[Price]:
    """Return the recurring fees among `prices_on_terms`."""
    return prices_on_terms(version, terms).filter(kind=PriceKind.FIXED)


def list_offered_terms(version: PlanVersion) -> list[Terms]:
    """List the currencies and intervals for which the version has prices, sorted."""
    rows = prices_of(version).order_by().values_list("currency", "interval", "interval_count").distinct()
    return sorted(Terms(*row) for row in rows)


def prices_by_version(versions: Iterable[PlanVersion]) -> dict[int, list[Price]]:
    """Return all prices of many versions by version id, in invoice order, with features and tiers."""
    versions_by_id = {version.pk: version for version in versions}
    shared = shared_price_ids(versions_by_id.values())
    prices: dict[int, list[Price]] = {}
    for price in _load_related(Price.objects.filter(Q(version__in=versions_by_id) | Q(pk__in=shared))):
        for version_id in holders(price, versions_by_id, shared):
            prices.setdefault(version_id, []).append(price)
    return prices


def shared_price_ids(versions: Iterable[PlanVersion]) -> dict[int, list[int]]:
    """Return which agreed terms share a price, by the price's id. No query if no version is agreed."""
    shared: dict[int, list[int]] = defaultdict(list)
    if agreed := [version.pk for version in versions if version.base_id is not None]:
        for version_id, price_id in SharedPrice.objects.filter(version__in=agreed).values_list("version", "price"):
            shared[price_id].append(version_id)
    return dict(shared)


def holders(price: Price, versions: Iterable[int], shared: dict[int, list[int]]) -> list[int]:
    """Return which of the versions charge a price: its own version, and those that share it."""
    own = [price.version_id] if price.version_id in versions else []
    return own + shared.get(price.pk, [])


def entitlements_by_version(versions: Iterable[PlanVersion]) -> dict[int, dict[int, Entitlement]]:
    """Return the free tiers of many versions, by version id and feature id. One query.

    Agreed terms have those of their list version, except for features of which they have free tiers of their own.
    """
    bases = {version.pk: version.base_id for version in versions}
    rows: dict[int, dict[int, Entitlement]] = defaultdict(dict)
    ids = {*bases, *(base for base in bases.values() if base is not None)}
    for entitlement in Entitlement.objects.filter(version__in=ids).select_related("feature"):
        rows[entitlement.version_id][entitlement.feature_id] = entitlement
    merged = {pk: (rows.get(base, {}) if base is not None else {}) | rows.get(pk, {}) for pk, base in bases.items()}
    return {pk: entitlements for pk, entitlements in merged.items() if entitlements}


def _load_related(prices: QuerySet[Price]) -> QuerySet[Price]:
    tiers = PriceTier.objects.order_by(F("up_to").asc(nulls_last=True))
    return (
        prices.select_related("feature", "listed__version__plan", "version__plan")
        .prefetch_related(Prefetch("tiers", tiers))
        .order_by("position", "pk")
    )
