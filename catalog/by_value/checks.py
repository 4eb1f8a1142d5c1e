"""What keeps prices by value from being published: usage that two of them would charge."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from catalog.by_value.variants import group_by_list, priced_values
from catalog.models import Feature, Price


def find_wrong_lists(prices: Sequence[Price]) -> Iterator[tuple[Price, str]]:
    """Yield a price of each wrong list of a version, with what is wrong. The prices are read with their features."""
    properties: defaultdict[tuple[object, ...], set[str]] = defaultdict(set)
    lists = group_by_list(prices)
    for whole, name, *terms in lists:
        properties[whole, *terms].add(name)
    without_values = {
        (price.feature_id, price.currency, price.interval, price.interval_count)
        for price in prices
        if price.feature is not None and not price.feature.variant_of_id
    }
    for (whole, name, *terms), listed in lists.items():
        variants = [variant for _, variant in listed]
        problems = [*_problems(variants)]
        if (whole, *terms) in without_values:
            problems.append(f"the feature also has a price for all values of “{name}”, so usage would be charged twice")
        if len(properties[whole, *terms]) > 1:
            names = " and ".join(f"“{other}”" for other in sorted(properties[whole, *terms]))
            problems.append(f"the feature has prices by {names}, so usage would be charged twice")
        for problem in problems:
            yield listed[0][0], problem


def _problems(variants: Sequence[Feature]) -> Iterator[str]:
    values = priced_values(variants)
    repeated = sorted(value for value, times in Counter(values).items() if times > 1)
    if repeated:
        yield f"{', '.join(repeated)} has two prices"
    for variant in variants:
        if variant.counts_other_values and (twice := sorted(set(values) - set(variant.variant_values))):
            yield f"usage with {', '.join(twice)} would be charged twice, since the price for other values includes it"
