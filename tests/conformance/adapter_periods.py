"""periods.json against customers.periods."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from customers.periods import (
    Schedule,
    add_interval,
    add_periods,
    calendar_next_start,
    day_start,
    day_windows,
    elapsed_periods,
    first_boundary,
    next_boundary,
    period_after_change,
    period_containing,
    periods_between,
    whole_periods,
)
from tests.conformance.registry import Category, Inputs, Policy
from tests.conformance.values import Moments, instant, interval, whole_number


def schedule(inputs: Inputs, moments: Moments, otherwise: datetime) -> Schedule:
    """Read where boundaries fall. Calendar vectors may leave out the anchor: any moment serves."""
    anchor = moments.optional(inputs.get("anchor") or inputs.get("started_at")) or otherwise
    if inputs.get("anchor_at_day_start"):
        anchor = day_start(anchor, moments.timezone)
    return Schedule(
        interval(inputs["interval"]),
        anchor,
        moments.timezone,
        inputs.get("alignment") or "anniversary",
        whole_number(inputs.get("anchor_day")),
    )


def clipping(inputs: Inputs, moments: Moments) -> dict[str, datetime | None]:
    return {name: moments.optional(inputs.get(name)) for name in ("started_at", "ended_at")}


def containing(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    at = moments.read(inputs["at"])
    found = period_containing(
        schedule(inputs, moments, at), at, offset=int(inputs.get("offset") or 0), **clipping(inputs, moments)
    )
    return moments.write_period(found)


def elapsed(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    at = moments.read(inputs["at"])
    return {"count": elapsed_periods(schedule(inputs, moments, at), at, **clipping(inputs, moments))}


def first(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    started_at = moments.read(inputs["started_at"])
    return {"result": moments.write(first_boundary(schedule(inputs, moments, started_at), started_at))}


def following(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    after = moments.read(inputs["current_start"])
    ended_at = moments.optional(inputs.get("ended_at"))
    return {"result": moments.write(next_boundary(schedule(inputs, moments, after), after, ended_at=ended_at))}


def calendar_next(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    found = calendar_next_start(interval(inputs["interval"]), moments.read(inputs["at"]), moments.timezone)
    return {"result": moments.write(found)}


def listing(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    started_at, until = moments.read(inputs["started_at"]), moments.read(inputs["until"])
    cuts = [moments.read(cut) for cut in inputs.get("splits") or ()]
    periods = periods_between(schedule(inputs, moments, started_at), started_at, until, cuts=cuts)
    return {"periods": [moments.write_period(period) for period in periods]}


def add(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    parts: Mapping[str, Any] = inputs["interval"]
    moved = add_interval(
        moments.read(inputs["start"]), moments.timezone, **{unit: int(count) for unit, count in parts.items()}
    )
    return {"result": moments.write(moved)}


def add_many(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start = moments.read(inputs["start"])
    moved = add_periods(start, interval(inputs["interval"]), int(inputs["n"]), moments.timezone)
    return {"result": moments.write(moved)}


def whole(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, end = moments.read(inputs["from"]), moments.read(inputs["to"])
    return {"count": whole_periods(start, end, interval(inputs["interval"]), moments.timezone)}


def days(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    found = day_windows(moments.read(inputs["from"]), moments.read(inputs["to"]), moments.timezone)
    if moments.timezone == "UTC":
        return {"windows": [moments.write_period(window) for window in found]}
    # Of these the format says "in UTC", where other zones' days have no date to be written as.
    return {"windows": [{"start": instant(window.start), "end": instant(window.end)} for window in found]}


def change(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    start, change_at = moments.read(inputs["period_start"]), moments.read(inputs["change_at"])
    old = Schedule(interval(inputs["old_interval"]), start, moments.timezone)
    current = period_containing(old, start)
    found = period_after_change(current, change_at, old, interval(inputs["new_interval"]))
    return moments.write_period(found)


CATEGORY = Category(
    operations={
        "period_containing": containing,
        "elapsed_periods": elapsed,
        "first_boundary": first,
        "next_boundary": following,
        "calendar_next_start": calendar_next,
        "list_periods": listing,
        "add_interval": add,
        "add_periods": add_many,
        "whole_periods": whole,
        "day_windows": days,
        "change_interval": change,
    },
    policies={"next_rule": frozenset({"anchored"})},
    declined={"next_rule=step_from_current": "boundaries are counted from the anchor, never from the one before"},
)
