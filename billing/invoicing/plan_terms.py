"""Read the catalog's rows as billing's values: terms, fees and free units, in one currency and interval."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from django.db.models import Q

from billing.charges.subscription import Allowance, Fee, MeteredFeature, PlanTerms, UsagePrice
from billing.money import ZERO
from billing.rating.rate import rate
from billing.rating.terms import Conversion, Model, Terms, Tier
from catalog.kinds import Aggregation, EntitlementReset, PackageRounding
from catalog.models import Entitlement, Feature, PlanVersion, Price, PriceTier
from catalog.models.prices import Cadence, PriceKind
from catalog.selectors import entitlements_by_version, holders, shared_price_ids
from customers.periods import Interval

ROUNDINGS = {"none": "none", "round": "half_up", "ceil": "ceil", "floor": "floor"}
type Catalog = dict[int, "Version"]


class Version:
    """A plan version with its prices and entitlements, as read from the database."""

    def __init__(self, row: PlanVersion) -> None:
        self.row = row
        self.prices: list[tuple[Price, list[PriceTier]]] = []
        self.entitlements: list[Entitlement] = []
        self._terms: dict[tuple[str, Interval], PlanTerms] = {}

    def terms(self, currency: str, interval: Interval) -> PlanTerms:
        """Return the terms for a subscription in this currency and interval. Three months are equal to a quarter."""
        key = (currency, interval)
        if key not in self._terms:
            self._terms[key] = self._select(currency, interval)
        return self._terms[key]

    def _select(self, currency: str, interval: Interval) -> PlanTerms:
        fitting = [
            (price, tiers)
            for price, tiers in self.prices
            if price.currency == currency and Interval(price.interval, price.interval_count).has_same_length(interval)
        ]
        return PlanTerms(
            version_id=self.row.pk,
            name=self.row.plan.name,
            number=self.row.number,
            fees=tuple(fee_of(price) for price, _ in fitting if price.kind == PriceKind.FIXED),
            usage=tuple(usage_price_of(price, tiers) for price, tiers in fitting if price.kind == PriceKind.USAGE),
            allowances={row.feature_id: allowance_of(row) for row in self.entitlements},
            is_priced_otherwise=bool(self.prices) and not fitting,
        )


def load_catalog(version_ids: Iterable[int]) -> Catalog:
    """Read plan versions with their prices, tiers and free tiers, in four queries; one more if terms are agreed."""
    ids = set(version_ids)
    catalog = {row.pk: Version(row) for row in PlanVersion.with_agreed.filter(pk__in=ids).select_related("plan")}
    versions = [version.row for version in catalog.values()]
    shared = shared_price_ids(versions)
    tiers: dict[int, list[PriceTier]] = defaultdict(list)
    for tier in PriceTier.objects.filter(Q(price__version_id__in=ids) | Q(price__in=shared)):
        tiers[tier.price_id].append(tier)
    prices = Price.objects.filter(Q(version_id__in=ids) | Q(pk__in=shared)).select_related("feature")
    for price in prices.order_by("position", "pk"):
        for version_id in holders(price, catalog, shared):
            catalog[version_id].prices.append((price, tiers[price.pk]))
    for version_id, entitlements in entitlements_by_version(versions).items():
        catalog[version_id].entitlements = [row for row in entitlements.values() if row.is_enabled]
    return catalog


def terms_of(price: Price, tiers: Iterable[PriceTier]) -> Terms:
    """Return the terms by which a usage price is rated. The price's maximum is the terms' cap."""
    model = Model(price.model)
    amount = price.unit_amount if price.unit_amount is not None else ZERO
    return Terms(
        model=model,
        unit_amount=ZERO if model is Model.FLAT else amount,
        flat_amount=amount if model is Model.FLAT else ZERO,
        package_size=price.package_size if price.package_size is not None else Decimal(1),
        package_rounding=PackageRounding(price.package_rounding),
        tiers=tuple(tier_of(tier) for tier in tiers),
        cap_amount=price.maximum_amount,
        conversion=conversion_of(price),
        charge_at_zero=price.charge_at_zero,
        rate_percent=price.rate_percent or ZERO,
        fixed_amount_per_event=price.fixed_amount_per_event or ZERO,
        free_events=price.free_events,
        free_amount=price.free_amount,
        per_event_min=price.per_event_minimum,
        per_event_max=price.per_event_maximum,
    )


def tier_of(tier: PriceTier) -> Tier:
    return Tier(
        up_to=tier.up_to,
        unit_amount=tier.unit_amount,
        flat_amount=tier.flat_amount,
        rate_percent=tier.rate_percent,
    )


def conversion_of(price: Price) -> Conversion | None:
    """Return how usage is converted before it is priced; `None` if it isn't."""
    conversion = Conversion(price.convert_multiply_by, price.convert_divide_by, ROUNDINGS[price.convert_rounding])
    return None if conversion == Conversion() else conversion


def usage_price_of(price: Price, tiers: Iterable[PriceTier]) -> UsagePrice:
    if price.feature is None:
        raise ValueError("A usage price has a feature by a constraint of the database")
    terms, minimum = terms_of(price, tiers), price.minimum_amount
    if price.minimum_quantity is not None:
        minimum = rate(price.minimum_quantity, terms).amount
    return UsagePrice(price.pk, price.label, metered_of(price.feature), terms, minimum, price.minimum_quantity)


def metered_of(feature: Feature) -> MeteredFeature:
    return MeteredFeature(
        id=feature.pk,
        name=feature.name,
        aggregation=Aggregation(feature.aggregation),
        is_cumulative=feature.is_cumulative,
        unit_singular=feature.unit_singular,
        unit_plural=feature.unit_plural,
        variant_of=feature.variant_of_id,
    )


def fee_of(price: Price) -> Fee:
    amount = price.unit_amount if price.unit_amount is not None else ZERO
    return Fee(price.pk, price.name, amount, price.quantity, price.cadence == Cadence.ADVANCE, price.periods)


def allowance_of(entitlement: Entitlement) -> Allowance:
    return Allowance(entitlement.free_units, EntitlementReset(entitlement.reset), entitlement.is_prorated)
