"""proration.json against billing.proration, billing.plan_changes and billing.cycles."""

from typing import Any

from billing.cycles import billing_cycles, month_fraction
from billing.money import UNROUNDED, Precision, to_decimal
from billing.plan_changes import ChangeLine, change_lines, discounted_change
from billing.rating.proration import (
    Rules,
    calendar_days,
    cap_credit,
    factor,
    fixed_month_days,
    plan_change,
    prorate_exact,
)
from customers.periods import local_date
from tests.conformance.registry import Category, Inputs, Policy
from tests.conformance.values import Moments, interval, number, numbers, optional_number, whole_number


def rules(policy: Policy) -> Rules:
    return Rules(
        unit=policy.get("unit", "day"),
        days_in_month=int(policy.get("days_in_month", 30)),
        service_end_day=policy.get("service_end_day", "excluded"),
        change_day=policy.get("change_day", "new"),
        period_end_day=policy.get("period_end_day", "excluded"),
    )


def precision(policy: Policy) -> Precision:
    if "rounding" not in policy:
        return UNROUNDED
    return Precision(int(policy.get("scale", 0)), policy["rounding"])


def factor_of(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    found = factor(moments.period(inputs["period"]), moments.period(inputs["service"]), moments.timezone, rules(policy))
    shown = Precision(int(policy["factor_scale"])) if "factor_scale" in policy else UNROUNDED
    return {"factor": shown.round(to_decimal(found))}


def prorated(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    amount = prorate_exact(
        number(inputs["amount"]),
        moments.period(inputs["period"]),
        moments.period(inputs["service"]),
        moments.timezone,
        rules(policy),
    )
    return {"amount": precision(policy).round(amount)}


def change(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    result = plan_change(
        moments.period(inputs["period"]),
        moments.read(inputs["change_at"]),
        number(inputs["old_amount"]),
        number(inputs["new_amount"]),
        moments.timezone,
        precision(policy),
        new_cycle_starts_at_change=bool(inputs.get("new_cycle_starts_at_change")),
        already_credited=number(inputs.get("already_credited") or 0),
        rules=rules(policy),
    )
    return {"credit": result.credit, "charge": result.charge, "net": result.net}


def lines(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    result = change_lines(
        moments.period(inputs["period"]),
        moments.read(inputs["change_at"]),
        [
            ChangeLine(
                row["kind"],
                row["direction"],
                number(row["amount"]),
                whole_number(row.get("own_period_days")),
            )
            for row in inputs["lines"]
        ],
        moments.timezone,
        precision(policy),
        rules(policy),
    )
    return {"amounts": list(result.amounts), "net": result.net}


def discounted(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    result = discounted_change(
        moments.period(inputs["period"]),
        moments.read(inputs["change_at"]),
        numbers(inputs["old_parts"]),
        numbers(inputs["new_parts"]),
        moments.timezone,
        precision(policy),
        amount_off=optional_number(inputs.get("amount_off")),
        percent_off=optional_number(inputs.get("percent_off")),
        only_difference_of=whole_number(inputs.get("only_difference_of")),
        rules=rules(policy),
    )
    return {"credits": list(result.credits), "charges": list(result.charges), "net": result.net}


def cap(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    credit = cap_credit(
        number(inputs["potential_credit"]),
        number(inputs["original_amount"]),
        number(inputs.get("previous_credits") or 0),
    )
    return {"credit": credit}


def days(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, end = moments.read(inputs["start"]), moments.read(inputs["end"])
    return {"days": calendar_days(start, end, moments.timezone)}


def fixed_days(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, end = (local_date(moments.read(inputs[edge]), moments.timezone) for edge in ("start", "end"))
    return {"days": fixed_month_days(start, end, int(inputs["days_in_month"]))}


def cycles(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    count = billing_cycles(
        interval(inputs["interval"]),
        whole_number(inputs.get("anchor_day")),
        moments.read(inputs["start"]),
        moments.read(inputs["target"]),
        moments.timezone,
        end=moments.optional(inputs.get("end")),
        stub_base=policy.get("stub_base", "anchored"),
    )
    return {"cycles": count}


def months(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, end = moments.read(inputs["start"]), moments.read(inputs["end"])
    return {"fraction": month_fraction(start, end, moments.timezone)}


CATEGORY = Category(
    operations={
        "factor": factor_of,
        "prorate": prorated,
        "plan_change": change,
        "change_lines": lines,
        "discounted_change": discounted,
        "cap_credit": cap,
        "calendar_days": days,
        "fixed_month_days": fixed_days,
        "billing_cycles": cycles,
        "month_fraction": months,
    },
    policies={
        "unit": frozenset({"day", "second", "fixed_month_days"}),
        "service_end_day": frozenset({"excluded", "inclusive"}),
        "change_day": frozenset({"new", "old"}),
        "period_end_day": frozenset({"excluded", "inclusive"}),
        "stub_base": frozenset({"anchored", "subtract_from_boundary"}),
    },
)
