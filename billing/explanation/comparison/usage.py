"""Why the usage charges of one feature differ. Pure.

The values are replaced in this order: usage, tiers reached, free units, price. Usage is first, at the prices of
before: its part says what the customer's own behavior costs if nothing else changes. The contract follows at the usage
of after: its parts say what the new prices cost for what is used now.

| | quantity | free | price | amount |
|---|---|---|---|---|
| before | 1,000 | 100 | $0.10 | 900 × $0.10 = $90.00 |
| usage | 1,500 | 100 | $0.10 | 1,400 × $0.10 = $140.00, so $50.00 |
| free units | 1,500 | 200 | $0.10 | 1,300 × $0.10 = $130.00, so -$10.00 |
| price | 1,500 | 200 | $0.08 | 1,300 × $0.08 = $104.00, so -$26.00 |

If tiers are priced, more usage is first priced at the average price of before; what the tiers reached make of it is the
part of the tiers. After a change of plan or of agreed terms, free units belong to that change.

A line that its price alone doesn't explain (single events are priced; part of the period was invoiced before; a feature
has several lines) is compared by its average price: usage first, and the rest is the contract's, or the tiers'.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from billing.explanation.comparison.steps import Substitution, list_parts
from billing.explanation.comparison.values import (
    Cause,
    ComparedLine,
    ComparedSide,
    Contract,
    DifferencePart,
    UsageRating,
    UsedQuantity,
    contract_cause,
)
from billing.money import ZERO, exact, format_price, round_amount, round_to, times
from billing.rating.rate import EventsNeeded, QuantityOutOfRange
from billing.rating.terms import Model
from config.numbers import number

TIERED = (Model.GRADUATED, Model.VOLUME, Model.GRADUATED_PERCENTAGE)
NOTHING = UsedQuantity(ZERO)

Lines = Sequence[ComparedLine]
Sides = tuple[ComparedSide, ComparedSide]


def compare_usage(before: Lines, after: Lines, sides: Sides, currency: str) -> list[DifferencePart]:
    """List why the usage of one feature is charged differently. The lines of either side can be missing."""
    pair = _pair(before, after, sides)
    if pair is not None:
        try:
            substitutions = list(_substitute(*pair, currency))
        except (QuantityOutOfRange, EventsNeeded):
            substitutions = []
        if substitutions:
            return list_parts(pair[1].name, pair[0].amount, substitutions)
    return _compare_averages(before, after, sides, currency)


def _pair(before: Lines, after: Lines, sides: Sides) -> tuple[ComparedLine, ComparedLine] | None:
    """Return one line of each side. If a feature that the side prices wasn't used, the line says so."""
    if len(before) > 1 or len(after) > 1:
        return None
    present = (before or after)[0]
    old = before[0] if before else _unused(present, sides[0])
    new = after[0] if after else _unused(present, sides[1])
    return None if old is None or new is None else (old, new)


def _unused(present: ComparedLine, side: ComparedSide) -> ComparedLine | None:
    offer = side.offers.get(present.key)
    if offer is None or present.usage is None:
        return None
    usage = UsedQuantity(ZERO, rating=offer.rating)
    return replace(present, amount=ZERO, contract=offer.contract, price_id=offer.price_id, usage=usage)


def _substitute(before: ComparedLine, after: ComparedLine, currency: str) -> Iterator[Substitution]:
    """Yield the amounts after each substitution; nothing if one of the lines isn't what its price says."""
    old, new = before.usage or NOTHING, after.usage or NOTHING
    if old.rating is None or new.rating is None:
        return

    def amount(rating: UsageRating, quantity: Decimal) -> Decimal:
        return round_amount(rating.rate(quantity), currency)

    if amount(old.rating, old.quantity) != before.amount or amount(new.rating, new.quantity) != after.amount:
        return
    contract = contract_cause(_contracts([before]), _contracts([after]))
    with_free_units = replace(old.rating, available=new.rating.available, is_trial=new.rating.is_trial)
    at_average = _at_average_price(old.rating, old.quantity, new.quantity, currency)
    in_tiers = amount(old.rating, new.quantity)
    yield Substitution(Cause.USAGE, in_tiers if at_average is None else at_average, _write(old), _write(new))
    yield Substitution(Cause.TIERS, in_tiers, *_prices(old.rating, (old.quantity, new.quantity), currency))
    yield Substitution(
        contract if contract in (Cause.PLAN, Cause.TERMS) else Cause.FREE_UNITS,
        amount(with_free_units, new.quantity),
        _write_free(old),
        _write_free(new),
    )
    yield Substitution(contract or Cause.PRICE, after.amount, *_write_contracts(before, after, currency))


