"""periods.json against `customers.periods`, and `next_invoice`, which says what a subscription is invoiced for next."""

from datetime import datetime
from typing import Any

from billing.charges.next_invoice import next_invoice
from billing.charges.subscription import BilledSubscription, Phase
from customers.kinds import PhaseKind
from customers.periods import (
    Interval,
    Period,
    Schedule,
    local_date,
    local_midnight,
    period_containing,
    periods_between,
    windows,
)
from tests.conformance.registry import Category, Inputs, NotOffered, Policy
from tests.conformance.subscriptions import billed_subscription, invoices_until
from tests.conformance.values import Moments, anchor_of, instant, interval, whole_number

# What a subscription is moved by, in the units of its interval.
UNITS = {"years": "year", "months": "month", "weeks": "week", "days": "day"}
ANY_CURRENCY = "USD"


def schedule(inputs: Inputs, moments: Moments, otherwise: datetime) -> Schedule:
    """Read where boundaries fall. Calendar vectors may leave out the anchor: any moment serves."""
    length = interval(inputs["interval"])
    anchor = moments.optional(inputs.get("anchor") or inputs.get("started_at")) or otherwise
    if inputs.get("anchor_at_day_start"):
        anchor = local_midnight(local_date(anchor, moments.timezone), moments.timezone)
    anchor = anchor_of(anchor, length, whole_number(inputs.get("anchor_day")), moments.timezone)
    return Schedule(length, anchor, moments.timezone, inputs.get("alignment") or "anniversary")


def containing(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    at = moments.read(inputs["at"])
    period = period_containing(
        schedule(inputs, moments, at),
        at,
        offset=int(inputs.get("offset") or 0),
        started_at=moments.optional(inputs.get("started_at")),
        ended_at=moments.optional(inputs.get("ended_at")),
    )
    return moments.write_period(period)


def elapsed(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Count the invoices of a subscription that are due, one at each boundary."""
    moments = Moments(inputs)
    at, ended_at = moments.read(inputs["at"]), moments.optional(inputs.get("ended_at"))
    periods = schedule(inputs, moments, at)
    subscription = unpaid(periods, moments.optional(inputs.get("started_at")) or periods.anchor)
    return {"count": invoices_due(subscription, at if ended_at is None else min(at, ended_at))}


def unpaid(periods: Schedule, started_at: datetime, ended_at: datetime | None = None) -> BilledSubscription:
    """Return a subscription without fees: only its periods matter."""
    return billed_subscription(periods, [], [], currency=ANY_CURRENCY, started_at=started_at, ended_at=ended_at)


def invoices_due(subscription: BilledSubscription, at: datetime) -> int:
    return len(list(invoices_until(subscription, at)))


def whole(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Count the invoices of a subscription that are due, one after each whole period."""
    moments = Moments(inputs)
    start, end = moments.read(inputs["from"]), moments.read(inputs["to"])
    subscription = unpaid(Schedule(interval(inputs["interval"]), start, moments.timezone), start)
    return {"count": invoices_due(subscription, end)}


def first(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    started_at = moments.read(inputs["started_at"])
    period = period_containing(schedule(inputs, moments, started_at), started_at)
    return {"result": moments.write(started_at if period.start == started_at else period.end)}


def following(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Return the end of the period that a subscription is invoiced for next."""
    moments = Moments(inputs)
    after, ended_at = moments.read(inputs["current_start"]), moments.optional(inputs.get("ended_at"))
    invoice = next_invoice(unpaid(schedule(inputs, moments, after), after, ended_at))
    if invoice is None:
        raise LookupError("The subscription has no next invoice")
    return {"result": moments.write(invoice.period.end)}


def calendar_next(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    at = moments.read(inputs["at"])
    calendar = Schedule(Interval(interval(inputs["interval"]).unit), at, moments.timezone, "calendar")
    return {"result": moments.write(period_containing(calendar, at).end)}


def listing(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """List the windows of a subscription's phases in its periods. A split, as a trial's end, begins another phase."""
    moments = Moments(inputs)
    started_at, until = moments.read(inputs["started_at"]), moments.read(inputs["until"])
    periods = schedule(inputs, moments, started_at)
    subscription = unpaid(periods, started_at, until)
    cuts = sorted(moments.read(cut) for cut in inputs.get("splits") or ())
    subscription.phases = tuple(
        Phase(PhaseKind.ACTIVE, 1, *edges) for edges in zip([started_at, *cuts], [*cuts, None], strict=True)
    )
    return {
        "periods": [
            moments.write_period(window)
            for period in periods_between(periods, started_at, until)
            for _, window in subscription.windows(period, PhaseKind.ACTIVE)
        ]
    }


def add(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Move a moment by an interval of one unit, as a period or a trial that begins there ends."""
    moments = Moments(inputs)
    parts = {unit: int(count) for unit, count in inputs["interval"].items() if int(count)}
    if len(parts) != 1 or not set(parts) <= set(UNITS):
        raise NotOffered("add_interval of several units, or of the clock: a period or trial lasts so many of one unit")
    [(unit, count)] = parts.items()
    days = Schedule(Interval(UNITS[unit]), moments.read(inputs["start"]), moments.timezone)
    return {"result": moments.write(days.boundary(count))}


def add_many(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    periods = Schedule(interval(inputs["interval"]), moments.read(inputs["start"]), moments.timezone)
    return {"result": moments.write(periods.boundary(int(inputs["n"])))}


def days(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    span = Period(moments.read(inputs["from"]), moments.read(inputs["to"]))
    local_days = windows(span, "day", moments.timezone)
    if moments.timezone == "UTC":
        return {"windows": [moments.write_period(window) for window in local_days]}
    # Of these the format says "in UTC", where other zones' days have no date to be written as.
    return {"windows": [{"start": instant(window.start), "end": instant(window.end)} for window in local_days]}


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
    },
    not_offered={
        "change_interval": "a plan change keeps the billing interval; another interval is another subscription",
    },
    policies={"next_rule": frozenset({"anchored"})},
    declined={"next_rule=step_from_current": "boundaries are counted from the anchor, never from the one before"},
)
