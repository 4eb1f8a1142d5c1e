"""The features and plans of the demo company: two plans with prices in every currency."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

from billing.demo.timeline import Timeline
from catalog.features import archive_feature, save_feature
from catalog.models import Entitlement, Feature, Plan, PlanVersion, Price, PriceTier
from catalog.models.plans import VersionState
from catalog.models.prices import Cadence, PriceKind, PriceModel
from catalog.publishing import get_or_create_draft, publish
from config.audit import recorded

API_CALLS, MINI, PRO, STORAGE, USERS = "api-calls", "tokens-mini", "tokens-pro", "storage", "active-users"
IMAGES = "image-generations"
CURRENCIES = ("USD", "EUR", "JPY")
REASON = "Demo"

FEATURES: tuple[dict[str, Any], ...] = (
    {
        "key": API_CALLS,
        "name": "API calls",
        "event_name": "api.calls",
        "aggregation": "count",
        "unit_singular": "call",
        "unit_plural": "calls",
    },
    {
        "key": MINI,
        "name": "Tokens, Lark Mini",
        "event_name": "model.usage",
        "aggregation": "sum",
        "field": "tokens",
        "filters": {"model": ["lark-mini"]},
        "unit_singular": "token",
        "unit_plural": "tokens",
    },
    {
        "key": PRO,
        "name": "Tokens, Lark Pro",
        "event_name": "model.usage",
        "aggregation": "sum",
        "field": "tokens",
        "filters": {"model": ["lark-pro", "lark-pro-preview"]},
        "unit_singular": "token",
        "unit_plural": "tokens",
    },
    {
        "key": STORAGE,
        "name": "Stored data",
        "event_name": "storage.usage",
        "aggregation": "sum",
        "field": "gb",
        "reset": "cumulative",
        "unit_singular": "GB",
        "unit_plural": "GB",
        "description": "Changes of the stored volume in GB. Deleting data sends a negative number.",
    },
    {
        "key": USERS,
        "name": "Active users",
        "event_name": "active.users",
        "aggregation": "unique_count",
        "field": "user_id",
        "unit_singular": "user",
        "unit_plural": "users",
    },
    {
        "key": IMAGES,
        "name": "Image generations",
        "event_name": "image.generated",
        "aggregation": "count",
        "unit_singular": "image",
        "unit_plural": "images",
        "description": "No longer sold.",
    },
)
ARCHIVED = (IMAGES,)


@dataclass(frozen=True)
class UsageOffer:
    """A usage price of a plan, with an amount for each of CURRENCIES. Tiers are (up to and including, amounts)."""

    feature: str
    model: PriceModel
    amounts: tuple[str, ...] = ()
    package_size: int | None = None
    tiers: tuple[tuple[int | None, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class PlanOffer:
    """A plan: its monthly fee in advance, its free units per month, and its usage prices."""

    key: str
    name: str
    description: str
    fee: tuple[str, ...]
    free: Mapping[str, int]
    offers: tuple[UsageOffer, ...] = field(default_factory=tuple)


STARTER = PlanOffer(
    key="starter",
    name="Starter",
    description="For small teams: a low fee, many free units, then a price per unit.",
    fee=("29", "27", "4400"),
    free={API_CALLS: 1_000, MINI: 1_000_000, PRO: 100_000, STORAGE: 5, USERS: 3},
    offers=(
        UsageOffer(API_CALLS, PriceModel.PER_UNIT, ("0.005", "0.0047", "0.7")),
        UsageOffer(MINI, PriceModel.PER_UNIT, ("0.0000009", "0.0000008", "0.00014")),
        UsageOffer(PRO, PriceModel.PER_UNIT, ("0.000012", "0.000011", "0.0018")),
        UsageOffer(STORAGE, PriceModel.PER_UNIT, ("0.30", "0.28", "45")),
        UsageOffer(USERS, PriceModel.PER_UNIT, ("4", "3.70", "600")),
    ),
)
SCALE = PlanOffer(
    key="scale",
    name="Scale",
    description="For growing products: API calls by the thousand, and tokens with volume discounts.",
    fee=("199", "185", "29800"),
    free={API_CALLS: 2_000, MINI: 2_000_000, STORAGE: 10, USERS: 10},
    offers=(
        UsageOffer(API_CALLS, PriceModel.PACKAGE, ("3.50", "3.25", "520"), package_size=1_000),
        UsageOffer(
            MINI,
            PriceModel.GRADUATED,
            tiers=(
                (5_000_000, ("0.0000008", "0.00000075", "0.00012")),
                (20_000_000, ("0.0000006", "0.00000055", "0.00009")),
                (None, ("0.0000004", "0.00000038", "0.00006")),
            ),
        ),
        UsageOffer(
            PRO,
            PriceModel.GRADUATED,
            tiers=(
                (1_000_000, ("0.00001", "0.0000095", "0.0015")),
                (5_000_000, ("0.000008", "0.0000075", "0.0012")),
                (None, ("0.000006", "0.0000056", "0.0009")),
            ),
        ),
        UsageOffer(STORAGE, PriceModel.PER_UNIT, ("0.25", "0.23", "38")),
        UsageOffer(USERS, PriceModel.PER_UNIT, ("3", "2.80", "450")),
    ),
)
PLANS = (STARTER, SCALE)


def make_catalog(timeline: Timeline, *, by: User) -> dict[str, Plan]:
    """Create the missing features and published plans, and return the plans by key. Safe to repeat."""
    features = {row["key"]: make_feature(row, timeline, by=by) for row in FEATURES}
    return {offer.key: make_plan(offer, features, timeline, by=by) for offer in PLANS}


def make_feature(row: dict[str, Any], timeline: Timeline, *, by: User) -> Feature:
    """Return the feature with the row's key, creating it if it is missing."""
    if existing := Feature.objects.filter(key=row["key"]).first():
        return existing
    feature = save_feature(Feature(**row), by=by, reason=REASON)
    if feature.key in ARCHIVED:
        archive_feature(feature, now=timeline.offers_published_at, by=by, reason="No longer sold")
    return feature