def _at_average_price(rating: UsageRating, old: Decimal, new: Decimal, currency: str) -> Decimal | None:
    """Price new usage at the average price of the charged units; `None` without tiers or charged units."""
    charged = rating.charge(old)
    if rating.terms.model not in TIERED or not charged:
        return None
    ratio = Fraction(rating.charge(new)) / Fraction(charged)
    return round_amount(times(rating.rate(old), ratio), currency)


def _compare_averages(before: Lines, after: Lines, sides: Sides, currency: str) -> list[DifferencePart]:
    cause = _cause_of_average(before, after, sides)
    old, new = _total(before), _total(after)
    with exact():
        start, end = (sum((line.amount for line in lines), ZERO) for lines in (before, after))
        charged = [max(usage.quantity, ZERO) - usage.free for usage in (old, new)]
    name, texts = (after or before)[0].name, (_write(old), _write(new))
    if not (before and after and charged[0] > 0):
        return list_parts(name, start, [Substitution(cause or Cause.USAGE, end, *texts)])
    at_average = round_amount(times(start, Fraction(charged[1]) / Fraction(charged[0])), currency)
    averages = (_average(start, charged[0], currency), _average(end, charged[1], currency))
    rest = Substitution(cause or Cause.TIERS, end, *averages)
    return list_parts(name, start, [Substitution(Cause.USAGE, at_average, *texts), rest])


def _cause_of_average(before: Lines, after: Lines, sides: Sides) -> Cause | None:
    """Return which change of contract is a cause beside usage. A price that terms share with the list is no change."""
    if not (before and after):
        return _cause_of_absence(before, after, sides)
    if {line.price_id for line in before} == {line.price_id for line in after}:
        return None
    return contract_cause(_contracts(before), _contracts(after))


def _cause_of_absence(before: Lines, after: Lines, sides: Sides) -> Cause | None:
    """Return which change of contract charges a feature on one side only; `None` if it just wasn't used."""
    present, other = (after or before)[0], sides[0] if after else sides[1]
    contracts = other.contracts.get(present.subscription_id, ())
    return None if present.contract in contracts else contract_cause(contracts, _contracts([present]))


def _contracts(lines: Lines) -> list[Contract]:
    return [line.contract for line in lines if line.contract is not None]


def _total(lines: Lines) -> UsedQuantity:
    used = [line.usage or NOTHING for line in lines]
    with exact():
        quantity, free = sum((usage.quantity for usage in used), ZERO), sum((usage.free for usage in used), ZERO)
    return UsedQuantity(quantity, free)


def _write(usage: UsedQuantity) -> str:
    return f"{number(usage.quantity)} used"


def _write_free(usage: UsedQuantity) -> str:
    if usage.rating is None or usage.rating.available is None or usage.rating.is_trial:
        return "all units free"
    return f"{number(usage.rating.available)} free"


def _average(amount: Decimal, charged: Decimal, currency: str) -> str:
    if not charged:
        return ""
    average = round_to(times(amount, 1 / Fraction(charged)), 6)
    return f"{format_price(average, currency)} per unit on average"


def _prices(rating: UsageRating, quantities: tuple[Decimal, Decimal], currency: str) -> tuple[str, str]:
    """Write the average prices of a charged unit at two quantities."""
    before, after = (_average(rating.rate(quantity), rating.charge(quantity), currency) for quantity in quantities)
    return before, after


def _write_contracts(before: ComparedLine, after: ComparedLine, currency: str) -> tuple[str, str]:
    """Write the amounts per unit if they are all that differs; otherwise the plan versions."""
    ratings = [line.usage.rating for line in (before, after) if line.usage and line.usage.rating]
    prices = [format_price(rating.terms.unit_amount, currency) for rating in ratings]
    if all(rating.terms.model is Model.PER_UNIT for rating in ratings) and len(set(prices)) > 1:
        return prices[0], prices[1]
    return _name(before.contract), _name(after.contract)


def _name(contract: Contract | None) -> str:
    return contract.name if contract is not None else ""
