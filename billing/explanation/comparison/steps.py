"""Turn the amounts that a line has after each substitution into parts. Pure.

Values are replaced one after the other. After each, the line has an amount, rounded as the line of an invoice is. A
part is the difference of two amounts that follow each other, so the parts add up, and no remainder has to be assigned.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from billing.explanation.comparison.values import Cause, DifferencePart
from billing.money import exact


@dataclass(frozen=True, slots=True)
class Substitution:
    """The amount of a line once the cause's values are replaced, and these values before and after."""

    cause: Cause
    amount: Decimal
    before: str = ""
    after: str = ""


def list_parts(name: str, amount: Decimal, substitutions: Iterable[Substitution]) -> list[DifferencePart]:
    """List what each substitution adds to an amount. Those that change nothing are left out.

    From $10.00, usage makes it $15.00 and the price $12.00: usage $5.00, price -$3.00.
    """
    parts = []
    for step in substitutions:
        with exact():
            difference = step.amount - amount
        if difference:
            parts.append(DifferencePart(step.cause, name, difference, step.before, step.after))
        amount = step.amount
    return parts