def make_plan(offer: PlanOffer, features: Mapping[str, Feature], timeline: Timeline, *, by: User) -> Plan:
    """Return the plan with the offer's key, creating and publishing it if needed, also after an interrupted run."""
    with recorded(by=by, reason=REASON):
        defaults = {"name": offer.name, "description": offer.description, "display_order": PLANS.index(offer)}
        plan, _ = Plan.objects.get_or_create(key=offer.key, defaults=defaults)
        if plan.versions.filter(state=VersionState.PUBLISHED).exists():
            return plan
        version = get_or_create_draft(plan, by=by)
        version.prices.all().delete()
        version.entitlements.all().delete()
        _add_contents(version, offer, features)
        publish(version, now=timeline.offers_published_at, by=by, reason=REASON)
    return plan


def _add_contents(version: PlanVersion, offer: PlanOffer, features: Mapping[str, Feature]) -> None:
    for place, currency in enumerate(CURRENCIES):
        _add_fee(version, offer, currency, Decimal(offer.fee[place]))
        for position, usage in enumerate(offer.offers, start=1):
            price = _add_price(version, usage, features[usage.feature], currency, position, place)
            _add_tiers(price, usage.tiers, place)
    for key, units in offer.free.items():
        Entitlement.objects.create(version=version, feature=features[key], free_units=Decimal(units))


def _add_fee(version: PlanVersion, offer: PlanOffer, currency: str, amount: Decimal) -> None:
    Price.objects.create(
        version=version,
        kind=PriceKind.FIXED,
        name=f"{offer.name} plan",
        currency=currency,
        cadence=Cadence.ADVANCE,
        model=PriceModel.FLAT,
        unit_amount=amount,
    )


def _add_price(
    version: PlanVersion, offer: UsageOffer, feature: Feature, currency: str, position: int, place: int
) -> Price:
    return Price.objects.create(
        version=version,
        feature=feature,
        currency=currency,
        model=offer.model,
        unit_amount=Decimal(offer.amounts[place]) if offer.amounts else None,
        package_size=offer.package_size,
        position=position,
    )


def _add_tiers(price: Price, tiers: Iterable[tuple[int | None, tuple[str, ...]]], place: int) -> None:
    PriceTier.objects.bulk_create(
        PriceTier(
            price=price,
            up_to=None if up_to is None else Decimal(up_to),
            unit_amount=Decimal(amounts[place]),
        )
        for up_to, amounts in tiers
    )
