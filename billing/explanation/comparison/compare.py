"""Decompose the difference of two sides into parts by cause, which add up to it. Pure.

Usage and fees are compared by substitution (`usage.py`, `fees.py`). All other lines are compared by their amounts,
since they follow from the charges or stand alone: a discount of 10% on $120.00 instead of $100.00 is $2.00 more.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from billing.explanation.comparison.fees import compare_fees
from billing.explanation.comparison.steps import Substitution, list_parts
from billing.explanation.comparison.usage import compare_usage
from billing.explanation.comparison.values import Cause, ComparedLine, ComparedSide, Comparison, DifferencePart
from billing.kinds import LineKind
from billing.money import ZERO, exact, format_amount

# The cause of lines that are compared by their amounts. Other kinds count as items, except usage and fees.
CAUSES_OF_AMOUNTS = {
    LineKind.PRORATION: Cause.DAYS,
    LineKind.TRUE_UP: Cause.COMMITMENT,
    LineKind.COMMITMENT: Cause.COMMITMENT,
    LineKind.LATE_USAGE: Cause.LATE_USAGE,
    LineKind.DISCOUNT: Cause.DISCOUNT,
    LineKind.TAX: Cause.TAX,
}
SUBSTITUTED = (LineKind.USAGE, LineKind.FEE)
ORDER = list(Cause)

Sides = tuple[ComparedSide, ComparedSide]
Lines = Sequence[ComparedLine]


def compare(before: ComparedSide, after: ComparedSide, currency: str) -> Comparison:
    """Compare two sides in one currency. The parts add up to the difference of the totals, to the smallest unit."""
    sides = (before, after)
    parts: list[DifferencePart] = []
    for old, new in _group(sides, LineKind.USAGE, by_subject=True):
        parts += compare_usage(old, new, sides, currency)
    for old, new in _group(sides, LineKind.FEE, by_subject=False):
        parts += compare_fees(old, new, sides, currency)
    for kind in LineKind:
        if kind not in SUBSTITUTED:
            for old, new in _group(sides, kind, by_subject=True):
                parts += _compare_amounts(CAUSES_OF_AMOUNTS.get(kind, Cause.ITEMS), old, new, currency)
    parts.sort(key=lambda part: (ORDER.index(part.cause), -abs(part.amount)))
    return Comparison(currency, before.total, after.total, parts)


def _group(sides: Sides, kind: LineKind, *, by_subject: bool) -> list[tuple[Lines, Lines]]:
    """Group the lines of a kind by what they are matched by, or by their subscription."""
    groups: dict[Hashable, tuple[list[ComparedLine], list[ComparedLine]]] = defaultdict(lambda: ([], []))
    for place, side in enumerate(sides):
        for line in side.lines:
            if line.kind == kind:
                groups[line.key if by_subject else line.subscription_id][place].append(line)
    return list(groups.values())


def _compare_amounts(cause: Cause, before: Lines, after: Lines, currency: str) -> list[DifferencePart]:
    with exact():
        start, end = (sum((line.amount for line in lines), ZERO) for lines in (before, after))
    step = Substitution(cause, end, format_amount(start, currency), format_amount(end, currency))
    return list_parts((after or before)[0].name, start, [step])
