"""Why the recurring fees of a subscription differ. Pure.

A fee is matched by its price, then by its name; if one fee remains on both sides, the two are matched. Fees of several
periods are only matched with such fees. The values are replaced in this order: quantity, days charged, fee. Quantity
and days are first, at the fee of before, as usage is.

| | quantity | days | fee | amount |
|---|---|---|---|---|
| before | 10 | 30 of 30 | $9.00 | $90.00 |
| quantity | 12 | 30 of 30 | $9.00 | $108.00, so $18.00 |
| days | 12 | 15 of 30 | $9.00 | $54.00, so -$54.00 |
| fee | 12 | 15 of 30 | $8.00 | $48.00, so -$6.00 |

After a change of plan, the quantity belongs to that change.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from billing.explanation.comparison.steps import Substitution, list_parts
from billing.explanation.comparison.values import (
    Cause,
    ChargedFee,
    ComparedLine,
    ComparedSide,
    DifferencePart,
    contract_cause,
)
from billing.money import ZERO, exact, format_amount, format_price, round_amount, times
from config.numbers import number

Lines = Sequence[ComparedLine]
Pair = tuple[ComparedLine | None, ComparedLine | None]


def compare_fees(
    before: Lines, after: Lines, sides: tuple[ComparedSide, ComparedSide], currency: str
) -> list[DifferencePart]:
    """List why the fees of one subscription are charged differently."""
    parts = []
    for old, new in match_fees(before, after):
        if old is not None and new is not None:
            parts += list_parts(new.name, old.amount, _substitute(old, new, currency))
        elif new is not None:
            parts += _one_sided(new, sides[0], ZERO, new.amount, currency)
        elif old is not None:
            parts += _one_sided(old, sides[1], old.amount, ZERO, currency)
    return parts


def match_fees(before: Lines, after: Lines) -> list[Pair]:
    """Match each fee with the same fee of the other side, or with none."""
    pairs: list[Pair] = []
    old, new = list(before), list(after)
    keys: tuple[Callable[[ComparedLine], Hashable], ...] = (
        lambda line: line.price_id,
        lambda line: (line.subject, _periods(line)),
    )
    for key in keys:
        for line in list(new):
            match = next((other for other in old if key(other) == key(line)), None)
            if match is not None:
                pairs.append((match, line))
                old.remove(match)
                new.remove(line)
    if len(old) == len(new) == 1 and _periods(old[0]) == _periods(new[0]):
        return [*pairs, (old[0], new[0])]
    return [*pairs, *((None, line) for line in new), *((line, None) for line in old)]


def _periods(line: ComparedLine) -> int:
    return line.fee.periods if line.fee is not None else 1


def _one_sided(
    line: ComparedLine, other: ComparedSide, start: Decimal, end: Decimal, currency: str
) -> list[DifferencePart]:
    """Explain a fee of one side only.

    If its contract is in force on the other side, too, no day of it is charged there, or it covers several periods and
    isn't due in each.
    """
    contracts = other.contracts.get(line.subscription_id, ())
    cause = Cause.LONGER_FEE if _periods(line) > 1 else Cause.DAYS
    if line.contract not in contracts:
        cause = contract_cause(contracts, [line.contract] if line.contract is not None else []) or cause
    texts = (format_amount(start, currency), format_amount(end, currency))
    return list_parts(line.name, start, [Substitution(cause, end, *texts)])


def _substitute(before: ComparedLine, after: ComparedLine, currency: str) -> Iterator[Substitution]:
    own = [[line.contract] if line.contract is not None else [] for line in (before, after)]
    contract = contract_cause(*own)
    old, new = before.fee, after.fee
    if old is None or new is None or _amount(old, currency) != before.amount or _amount(new, currency) != after.amount:
        cause = contract if contract and before.price_id != after.price_id else Cause.DAYS
        yield Substitution(
            cause, after.amount, format_amount(before.amount, currency), format_amount(after.amount, currency)
        )
        return
    quantity = old.quantity if contract == Cause.PLAN else new.quantity
    more = ChargedFee(old.unit_amount, quantity, old.days, old.of)
    other_days = ChargedFee(old.unit_amount, quantity, new.days, new.of)
    yield Substitution(Cause.QUANTITY, _amount(more, currency), number(old.quantity), number(new.quantity))
    yield Substitution(Cause.DAYS, _amount(other_days, currency), _write_days(old), _write_days(new))
    prices = (_write_fee(before, old, currency), _write_fee(after, new, currency))
    yield Substitution(contract or Cause.PRICE, after.amount, *prices)


def _amount(fee: ChargedFee, currency: str) -> Decimal:
    with exact():
        full = fee.unit_amount * fee.quantity
    return round_amount(times(full, Fraction(fee.days, fee.of)), currency)


def _write_days(fee: ChargedFee) -> str:
    return f"{fee.days} of {fee.of} days"


def _write_fee(line: ComparedLine, fee: ChargedFee, currency: str) -> str:
    price = format_price(fee.unit_amount, currency)
    return f"{line.name}, {price}" if fee.quantity == 1 else f"{line.name}, {number(fee.quantity)} × {price}"
