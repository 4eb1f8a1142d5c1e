"""The golden vectors against the independent rater. What the product doesn't offer isn't asked of the rater either."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.money import exact
from billing.proofs.rater.numbers import read, read_optional, round_to, split, write
from billing.proofs.rater.time import Cycle, Span, count_days, day_start, local_day, share
from billing.proofs.rater.totals import Charge, Coupon, Tax, add_up
from tests.billing.proofs.rater import questions
from tests.billing.proofs.rater.questions import EVERY_DIGIT
from tests.conformance import adapter_invoices, adapter_periods, adapter_pricing, adapter_proration
from tests.conformance.registry import Category, Inputs, Operation, Policy, Refused
from tests.conformance.values import Moments, anchor_of, interval, rounded, rounds_like_money, whole_number

USED_AT = "2026-01-10T00:00:00Z"
Answer = Callable[[Inputs, Policy], dict[str, Any]]


def decimal(number: Fraction) -> Decimal:
    return Decimal(write(number))


def places_of(policy: Policy) -> int:
    return int(policy.get("scale", 0)) if rounds_like_money(policy) else EVERY_DIGIT


def price_of(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    model, conversion = inputs["model"], inputs.get("conversion") or {}
    rounding = {"up": "ceil", "down": "floor"}.get(conversion.get("round"), conversion.get("round") or "none")
    names = {"maximum": "cap_amount", "per_event_minimum": "per_event_min", "per_event_maximum": "per_event_max"}
    amount = (
        model.get("flat_amount") if model["type"] == "flat" else model.get("unit_amount") or model.get("package_amount")
    )
    return questions.price(
        **{name: value for name, value in model.items() if name not in ("type", "unit_amount", "flat_amount")},
        **{name: model.get(other) for name, other in names.items()},
        model=model["type"],
        unit_amount=amount,
        charge_at_zero=policy.get("zero_usage_flat", "charge") == "charge",
        multiply_by=conversion.get("multiply_by"),
        divide_by=conversion.get("divide_by"),
        rounding=rounding,
        minimum=inputs.get("minimum_amount"),
    )


def question_of(inputs: Inputs, policy: Policy, places: int) -> dict[str, Any]:
    free = questions.free_units(inputs["model"].get("free_units") or "0")
    version = questions.version([price_of(inputs, policy)], free={"1": free})
    return {
        "subscription": questions.subscription(versions={"1": version}, places=places),
        "period": questions.MONTH,
    }


def charge(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    values = inputs["events"] if inputs.get("events") is not None else [inputs["quantity"]]
    events = [(USED_AT, value) for value in values]
    answer = questions.ask(question_of(inputs, policy, places_of(policy)), {1: events})
    if "error" in answer:
        raise Refused("quantity_out_of_range")
    return {"amount": rounded(sum((Decimal(line["amount"]) for line in answer["usage"]), Decimal(0)), policy)}


def convert(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Ask for a positive quantity: negative usage isn't priced, and converts to its mirror image."""
    given = {**inputs, "model": {"type": "per_unit", "unit_amount": "1"}}
    quantity = read(inputs["quantity"])
    line = questions.usage_of(question_of(given, policy, EVERY_DIGIT), (USED_AT, write(abs(quantity))))
    return {"quantity": line["billable"] * (-1 if quantity < 0 else 1)}


def round_money(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"amount": decimal(round_to(read(inputs["amount"]), int(inputs["scale"])))}


