"""The changes that agreed terms make to a plan version's prices and free tiers, one class each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from catalog.agreed.content import Content, NotInTerms
from catalog.drafting import Tier
from catalog.models import Feature, Price
from catalog.models.prices import PriceKind
from config.numbers import number
from config.refusals import Refused


class QuantityNotAllowed(Refused):
    """The list price doesn't allow the quantity."""


class TermsEdit(Protocol):
    """One change. `key` names what it changes: a later change of the same key ends it."""

    @property
    def key(self) -> str: ...
    @property
    def changes_prices(self) -> bool:
        """Whether publishing it as a plan version would be a decision about prices."""

    def apply(self, content: Content) -> None:
        """Make the change. Raises NotInTerms, QuantityNotAllowed."""


@dataclass(frozen=True, slots=True)
class PriceEdit:
    """Charge other amounts or another model instead of a price. `columns` are those that change; tiers of None stay."""

    price: Price
    columns: Mapping[str, Any]
    tiers: Sequence[Tier] | None = None
    changes_prices: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"price:{self.price.list_id}"

    def apply(self, content: Content) -> None:
        content.change_price(self.price, self.columns, self.tiers)


@dataclass(frozen=True, slots=True)
class QuantityEdit:
    """Charge a recurring fee so many times: seats, licenses. The list price says which quantities it allows."""

    price: Price
    quantity: Decimal
    changes_prices: ClassVar[bool] = False

    @property
    def key(self) -> str:
        return f"quantity:{self.price.list_id}"

    def apply(self, content: Content) -> None:
        price = self.price
        if price.kind != PriceKind.FIXED:
            raise QuantityNotAllowed(f"{price.label} charges usage. Only a recurring fee has a quantity.")
        if content.find(price.list_id) is None:
            raise NotInTerms(f"{price.label} isn't charged on {content.base} at that time.")
        least, most = price.quantity_minimum, price.quantity_maximum
        if self.quantity < (least or 0) or (most is not None and self.quantity > most):
            allowed = f"at least {number(least or Decimal(0))}" + (f" and at most {number(most)}" if most else "")
            raise QuantityNotAllowed(f"{price.label} allows {allowed}, not {number(self.quantity)}.")
        content.change_price(price, {"quantity": self.quantity}, None)


@dataclass(frozen=True, slots=True)
class PriceRemoval:
    """Don't charge a price."""

    price: Price
    changes_prices: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"price:{self.price.list_id}"

    def apply(self, content: Content) -> None:
        content.remove_price(self.price)


@dataclass(frozen=True, slots=True)
class PriceAddition:
    """Charge a price that isn't in the list."""

    columns: Mapping[str, Any]
    tiers: Sequence[Tier] = ()
    changes_prices: ClassVar[bool] = True

    @property
    def key(self) -> str:
        feature = self.columns.get("feature")
        return f"added:{feature.pk if feature else self.columns.get('name', '')}"

    def apply(self, content: Content) -> None:
        content.add_price(self.columns, self.tiers)


@dataclass(frozen=True, slots=True)
class FreeTierEdit:
    """Include other free units of a feature, include it, or switch it on or off."""

    feature: Feature
    columns: Mapping[str, Any]
    changes_prices: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"feature:{self.feature.pk}"

    def apply(self, content: Content) -> None:
        content.change_free_tier(self.feature, self.columns)


@dataclass(frozen=True, slots=True)
class FeatureExclusion:
    """Exclude a feature: it isn't included, and its usage isn't charged."""

    feature: Feature
    changes_prices: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"feature:{self.feature.pk}"

    def apply(self, content: Content) -> None:
        content.change_free_tier(self.feature, {"is_enabled": False})
        content.items = [item for item in content.items if item.price.feature_id != self.feature.pk]
