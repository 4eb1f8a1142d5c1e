from functools import cache

from babel.core import get_global


def is_current(currency: str) -> bool:
    """Tell whether the upper-case ISO 4217 code is legal tender somewhere today."""
    return currency in _tender()


@cache
def _tender() -> frozenset[str]:
    entries = (entry for entries in get_global("territory_currencies").values() for entry in entries)
    return frozenset(code for code, _, ended, tender in entries if tender and ended is None)
