"""What a version charges and includes, while terms are agreed: read, edited by `catalog.agreed.edits`, then saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.drafting import Tier
from catalog.models import Entitlement, Feature, PlanVersion, Price, PriceTier
from catalog.models.prices import PriceModel
from catalog.publishing import copy_row
from catalog.selectors import entitlements_by_version, prices_by_version
from config.refusals import Refused

# The columns in which an agreed price can be the same as the list price, or as the price before.
IDENTITY = {"id", "public_id", "created_at", "updated_at", "version", "listed", "key"}
OF_PERCENTAGES = (
    *("rate_percent", "fixed_amount_per_event", "free_events", "free_amount"),
    *("per_event_minimum", "per_event_maximum"),
)
WITHOUT_UNIT_AMOUNT = (
    *(PriceModel.GRADUATED, PriceModel.VOLUME),
    *(PriceModel.PERCENTAGE, PriceModel.GRADUATED_PERCENTAGE),
)


class NotInTerms(Refused):
    """The subscription isn't charged the price at that time, or another plan is in force."""


@dataclass(slots=True, eq=False)
class PriceItem:
    """A price with its tiers. A new price isn't saved yet."""

    price: Price
    tiers: Sequence[Tier]

    @property
    def is_new(self) -> bool:
        return self.price._state.adding

    def is_same(self, other: "PriceItem") -> bool:
        """Return whether both charge the same, whatever version they belong to."""
        return _values(self.price) == _values(other.price) and sort_tiers(self.tiers) == sort_tiers(other.tiers)


@dataclass(slots=True)
class Content:
    """The prices and free tiers of a version, and its list prices by their ids."""

    base: PlanVersion
    items: list[PriceItem]
    listed: dict[int, PriceItem]
    free_tiers: dict[int, Entitlement] = field(default_factory=dict)

    def find(self, list_id: int) -> PriceItem | None:
        """Return the price that is charged in place of a list price, or the list price itself."""
        return next((item for item in self.items if item.price.list_id == list_id), None)

    def state(self, key: str) -> Any:
        """Return what an edit with this key changes, to compare with other versions: see `TermsEdit.key`."""
        kind, _, number = key.partition(":")
        if kind == "feature":
            free_tier = self.free_tiers.get(int(number))
            return None if free_tier is None else _values(free_tier)
        item = self.find(int(number)) if kind in ("price", "quantity") else None
        if item is None:
            return None
        if kind == "quantity":
            return item.price.quantity
        return _values(item.price, "quantity"), sort_tiers(item.tiers)

    def change_price(self, price: Price, columns: Mapping[str, Any], tiers: Sequence[Tier] | None) -> None:
        """Change columns of a price, and its tiers unless they are None. What equals the list price is the list price.

        A list price that was removed is charged again. Raises NotInTerms.
        """
        list_id = price.list_id
        current, listed = self.find(list_id), self.listed.get(list_id)
        source = current or listed
        if source is None:
            raise NotInTerms(f"{price.label} isn't a price of {self.base}.")
        changed = PriceItem(
            copy_row(source.price, version_id=None, listed_id=list_id, key=None, **columns),
            source.tiers if tiers is None else tiers,
        )
        _clear_other_models(changed)
        if listed is not None and changed.is_same(listed):
            changed = listed
        elif current is not None and changed.is_same(current):
            changed = current
        if current is None:
            self.items.append(changed)
        else:
            self.items[self.items.index(current)] = changed

    def add_price(self, columns: Mapping[str, Any], tiers: Sequence[Tier]) -> None:
        """Charge a price that isn't in the list, after the others on the invoice."""
        position = max((item.price.position for item in self.items), default=0) + 1
        self.items.append(PriceItem(Price(position=position, **columns), tiers))

    def remove_price(self, price: Price) -> None:
        """Stop charging a price. Raises NotInTerms if it isn't charged."""
        item = self.find(price.list_id)
        if item is None:
            raise NotInTerms(f"{price.label} isn't a price of {self.base}, or is removed already.")
        self.items.remove(item)

    def change_free_tier(self, feature: Feature, columns: Mapping[str, Any]) -> None:
        """Change what is included of a feature, or include it."""
        current = self.free_tiers.get(feature.pk)
        if current is None:
            free_tier = Entitlement(feature=feature, **columns)
        else:
            free_tier = copy_row(current, version_id=None, **columns)
        self.free_tiers[feature.pk] = free_tier


def read_content(version: PlanVersion) -> Content:
    """Read what a version charges and includes, and its list prices."""
    base = version if version.base is None else version.base
    prices = prices_by_version({version, base})
    free_tiers = entitlements_by_version([version]).get(version.pk, {})
    listed = {price.pk: make_item(price) for price in prices.get(base.pk, [])}
    items = [listed.get(price.pk) or make_item(price) for price in prices.get(version.pk, [])]
    return Content(base, items, listed, dict(free_tiers))


def sort_tiers(tiers: Sequence[Tier]) -> list[Tier]:
    return sorted(tiers, key=lambda tier: (tier.up_to is None, tier.up_to or 0))


def make_tiers(item: PriceItem) -> list[PriceTier]:
    """Return unsaved rows for the tiers of a saved price."""
    return [
        PriceTier(
            price=item.price,
            up_to=tier.up_to,
            unit_amount=tier.unit_amount,
            flat_amount=tier.flat_amount,
            rate_percent=tier.rate_percent,
        )
        for tier in item.tiers
    ]


def make_item(price: Price) -> PriceItem:
    """Return a saved price with its tiers."""
    tiers = [Tier(tier.up_to, tier.unit_amount, tier.flat_amount, tier.rate_percent) for tier in price.tiers.all()]
    return PriceItem(price, tiers)


def _values(row: Price | Entitlement, *excluded: str) -> list[Any]:
    names = IDENTITY.union(excluded)
    return [field.value_from_object(row) for field in row._meta.concrete_fields if field.name not in names]


def _clear_other_models(item: PriceItem) -> None:
    """Empty the columns that a changed pricing model doesn't use."""
    price = item.price
    if price.model in WITHOUT_UNIT_AMOUNT:
        price.unit_amount = None
    if price.model != PriceModel.PACKAGE:
        price.package_size = None
    if price.model != PriceModel.PERCENTAGE:
        for name in OF_PERCENTAGES:
            setattr(price, name, None)
    if not price.is_tiered:
        item.tiers = ()
