"""Rows that a proof of invoices needs, read for many invoices at once and written as the rater reads them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, Q

from billing.models import CouponUse, InvoiceLine
from billing.money import currency_places
from catalog.models import Entitlement, Feature, PlanVersion, Price, PriceTier, SharedPrice
from catalog.models.prices import Cadence, PriceKind
from customers.models import Subscription, SubscriptionPhase
from customers.periods import Interval

type Json = dict[str, Any]

NEAR = timedelta(minutes=1)  # clocks that differ by more raise an alarm, and no task runs
ROUNDINGS = {"round": "half_up"}


class CatalogRows:
    """Plan versions with their prices, tiers and free units, and the features that they price."""

    def __init__(self, version_ids: Collection[int]) -> None:
        self._prices: dict[int, list[Price]] = defaultdict(list)
        self._tiers: dict[int, list[PriceTier]] = defaultdict(list)
        self._free: dict[int, list[Entitlement]] = defaultdict(list)
        self._bases = dict(PlanVersion.with_agreed.filter(pk__in=version_ids).values_list("pk", "base"))
        shared = list(SharedPrice.objects.filter(version__in=version_ids).values_list("price", "version"))
        own_or_shared = Q(version__in=version_ids) | Q(pk__in={price for price, _ in shared})
        prices = list(Price.objects.filter(own_or_shared).order_by("position", "pk"))
        versions_sharing: dict[int, list[int]] = defaultdict(list)
        for price_id, version_id in shared:
            versions_sharing[price_id].append(version_id)
        for price in prices:
            for version_id in [price.version_id, *versions_sharing[price.pk]]:
                self._prices[version_id].append(price)
        for tier in PriceTier.objects.filter(price__in=prices):
            self._tiers[tier.price_id].append(tier)
        for entitlement in Entitlement.objects.filter(version__in={*self._bases, *self._bases.values()}):
            self._free[entitlement.version_id].append(entitlement)
        self.features = Feature.objects.in_bulk({price.feature_id for price in prices if price.feature_id})

    def version(self, version_id: int, subscription: Subscription) -> Json:
        """Write what a version charges in the subscription's currency and interval."""
        length = Interval(subscription.interval, subscription.interval_count)
        prices = [
            price
            for price in self._prices[version_id]
            if price.currency == subscription.currency
            and Interval(price.interval, price.interval_count).has_same_length(length)
        ]
        return {
            "fees": [write_fee(price) for price in prices if price.kind == PriceKind.FIXED],
            "usage": [write_price(price, self._tiers[price.pk]) for price in prices if price.kind == PriceKind.USAGE],
            "free": {
                str(free.feature_id): {
                    "units": None if free.free_units is None else f"{free.free_units:f}",
                    "reset": free.reset,
                    "prorated": free.is_prorated,
                }
                for free in self._included(version_id)
            },
        }

    def _included(self, version_id: int) -> list[Entitlement]:
        """Return the free tiers of a version; of agreed terms, those of the list version that they don't replace."""
        own, base = self._free[version_id], self._bases[version_id]
        replaced = {free.feature_id for free in own}
        listed = [] if base is None else [free for free in self._free[base] if free.feature_id not in replaced]
        return [free for free in [*listed, *own] if free.is_enabled]

    def features_of(self, versions: Iterable[Json]) -> list[Json]:
        ids = {price["feature"] for version in versions for price in version["usage"]}
        return [write_feature(self.features[pk]) for pk in sorted(ids)]


class SubscriptionRows:
    """Subscriptions with all their phases, also those that a later change superseded."""

    def __init__(self, subscription_ids: Collection[int]) -> None:
        self._subscriptions = Subscription.objects.in_bulk(subscription_ids)
        self._phases: dict[int, list[SubscriptionPhase]] = defaultdict(list)
        for phase in SubscriptionPhase.objects.filter(subscription__in=subscription_ids).order_by("starts_at", "pk"):
            self._phases[phase.subscription_id].append(phase)
        self.catalog = CatalogRows({phase.plan_version_id for phases in self._phases.values() for phase in phases})

    def as_known(self, subscription_id: int, moment: datetime) -> Json:
        """Write a subscription with the phases that were known at a moment; if none were recorded by then, today's."""
        subscription, phases = self._subscriptions[subscription_id], self._phases[subscription_id]
        known = [phase for phase in phases if _is_known(phase, moment)]
        chain = known or [phase for phase in phases if phase.superseded_at is None]
        versions = {
            str(pk): self.catalog.version(pk, subscription) for pk in sorted({phase.plan_version_id for phase in chain})
        }
        return {
            "cycle": write_cycle(subscription),
            "started_at": subscription.started_at.isoformat(),
            "prorate": subscription.prorate,
            "places": currency_places(subscription.currency),
            "phases": [write_phase(phase) for phase in chain],
            "versions": versions,
            "features": self.catalog.features_of(versions.values()),
        }

    def moments_near(self, subscription_id: int | None, moment: datetime) -> list[datetime]:
        """List a minute before a moment, and the changes of phases within a minute of it; without changes, nothing."""
        first, last = moment - NEAR, moment + NEAR
        edges = {at for phase in self._phases.get(subscription_id or 0, ()) for at in _edges(phase)}
        changes = sorted(at for at in edges if first < at <= last)
        return [first, *changes] if changes else []


