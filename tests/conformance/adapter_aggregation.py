"""aggregation.json against the event ledger and its usage."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from customers.periods import Interval, Period, Schedule, period_containing, windows
from events.diagnosis.readings import Reading, read
from events.diagnosis.subject import subject_of
from events.models import Event
from events.reasons import Reason
from events.usage.aggregation import round_quantity
from events.usage.search import Search, find, usage_by
from tests.conformance.ledger import ARRIVAL, EVENT_NAME, Metered, arrival, conditions, ids_of, make_meter, send
from tests.conformance.registry import Category, DecidedOtherwise, Inputs, Policy, Refused
from tests.conformance.values import Moments, number, rounded
from tests.factories import make_customer


def aggregate(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    metered = Metered(inputs, policy)
    return {"value": shown(metered.used().value, policy), "events_count": metered.events_count()}


def aggregate_groups(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    metered, names = Metered(inputs, policy), list(inputs["group_by"])
    found = usage_by(
        metered.customer.pk,
        metered.feature,
        metered.start,
        metered.end,
        properties=names,
        search=metered.search,
    )
    return {
        "groups": [
            {"key": dict(zip(names, key, strict=True)), "value": shown(used.value, policy)}
            for key, used in found.items()
        ]
    }


def aggregate_windows(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    metered = Metered(inputs, policy)
    rows = []
    for window in whole_windows(metered, inputs["window"]):
        used = metered.used(max(window.start, metered.start), min(window.end, metered.end))
        if used.events or policy.get("empty_windows") != "omit":
            rows.append(metered.moments.write_period(window) | {"value": shown(used.value, policy)})
    return {"windows": rows, "total": shown(metered.used().value, policy)}


def whole_windows(metered: Metered, unit: str) -> list[Period]:
    """List the windows that the period touches, unclipped."""
    zone, period = metered.moments.timezone, Period(metered.start, metered.end)
    days = Schedule(Interval("day"), period.start, zone, "calendar")
    span = Period(period_containing(days, period.start).start, period_containing(days, period.end).end)
    return [window for window in windows(span, unit, zone) if window.overlaps(period)]


def parse_value(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    customer = make_customer()
    make_meter({"type": "sum", "property": inputs["property"]}, policy)
    send(customer, [{"properties": inputs["properties"]}], ARRIVAL)
    [reading] = read(subject_of(Event.objects.get(), now=ARRIVAL), EVENT_NAME)
    if reading.reason == Reason.VALUE_OUT_OF_RANGE:
        raise DecidedOtherwise("parse_value of 1e30 or more, or beyond thirty decimals: not counted, and marked")
    if reading.reason is not None:
        raise Refused(value_error(reading))
    return {"value": reading.adds}


def value_error(reading: Reading) -> str:
    """Name the product's finding by the vectors' codes."""
    if reading.reason == Reason.AGGREGATION_FIELD_MISSING:
        return "missing_value" if reading.value is None else "null_value"
    if reading.reason == Reason.NOT_A_NUMBER:
        return "not_finite" if is_infinite(reading.value or "") else "not_numeric"
    return str(reading.reason)


def is_infinite(written: str) -> bool:
    """Tell whether a JSON value is text that spells infinity, or no number at all."""
    try:
        return not Decimal(str(json.loads(written))).is_finite()
    except (InvalidOperation, ValueError):
        return False


def rounded_quantity(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {
        "quantity": round_quantity(number(inputs["quantity"]), inputs["function"], int(inputs.get("precision") or 0))
    }


def filter_events(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    customer = make_customer()
    send(customer, inputs["events"], arrival(inputs["events"]))
    found = find(customer.pk, Search(conditions(inputs["clauses"])))
    return {"matching_ids": ids_of(found)}


def period_contains(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    return {"contains": moments.period(inputs["period"]).contains(moments.read(inputs["at"]))}


def shown(value: Decimal, policy: Policy) -> Decimal:
    """Round a result as the vector wants to compare it."""
    if "round_places" not in policy:
        return value
    return rounded(value, {"rounding": policy.get("round_mode", "half_up"), "scale": policy["round_places"]})


CATEGORY = Category(
    operations={
        "aggregate": aggregate,
        "aggregate_groups": aggregate_groups,
        "aggregate_windows": aggregate_windows,
        "parse_value": parse_value,
        "round_quantity": rounded_quantity,
        "filter_events": filter_events,
        "period_contains": period_contains,
    },
    not_offered={"credit_balance": "prepaid credits are kept in money, not in units of a meter"},
    policies={
        "dedup_key": frozenset({"['id']"}),
        "dedup_keep": frozenset({"first"}),
        "negative_result": frozenset({"keep"}),
        "numeric_strings": frozenset({"accept", "refuse", "reject"}),
        "invalid": frozenset({"error"}),
        "day_rule": frozenset({"calendar_days_inclusive"}),  # of types that aren't sold: see ledger.NOT_SOLD
    },
    declined={
        "dedup_key=['id', 'timestamp']": "an event_id is unique for ever, whatever its timestamp",
        "dedup_keep=last": "of equal ids the first one stands",
        "negative_result=clamp": "corrections stay in the aggregate; rating clamps",
    },
    needs_database=True,
)
