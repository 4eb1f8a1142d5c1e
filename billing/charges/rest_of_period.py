"""An invoice that begins within a billing period: what the whole comes to, less what it came to before. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from billing import wording
from billing.charges.subscription import BilledSubscription
from billing.lines import USAGE, Charge
from billing.money import ZERO, exact, format_amount
from customers.periods import Period


def differences(
    whole: Sequence[Charge], before: Sequence[Charge], begun: Period, subscription: BilledSubscription
) -> list[Charge]:
    """Subtract lines of one charge up to a moment, the end of `begun`, from those of its whole period.

    What doesn't differ is left out. Each line records both sides, so that it can be worked out again.
    """
    found = []
    for kind in dict.fromkeys(line.kind for line in (*whole, *before)):
        line = next((each for each in whole if each.kind == kind), None)
        less = next((each for each in before if each.kind == kind), None)
        found += _difference(line, less, begun, subscription)
    return found


def _difference(
    line: Charge | None, less: Charge | None, begun: Period, subscription: BilledSubscription
) -> list[Charge]:
    if less is None:
        return [line] if line is not None else []
    base = line or replace(less, amount=ZERO, exact_amount=ZERO)
    with exact():
        result = replace(
            base,
            description=_describe(base, less, begun, subscription),
            period=Period(begun.end, max(base.period.end, begun.end)) if base.period else None,
            amount=base.amount - less.amount,
            exact_amount=base.exact_amount - less.exact_amount,
        )
        if base.kind == USAGE:
            result = replace(
                result,
                quantity=base.quantity - less.quantity,
                free_units=base.free_units - less.free_units,
                billable_quantity=base.billable_quantity - less.billable_quantity,
                events_count=(base.events_count or 0) - (less.events_count or 0),
                events_checksum=(base.events_checksum or 0) ^ (less.events_checksum or 0),
            )
    result = replace(result, computation={**base.computation, "less": _recorded(less, begun)})
    return [result] if result.amount or result.events_count or (result.kind == USAGE and result.quantity) else []


def _describe(line: Charge, less: Charge, begun: Period, subscription: BilledSubscription) -> str:
    before = format_amount(less.amount, subscription.currency)
    return f"{line.description}; less {before} by {wording.dates(begun, subscription.timezone)}"


def _recorded(less: Charge, begun: Period) -> dict[str, Any]:
    return {
        "until": begun.end.isoformat(),
        "price_id": less.price_id,
        "trial": bool(less.computation.get("trial")),
        "quantity": wording.plain(less.quantity),
        "amount": wording.plain(less.amount),
        "windows": less.computation.get("windows", []),
    }
