"""Change a plan's prices and free tiers in its draft, which is created if needed. Published versions don't change.

Every function is one transaction that holds the plan's lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from catalog.by_value import get_other_variant, get_variant, list_priced_values, update_other_values
from catalog.models import Entitlement, Feature, Plan, PlanVersion, Price, PriceTier
from catalog.publishing import copy_contents, get_or_create_draft
from config.audit import recorded
from config.refusals import Refused

REASON = "Through the API"
NO_VALUES: Mapping[str, Sequence[str]] = MappingProxyType({})
IDENTIFYING_FIELDS = (
    *("kind", "feature_id", "currency", "interval", "interval_count"),
    *("periods", "cadence", "name", "key"),
)


class NotInDraft(Refused):
    """The plan's draft no longer contains the price or free tier."""


class KeyIsTaken(Exception):
    """A price already has this lookup key."""


class AlreadyGranted(Exception):
    """The plan's draft already grants the feature."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier up to and including a quantity. `None` means unlimited."""

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = Decimal(0)
    rate_percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """A price's column values by column name, and its tiers. `None` keeps the tiers."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    tiers: Iterable[Tier] | None = None
    trial_days: int | None = None


@transaction.atomic
def add_price(plan: Plan, terms: PriceTerms, filter_values: Mapping[str, Sequence[str]] = NO_VALUES) -> Price:
    """Add a price to the plan's draft: of all usage, or of events with some values of a property.

    No values are all that have no price. Raises ValidationError, KeyIsTaken, PlanArchived, NotByValue.
    """
    draft = get_or_create_draft(plan, by=None)
    for name, values in filter_values.items():
        terms = replace(terms, columns={**terms.columns, "feature": _get_variant(draft, terms.columns, name, values)})
    _refuse_taken_key(plan, terms.columns.get("key"))
    if terms.trial_days is not None and draft.trial_days != terms.trial_days:
        draft.trial_days = terms.trial_days
        with recorded(by=None, reason=REASON):
            draft.save(update_fields=["trial_days", "updated_at"])
    price = Price(version=draft, position=draft.prices.count(), **terms.columns)
    saved = _save_price(price, terms.tiers)
    update_other_values(draft, by=None)
    return saved


@transaction.atomic
def change_price(price: Price, terms: PriceTerms) -> Price:
    """Change a price in the plan's draft and return the draft's price, a copy if the given price is published."""
    plan = price.version.plan
    drafted = _find_in_draft(price)
    if terms.columns.get("key") not in (None, drafted.key):
        _refuse_taken_key(plan, terms.columns["key"])
    for name, value in terms.columns.items():
        setattr(drafted, name, value)
    return _save_price(drafted, terms.tiers)


@transaction.atomic
def remove_price(price: Price) -> None:
    """Remove a price from the plan's draft. Published versions and their subscribers keep it."""
    with recorded(by=None, reason=REASON):
        drafted = _find_in_draft(price)
        drafted.delete()
    update_other_values(drafted.version, by=None)


@transaction.atomic
def add_entitlement(plan: Plan, columns: Mapping[str, Any]) -> Entitlement:
    """Grant a feature in the plan's draft. Raises AlreadyGranted, ValidationError, PlanArchived."""
    draft = get_or_create_draft(plan, by=None)
    if draft.entitlements.filter(feature=columns["feature"]).exists():
        raise AlreadyGranted(f"{plan} already grants {columns['feature']}. Change the existing entitlement instead.")
    return _save_entitlement(Entitlement(version=draft, **columns))


@transaction.atomic
def change_entitlement(entitlement: Entitlement, columns: Mapping[str, Any]) -> Entitlement:
    """Change a free tier in the plan's draft and return the draft's row."""
    drafted = _find_entitlement_in_draft(entitlement)
    for name, value in columns.items():
        setattr(drafted, name, value)
    return _save_entitlement(drafted)


@transaction.atomic
def remove_entitlement(entitlement: Entitlement) -> None:
    """Remove a free tier from the plan's draft."""
    with recorded(by=None, reason=REASON):
        _find_entitlement_in_draft(entitlement).delete()


@transaction.atomic
def clone_plan(plan: Plan, **changes: Any) -> Plan:
    """Create a plan whose draft is a copy of this plan's newest version, published or not."""
    copy = Plan(**{name: getattr(plan, name) for name in ("description", "display_order", "metadata")} | changes)
    copy.full_clean()
    with recorded(by=None, reason=f"Copy of {plan.name} ({plan.public_id})"):
        copy.save()
    newest = plan.versions.order_by("-number").first()
    if newest is not None:
        draft = get_or_create_draft(copy, by=None)
        PlanVersion.objects.filter(pk=draft.pk).update(trial_days=newest.trial_days)
        copy_contents(newest, draft)
    return copy


def get_newest_versions() -> QuerySet[PlanVersion]:
    """Return each plan's newest version: its draft if it has one, else the newest published version."""
    return PlanVersion.objects.order_by("plan_id", "-number").distinct("plan_id")


def _get_variant(draft: PlanVersion, columns: Mapping[str, Any], name: str, values: Sequence[str]) -> Feature:
    feature = columns["feature"]
    if values:
        return get_variant(feature, name, values, by=None)
    defaults = {"interval_count": 1}
    same = {key: columns.get(key, defaults.get(key)) for key in ("currency", "interval", "interval_count")}
    return get_other_variant(feature, name, list_priced_values(draft, feature, **same), by=None)


def _refuse_taken_key(plan: Plan, key: str | None) -> None:
    if key and Price.objects.filter(key=key, version__in=get_newest_versions().values("pk")).exists():
        raise KeyIsTaken(f"Another price has the lookup key {key}.")


def _find_in_draft(price: Price) -> Price:
    if not price.version.is_published:
        return price
    draft = get_or_create_draft(price.version.plan, by=None)
    drafted = draft.prices.filter(**{name: getattr(price, name) for name in IDENTIFYING_FIELDS}).first()
    if drafted is None:
        raise NotInDraft(f"The draft of {price.version.plan} no longer has this price.")
    return drafted


def _find_entitlement_in_draft(entitlement: Entitlement) -> Entitlement:
    if not entitlement.version.is_published:
        return entitlement
    draft = get_or_create_draft(entitlement.version.plan, by=None)
    drafted = draft.entitlements.filter(feature=entitlement.feature_id).first()
    if drafted is None:
        raise NotInDraft(f"The draft of {entitlement.version.plan} no longer grants {entitlement.feature}.")
    return drafted


def _save_price(price: Price, tiers: Iterable[Tier] | None) -> Price:
    price.full_clean(exclude=["version"])
    with recorded(by=None, reason=REASON):
        price.save()
        if tiers is not None:
            price.tiers.all().delete()
            for tier in tiers:
                row = PriceTier(
                    price=price,
                    up_to=tier.up_to,
                    unit_amount=tier.unit_amount,
                    flat_amount=tier.flat_amount,
                    rate_percent=tier.rate_percent,
                )
                row.full_clean(exclude=["price"])
                row.save()
    return Price.objects.select_related("version__plan", "feature").prefetch_related("tiers").get(pk=price.pk)


def _save_entitlement(entitlement: Entitlement) -> Entitlement:
    entitlement.full_clean(exclude=["version"])
    with recorded(by=None, reason=REASON):
        entitlement.save()
    return entitlement