def _edges(phase: SubscriptionPhase) -> Iterator[datetime]:
    """Yield when a phase was recorded, and when it was superseded."""
    yield phase.recorded_at
    if phase.superseded_at is not None:
        yield phase.superseded_at


def _is_known(phase: SubscriptionPhase, moment: datetime) -> bool:
    return phase.recorded_at <= moment and (phase.superseded_at is None or phase.superseded_at > moment)


def write_cycle(subscription: Subscription) -> Json:
    return {
        "unit": subscription.interval,
        "count": subscription.interval_count,
        "anchor": subscription.anchor.isoformat(),
        "timezone": subscription.timezone,
        "alignment": subscription.alignment,
    }


def write_phase(phase: SubscriptionPhase) -> Json:
    return {
        "kind": phase.kind,
        "version": phase.plan_version_id,
        "start": phase.starts_at.isoformat(),
        "end": None if phase.ends_at is None else phase.ends_at.isoformat(),
    }


def write_fee(price: Price) -> Json:
    return {
        "price": price.pk,
        "amount": text(price.unit_amount) or "0",
        "quantity": text(price.quantity),
        "advance": price.cadence == Cadence.ADVANCE,
        "periods": price.periods,
    }


def write_price(price: Price, tiers: Sequence[PriceTier]) -> Json:
    return {
        "price": price.pk,
        "feature": price.feature_id,
        "model": price.model,
        "unit_amount": text(price.unit_amount),
        "package_size": text(price.package_size),
        "package_rounding": price.package_rounding,
        "tiers": [
            {
                "up_to": text(tier.up_to),
                "unit_amount": text(tier.unit_amount),
                "flat_amount": text(tier.flat_amount),
                "rate_percent": text(tier.rate_percent),
            }
            for tier in tiers
        ],
        "maximum": text(price.maximum_amount),
        "minimum": text(price.minimum_amount),
        "minimum_quantity": text(price.minimum_quantity),
        "multiply_by": text(price.convert_multiply_by),
        "divide_by": text(price.convert_divide_by),
        "rounding": ROUNDINGS.get(price.convert_rounding, price.convert_rounding),
        "charge_at_zero": price.charge_at_zero,
        "rate_percent": text(price.rate_percent),
        "fixed_amount_per_event": text(price.fixed_amount_per_event),
        "free_events": price.free_events,
        "free_amount": text(price.free_amount),
        "per_event_minimum": text(price.per_event_minimum),
        "per_event_maximum": text(price.per_event_maximum),
    }


def write_feature(feature: Feature) -> Json:
    return {
        "feature": feature.pk,
        "aggregation": feature.aggregation,
        "cumulative": feature.is_cumulative,
        "rounding": ROUNDINGS.get(feature.rounding, feature.rounding),
        "places": feature.rounding_places,
    }


def write_coupon(use: CouponUse) -> Json:
    """Write a used coupon. What is left of an amount that is used up over several invoices is the amount it took."""
    coupon = use.application.coupon
    amount = use.amount if coupon.keeps_rest else coupon.amount_off
    return {
        "number": use.application_id,
        "percent": text(coupon.percent_off),
        "amount": text(amount),
        "scope": coupon.scope,
        "features": [feature.pk for feature in coupon.features.all()],
        "versions": [version.pk for plan in coupon.plans.all() for version in plan.versions.all()],
    }


def coupon_uses(invoice_ids: Collection[int]) -> dict[int, list[CouponUse]]:
    uses: dict[int, list[CouponUse]] = defaultdict(list)
    rows = CouponUse.objects.filter(invoice__in=invoice_ids, returned_at=None).select_related("application__coupon")
    versions = Prefetch("application__coupon__plans__versions", PlanVersion.with_agreed.all())
    for use in rows.prefetch_related("application__coupon__features", versions):
        uses[use.invoice_id].append(use)
    return uses


def write_tax(line: InvoiceLine) -> Json:
    """Write the tax of a tax line, which is a copy of its rate."""
    tax = line.computation["tax"]
    return {"percent": tax["percentage"], "inclusive": tax["inclusive"]}


def text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"
