"""Serializer fields for money."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.money import money
from config.api.fields import FromMethod, NumberIn


class MoneyField(serializers.CharField):
    """An amount as a string with the decimals of its currency.

    `currency` is the path from the object to the currency's code.
    """

    def __init__(self, *, currency: str = "currency", **kwargs: Any) -> None:
        self.currency_path = currency.split(".")
        super().__init__(**kwargs)

    def get_attribute(self, instance: Any) -> str | None:
        amount = super().get_attribute(instance)
        return None if amount is None else money(Decimal(amount), self._currency_of(instance))

    def _currency_of(self, instance: Any) -> str:
        for name in self.currency_path:
            instance = getattr(instance, name)
        return str(instance)


class ComputedMoney(MoneyField, FromMethod):
    pass


class ArchivableStatusField(serializers.ChoiceField):
    """Whether the object is in use or archived."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(["published", "archived"], **kwargs)

    def get_attribute(self, instance: Any) -> str:
        return "published" if instance.archived_at is None else "archived"


def amount_field(**options: Any) -> NumberIn:
    """Make a field for an amount in a request: at most four decimals."""
    return NumberIn(max_digits=24, decimal_places=4, **options)
