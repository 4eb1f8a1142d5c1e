"""The variants of a feature: the same meter, for events with certain values of a property, or with all other values."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from catalog.features import copied_fields, save_feature
from catalog.models import Entitlement, Feature, PlanVersion, Price
from catalog.models.features import FeatureKind
from config.audit import recorded
from config.refusals import Refused

# The terms on which prices by value are one list. Other currencies and intervals have lists of their own.
type ListKey = tuple[int, str, str, str, int]


# What a free tier grants.
GRANTED = ("free_units", "reset", "is_prorated", "is_soft_limit", "is_enabled")


class NotByValue(Refused):
    """The feature can't have prices by the values of this property."""


def get_variant(feature: Feature, name: str, values: Iterable[str], *, by: User | None) -> Feature:
    """Return the variant of a feature for events whose property `name` has one of the values. Create it if needed.

    Safe to repeat. A new variant also counts earlier events. Raises NotByValue and ValidationError.
    """
    ordered = sorted(set(values))
    if not ordered:
        raise NotByValue(f"Enter a value of “{name}”.")
    title = f"{feature.name} ({name}: {', '.join(ordered)})"
    return _get_or_create(feature, name, title, {"filters": {**feature.filters, name: ordered}}, by)


def get_other_variant(feature: Feature, name: str, priced: Iterable[str], *, by: User | None) -> Feature:
    """Return the variant for events whose property `name` has none of the priced values, or that don't have it.

    Safe to repeat. Raises NotByValue and ValidationError.
    """
    ordered = sorted(set(priced))
    if not ordered:
        raise NotByValue(f"Add the price of a value of “{name}” first: then all other values can have a price.")
    definition = {"filters": feature.filters, "excluded": {name: ordered}}
    return _get_or_create(feature, name, f"{feature.name} ({name}: other)", definition, by)


@transaction.atomic
def _get_or_create(feature: Feature, name: str, title: str, definition: dict[str, Any], by: User | None) -> Feature:
    feature = Feature.objects.select_for_update(no_key=True).get(pk=feature.pk)
    _refuse_unsuitable(feature, name)
    definition = {"excluded": {}} | definition
    if variant := feature.variants.filter(variant_property=name, **definition).first():
        return variant
    values = {field.attname: getattr(feature, field.attname) for field in copied_fields()} | definition
    variant = Feature(**values | {"name": title[:255], "variant_of": feature, "variant_property": name})
    return save_feature(variant, by=by, reason=f"Prices of {feature.name} by {name}")


def _refuse_unsuitable(feature: Feature, name: str) -> None:
    if feature.kind != FeatureKind.METERED:
        raise NotByValue(f"{feature} isn't metered, so it has no usage to price.")
    if feature.variant_of_id:
        raise NotByValue(f"{feature} counts certain values already. Choose the feature that counts all of them.")
    if not name.strip() or len(name) > 255:
        raise NotByValue("Enter the property whose values have different prices, with at most 255 characters.")
    if name in (*feature.filters, *feature.excluded):
        raise NotByValue(f"{feature} filters by “{name}” itself, so its prices can't depend on it.")
    if feature.is_cumulative:
        raise NotByValue(f"{feature} is cumulative. Only usage that starts at 0 each period can have prices by value.")


def counts_same_usage(feature: Feature, other: Feature) -> bool:
    """Return whether two features with the same whole can count the same event."""
    if not (feature.variant_of_id and other.variant_of_id) or feature.variant_property != other.variant_property:
        return True
    if feature.counts_other_values and other.counts_other_values:
        return True
    if feature.counts_other_values or other.counts_other_values:
        rest, listed = (feature, other) if feature.counts_other_values else (other, feature)
        return not set(listed.variant_values) <= set(rest.variant_values)
    return bool(set(feature.variant_values) & set(other.variant_values))


def group_by_list(prices: Iterable[Price]) -> dict[ListKey, list[tuple[Price, Feature]]]:
    """Group the prices by value of a version by their lists, each with its variant. Leave other prices out."""
    lists: defaultdict[ListKey, list[tuple[Price, Feature]]] = defaultdict(list)
    for price in prices:
        feature = price.feature
        if feature is not None and feature.variant_of_id:
            terms = price.currency, price.interval, price.interval_count
            lists[feature.variant_of_id, feature.variant_property, *terms].append((price, feature))
    return dict(lists)


def priced_values(variants: Iterable[Feature]) -> list[str]:
    """Return the values that have a price of their own, once for each of these prices."""
    return [value for variant in variants if not variant.counts_other_values for value in variant.variant_values]


def list_priced_values(draft: PlanVersion, feature: Feature, **terms: Any) -> list[str]:
    """List the values of a feature's variants that have a price of their own in a draft, on the same terms."""
    prices = draft.prices.filter(feature__variant_of=feature, **terms).select_related("feature")
    return priced_values(price.feature for price in prices if price.feature is not None)


@transaction.atomic
def update_other_values(draft: PlanVersion, *, by: User | None) -> None:
    """Let the prices for all other values in a draft leave out exactly the values that have a price of their own.

    A free tier goes with the price. Without a priced value in the list, its price for other values stays as it is.
    """
    for (whole_id, name, *_), listed in group_by_list(draft.prices.select_related("feature")).items():
        values = priced_values(variant for _, variant in listed)
        for price, variant in listed:
            if values and variant.counts_other_values:
                whole = Feature.objects.get(pk=whole_id)
                _move(price, get_other_variant(whole, name, values, by=by), draft, by)


def _move(price: Price, feature: Feature, draft: PlanVersion, by: User | None) -> None:
    """Let a drafted price and its free tier apply to another feature."""
    former = price.feature_id
    if former == feature.pk:
        return
    with recorded(by=by, reason="Other values have a price"):
        price.feature = feature
        price.save(update_fields=["feature", "updated_at"])
        tier = draft.entitlements.filter(feature=former).first()
        if tier is None or draft.entitlements.filter(feature=feature).exists():
            return
        if draft.prices.filter(feature=former).exists():
            values = {name: getattr(tier, name) for name in GRANTED}
            Entitlement.objects.create(version=draft, feature=feature, **values)
        else:
            tier.feature = feature
            tier.save(update_fields=["feature", "updated_at"])