def allocate(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Split the size of an amount: a discount is never negative."""
    amount, weights = read(inputs["amount"]), [read(weight) for weight in inputs["weights"]]
    sign, total = (-1 if amount < 0 else 1), sum(weights) or Fraction(1)
    parts = split(abs(amount), [abs(amount) * weight / total for weight in weights], int(inputs["scale"]))
    return {"amounts": [sign * decimal(part) for part in parts]}


def discount(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    coupon = {"number": 1, "percent": inputs["percent_off"], "amount": inputs["amount_off"], "scope": "everything"}
    totals = add_up([Charge("fee", read(inputs["amount"]))], [Coupon.read(coupon)], [], int(inputs["scale"]))
    return {"discount": decimal(totals.discount), "final": decimal(totals.total)}


def spans(inputs: Inputs, *names: str) -> list[Span]:
    moments = Moments(inputs)
    return [Span(*(moments.read(inputs[name][edge]) for edge in ("start", "end"))) for name in names]


def factor(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    period, service = spans(inputs, "period", "service")
    number = share(period, service, Moments(inputs).timezone)
    return {"factor": decimal(round_to(number, int(policy["factor_scale"])) if "factor_scale" in policy else number)}


def prorate(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    period, service = spans(inputs, "period", "service")
    amount = read(inputs["amount"]) * share(period, service, Moments(inputs).timezone)
    return {"amount": rounded(decimal(round_to(amount, places_of(policy))), policy)}


def plan_change(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Ask for the lines of both fees after a change whose old fee is invoiced already."""
    moments = Moments(inputs)
    period, change_at = moments.period(inputs["period"]), moments.read(inputs["change_at"]).isoformat()
    days = count_days(Span(period.start, period.end), moments.timezone)
    old, new = read(inputs["old_amount"]), read(inputs["new_amount"])
    edges = {"start": period.start.isoformat(), "end": period.end.isoformat()}
    phases = [
        questions.phase(number=1, start=edges["start"], end=change_at),
        questions.phase(number=2, start=change_at),
    ]
    subscription = questions.subscription(
        cycle={
            **questions.ONE_MONTH,
            "unit": "day",
            "count": days,
            "anchor": edges["start"],
            "timezone": moments.timezone,
        },
        started_at=edges["start"],
        phases=[phase for phase in phases if phase["start"] != phase["end"]],
        versions={
            "1": questions.version(fees=[questions.fee(1, old)]),
            "2": questions.version(fees=[questions.fee(2, new)]),
        },
        places=places_of(policy),
    )
    held = [[edges["start"], write(round_to(old, places_of(policy))), "0"]]
    fees = [{"price": 1, "at": edges["start"], "held": held}, {"price": 2, "at": edges["start"], "held": []}]
    lines = questions.ask({"subscription": subscription, "fees": fees})["fees"]
    credit, charged = (Decimal(line["amount"]) for line in lines)
    if inputs.get("new_cycle_starts_at_change"):
        charged = decimal(round_to(new, places_of(policy)))
    with exact():
        net = credit + charged
    return {"credit": rounded(credit, policy), "charge": rounded(charged, policy), "net": rounded(net, policy)}


def calendar_days(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    return {"days": count_days(Span(moments.read(inputs["start"]), moments.read(inputs["end"])), moments.timezone)}


def cycle_of(inputs: Inputs, moments: Moments, otherwise: datetime) -> Cycle:
    """Return the periods of a vector, from its anchor, or else from the day of the month that it names."""
    length, is_calendar = interval(inputs["interval"]), inputs.get("alignment") == "calendar"
    anchor = moments.optional(inputs.get("anchor") or inputs.get("started_at")) or otherwise
    if inputs.get("anchor_at_day_start"):
        anchor = day_start(local_day(anchor, moments.timezone), moments.timezone)
    anchor = anchor_of(anchor, length, whole_number(inputs.get("anchor_day")), moments.timezone)
    return Cycle(length.unit, length.count, anchor, moments.timezone, is_calendar)


def period_containing(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    at = moments.read(inputs["at"])
    started, ended = (moments.optional(inputs.get(name)) for name in ("started_at", "ended_at"))
    cycle = cycle_of(inputs, moments, at)
    moment = max(at, started or at)
    number = cycle.number_at(moment) + int(inputs.get("offset") or 0)
    full = cycle.full(number)
    if ended is not None and moment >= ended:
        full = next(full for n in range(number, -1000, -1) if (full := cycle.full(n)).start < ended)
    start = full.start if started is None else max(full.start, started)
    return {"start": moments.write(start), "end": moments.write(full.end if ended is None else min(full.end, ended))}


def next_boundary(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    moments = Moments(inputs)
    after, ended = moments.read(inputs["current_start"]), moments.optional(inputs.get("ended_at"))
    cycle = cycle_of(inputs, moments, after)
    end = cycle.full(cycle.number_at(after)).end
    return {"result": moments.write(end if ended is None else min(end, ended))}


def invoice(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Rate the lines one by one, then ask for the totals of all."""
    places, rows = int(inputs.get("scale", 2)), list(inputs["lines"])
    charges = [charge for place, row in enumerate(rows, start=1) for charge in charges_of(row, place, places, policy)]
    taxes = rows[0].get("taxes") or inputs.get("taxes") or () if rows else ()
    kept = add_up(
        charges,
        coupons_of(inputs, [row["id"] for row in rows]),
        [Tax(read(row["rate_percent"]), is_inclusive=False) for row in taxes],
        places,
        is_reversed=bool(inputs.get("reverse_charge")),
    )
    return {
        "subtotal": decimal(kept.subtotal),
        "discount": decimal(kept.discount),
        "taxable": decimal(kept.subtotal - kept.discount),
        "tax": decimal(kept.tax),
        "total": decimal(max(kept.total, Fraction(0))),
        "topup": decimal(sum((charge.amount for charge in charges if charge.kind == "true_up"), Fraction(0))),
        "line_net": {
            row["id"]: decimal(
                sum((charge.left for charge in charges if place in (charge.feature, charge.version)), Fraction(0))
            )
            for place, row in enumerate(rows, start=1)
        },
        **credits_of(kept.total, [read(amount) for amount in inputs.get("credits") or ()]),
    }


def credits_of(total: Fraction, available: list[Fraction]) -> dict[str, Any]:
    """Credit isn't rated: it pays what it can of a positive total, and a negative total becomes credit."""
    applied = min(max(total, Fraction(0)), sum(available, Fraction(0)))
    return {
        "credits_applied": decimal(applied),
        "credits_left": decimal(sum(available, Fraction(0)) - applied),
        "account_credit_created": decimal(max(-total, Fraction(0))),
        "amount_due": decimal(max(total, Fraction(0)) - applied),
    }


def charges_of(row: Inputs, place: int, places: int, policy: Policy) -> list[Charge]:
    days, of = row.get("share") or (1, 1)
    if "amount" in row:
        amount = round_to(read(row["amount"]) * int(days) / int(of), places)
        return [Charge("fee", amount, version=place)] if amount else []
    active, of = row.get("minimum_share") or (1, 1)
    least = write(read(row.get("minimum_amount") or 0) * int(active) / int(of))
    question = question_of({**row, "minimum_amount": least if row.get("minimum_amount") else None}, policy, places)
    values = row["events"] if row.get("events") is not None else [row["quantity"]]
    [line] = questions.ask(question, {1: [(USED_AT, value) for value in values]})["usage"] or [None]
    if line is None:
        return []
    parts = (("usage", line["amount"]), ("true_up", line["missing"]))
    return [Charge(kind, read(amount), feature=place) for kind, amount in parts if read(amount) or kind == "usage"]


def coupons_of(inputs: Inputs, ids: list[str]) -> list[Coupon]:
    lines = [{**row, "applies_to": [row["line"]]} for row in inputs.get("line_discounts") or ()]
    coupons = []
    for number, row in enumerate([*lines, *(inputs.get("coupons") or ())], start=1):
        named = row.get("applies_to")
        chosen = frozenset(place for place, name in enumerate(ids, start=1) if named and name in named)
        scope = "everything" if named is None else "chosen"
        percent, amount = read_optional(row.get("percent_off")), read_optional(row.get("amount_off"))
        coupons.append(Coupon(number, percent, amount, scope, chosen, chosen))
    return coupons


def offered(by_product: Operation, answer: Answer) -> Operation:
    """Ask the rater what the product offers: its adapter raises for the rest."""

    def operation(inputs: Inputs, policy: Policy) -> dict[str, Any]:
        by_product(inputs, policy)
        return answer(inputs, policy)

    return operation


def category(by_product: Category, answers: dict[str, Answer]) -> Category:
    operations = {name: offered(by_product.operations[name], answer) for name, answer in answers.items()}
    others = {name: "the rater isn't asked" for name in by_product.operations if name not in answers}
    return replace(by_product, operations=operations, not_offered={**by_product.not_offered, **others})


CATEGORIES = {
    "pricing": category(
        adapter_pricing.CATEGORY,
        {
            "charge": charge,
            "convert_quantity": convert,
            "round_money": round_money,
            "allocate": allocate,
            "discount": discount,
        },
    ),
    "proration": category(
        adapter_proration.CATEGORY,
        {"factor": factor, "prorate": prorate, "plan_change": plan_change, "calendar_days": calendar_days},
    ),
    "periods": category(
        adapter_periods.CATEGORY, {"period_containing": period_containing, "next_boundary": next_boundary}
    ),
    "invoices": category(adapter_invoices.CATEGORY, {"invoice": invoice}),
}
