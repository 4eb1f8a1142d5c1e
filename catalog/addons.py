"""Add-ons: the version that a subscription's terms and its add-ons make together. Why: decision 223."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction

from catalog.agreed.agree import make_version, publish_content
from catalog.agreed.content import Content, PriceItem, make_item, read_content
from catalog.models import Entitlement, PlanVersion, Price
from catalog.models.features import FeatureKind
from catalog.models.prices import PriceKind
from catalog.publishing import copy_row
from catalog.selectors import Terms, entitlements_by_version, prices_by_version
from catalog.validation import find_repeated_prices
from config.refusals import Refused


class AddonNotCompatible(Refused):
    """The add-on can't be added to the plan."""


def check_compatible(addon: PlanVersion, plan: PlanVersion) -> None:
    """Raise AddonNotCompatible unless the add-on can be added to the plan."""
    compatible = list(addon.plan.compatible_plans.all())
    if compatible and plan.plan not in compatible:
        names = ", ".join(other.name for other in compatible)
        raise AddonNotCompatible(f"{addon.plan} can't be added to {plan.plan}, only to {names}.")


@transaction.atomic
def compose(
    terms: PlanVersion,
    addons: Mapping[PlanVersion, int],
    charged: Terms,
    *,
    agreed_for: str,
    now: datetime,
    by: User | None,
    reason: str,
) -> PlanVersion:
    """Return the version of the terms with each add-on so many times, for a subscription charged in these terms.

    The same add-ons give the same version, and an unchanged price is the same price. A fee of an add-on is charged as
    often as the add-on is there, its free units are added as often, and its usage is charged once. Raises
    AddonNotCompatible.
    """
    for addon in addons:
        check_compatible(addon, terms)
    counts = {str(addon.pk): number for addon, number in addons.items()}
    made = PlanVersion.with_agreed.filter(without_addons=terms, agreed_for=agreed_for, addons=counts).first()
    if made is not None:
        return made
    content = read_content(terms)
    prices = prices_by_version(addons)
    times: Counter[Price] = Counter()
    for addon, number in _sorted(addons):
        for price in prices.get(addon.pk, []):
            if Terms.of(price) == charged:
                times[price] += number  # the same agreed prices can be those of several versions
    content.items += [_times(make_item(price), number) for price, number in times.items()]
    _add_free_tiers(content, addons)
    _refuse_double_charges(content, terms)
    version = make_version(terms, content, agreed_for=agreed_for, without_addons=terms, addons=counts)
    return publish_content(version, content, now=now, by=by, reason=reason)


def _sorted(addons: Mapping[PlanVersion, int]) -> list[tuple[PlanVersion, int]]:
    return sorted(addons.items(), key=lambda item: item[0].pk)


def _times(item: PriceItem, number: int) -> PriceItem:
    """Return the price of an add-on that the subscription has so many times. Usage is charged once."""
    price = item.price
    if number == 1 or price.kind != PriceKind.FIXED:
        return item
    quantity = {"quantity": price.quantity * number, "quantity_minimum": None, "quantity_maximum": None}
    return PriceItem(copy_row(price, version_id=None, listed_id=price.pk, key=None, **quantity), item.tiers)


def _add_free_tiers(content: Content, addons: Mapping[PlanVersion, int]) -> None:
    included = entitlements_by_version(addons)
    for addon, number in _sorted(addons):
        for feature_id, row in included.get(addon.pk, {}).items():
            if row.is_enabled:
                content.free_tiers[feature_id] = _merge(content.free_tiers.get(feature_id), row, number, addon)


def _merge(before: Entitlement | None, row: Entitlement, number: int, addon: PlanVersion) -> Entitlement:
    """Return what is included of a feature with an add-on that the subscription has so many times."""
    units = None if row.free_units is None else row.free_units * number
    if before is None or not before.is_enabled or row.feature.kind != FeatureKind.METERED:
        return copy_row(row, version_id=None, free_units=units)
    if (before.reset, before.is_prorated) != (row.reset, row.is_prorated):
        raise AddonNotCompatible(
            f"{addon.plan} includes {row.feature} with another reset or proration than the plan, so their units "
            "can't be added up."
        )
    total = None if units is None or before.free_units is None else before.free_units + Decimal(units)
    return copy_row(before, version_id=None, free_units=total)


def _refuse_double_charges(content: Content, terms: PlanVersion) -> None:
    problems = list(_doubly_charged(content))
    if problems:
        raise AddonNotCompatible(
            f"{terms.plan} or another add-on charges the usage of {', '.join(problems)} already. It would be charged "
            "twice."
        )


def _doubly_charged(content: Content) -> Iterator[str]:
    for problem in find_repeated_prices([item.price for item in content.items]):
        yield problem.params["object"] if problem.params else str(problem)
