"""Prices by the values of a property, such as storage by region. Each value is metered and priced as a variant of the
feature: `variants` has these features, `price_list` puts their prices into a draft, `checks` finds gaps and overlaps.
"""

from catalog.by_value.price_list import ValuePrice, set_value_prices
from catalog.by_value.variants import (
    NotByValue,
    counts_same_usage,
    get_other_variant,
    get_variant,
    list_priced_values,
    update_other_values,
)

__all__ = [
    "NotByValue",
    "ValuePrice",
    "counts_same_usage",
    "get_other_variant",
    "get_variant",
    "list_priced_values",
    "set_value_prices",
    "update_other_values",
]
