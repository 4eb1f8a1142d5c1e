"""Usage charges of an invoice that begins within a billing period. Pure.

The charge is that of the whole period minus that of the part which is already invoiced. Example: 5 free units and
$1.00 per unit; 4 units were used up to 14 September, when the subscription ended, and 3 more once it continued. The
first invoice charges $0.00. The second charges 7 - 5 = 2 units, $2.00 - $0.00 = $2.00, and not 3 - 5 = 0 units.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from billing import wording
from billing.charges.subscription import BilledSubscription
from billing.kinds import LineKind
from billing.lines import Charge
from billing.money import ZERO, exact, format_amount
from customers.periods import Period


def subtract_charges(
    charges: Sequence[Charge], earlier_charges: Sequence[Charge], elapsed: Period, subscription: BilledSubscription
) -> list[Charge]:
    """Subtract a price's charges for the `elapsed` part of a period from its charges for the whole period.

    Charges that are equal are left out. Each result records both sides, so that it can be proved again.
    """
    differences = []
    for kind in dict.fromkeys(charge.kind for charge in (*charges, *earlier_charges)):
        charge = next((charge for charge in charges if charge.kind == kind), None)
        earlier = next((charge for charge in earlier_charges if charge.kind == kind), None)
        differences += _subtract(charge, earlier, elapsed, subscription)
    return differences


def _subtract(
    charge: Charge | None, earlier: Charge | None, elapsed: Period, subscription: BilledSubscription
) -> list[Charge]:
    if earlier is None:
        return [charge] if charge is not None else []
    base = charge or replace(earlier, amount=ZERO, exact_amount=ZERO)
    with exact():
        result = replace(
            base,
            description=_describe(base, earlier, elapsed, subscription),
            period=Period(elapsed.end, max(base.period.end, elapsed.end)) if base.period else None,
            amount=base.amount - earlier.amount,
            exact_amount=base.exact_amount - earlier.exact_amount,
        )
        if base.kind == LineKind.USAGE:
            result = replace(
                result,
                quantity=base.quantity - earlier.quantity,
                free_units=base.free_units - earlier.free_units,
                billable_quantity=base.billable_quantity - earlier.billable_quantity,
                events_count=(base.events_count or 0) - (earlier.events_count or 0),
                events_checksum=(base.events_checksum or 0) ^ (earlier.events_checksum or 0),
            )
    result = replace(result, computation={**base.computation, "less": _describe_earlier(earlier, elapsed)})
    has_usage = result.kind == LineKind.USAGE and bool(result.quantity)
    return [result] if result.amount or result.events_count or has_usage else []


def _describe(charge: Charge, earlier: Charge, elapsed: Period, subscription: BilledSubscription) -> str:
    amount = format_amount(earlier.amount, subscription.currency)
    return f"{charge.description}; minus {amount} invoiced for {wording.dates(elapsed, subscription.timezone)}"


def _describe_earlier(earlier: Charge, elapsed: Period) -> dict[str, Any]:
    return {
        "until": elapsed.end.isoformat(),
        "price_id": earlier.price_id,
        "trial": bool(earlier.computation.get("trial")),
        "quantity": wording.plain(earlier.quantity),
        "amount": wording.plain(earlier.amount),
        "windows": earlier.computation.get("windows", []),
    }
