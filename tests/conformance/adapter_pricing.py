"""pricing.json against billing.rating and billing.money."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from billing.adjustments.discounts import apply_discount
from billing.increments import rate_increment
from billing.money import (
    UNROUNDED,
    Precision,
    allocate,
    currency_places,
    round_sum,
    round_to,
    sum_rounded,
)
from billing.rating.percentage import rate_events
from billing.rating.rate import (
    CapacityTier,
    Conversion,
    Model,
    NegativeQuantity,
    QuantityOutOfRange,
    Rated,
    Terms,
    Tier,
    capacity_price,
    combined,
    convert_quantity,
    rate,
    rate_buckets,
    split_free_units,
)
from tests.conformance.registry import Category, Inputs, NotOffered, Policy, Refused
from tests.conformance.values import number, numbers, optional_number, whole_number

SUMS = {"round_then_sum": sum_rounded, "sum_then_round": round_sum}


def tier(row: Mapping[str, Any]) -> Tier:
    return Tier(
        up_to=optional_number(row.get("up_to")),
        unit_amount=number(row.get("unit_amount") or 0),
        flat_amount=number(row.get("flat_amount") or 0),
        cap_amount=optional_number(row.get("cap_amount")),
        rate_percent=number(row.get("rate_percent") or 0),
    )


def conversion(inputs: Inputs) -> Conversion | None:
    given, free = inputs.get("conversion"), inputs.get("free_units_after_conversion")
    if given is None and free is None:
        return None
    given = given or {}
    return Conversion(
        multiply_by=number(given.get("multiply_by") or 1),
        divide_by=number(given.get("divide_by") or 1),
        rounding=given.get("round") or "none",
        free_units=number(free or 0),
    )


def terms(inputs: Inputs, policy: Policy) -> Terms:
    model = inputs["model"]
    if model["type"] not in set(Model):
        raise NotOffered(f"model {model['type']}: no such price model")
    return Terms(
        model=Model(model["type"]),
        unit_amount=number(model.get("unit_amount") or model.get("package_amount") or 0),
        flat_amount=number(model.get("flat_amount") or 0),
        package_size=number(model.get("package_size") or 1),
        package_rounding=model.get("package_rounding") or "up",
        tiers=tuple(tier(row) for row in model.get("tiers") or ()),
        cap_amount=optional_number(model.get("cap_amount")),
        conversion=conversion(inputs),
        charge_at_zero=policy.get("zero_usage_flat", "charge") == "charge",
        rate_percent=number(model.get("rate_percent") or 0),
        fixed_amount_per_event=number(model.get("fixed_amount_per_event") or 0),
        free_events=whole_number(model.get("free_events")),
        free_amount=optional_number(model.get("free_amount")),
        per_event_min=optional_number(model.get("per_event_min")),
        per_event_max=optional_number(model.get("per_event_max")),
        tier_boundary=policy.get("tier_boundary", "upper_inclusive"),
        beyond_last_tier=policy.get("beyond_last_tier", "error"),
        negative_quantity=policy.get("negative_quantity", "clamp"),
    )


def free_units(inputs: Inputs) -> Decimal:
    return number(inputs["model"].get("free_units") or 0)


@contextmanager
def refusals() -> Iterator[None]:
    """Name the product's refusals by the vectors' error codes."""
    try:
        yield
    except QuantityOutOfRange as error:
        raise Refused("quantity_out_of_range") from error
    except NegativeQuantity as error:
        raise Refused("negative_quantity") from error


@refusals()
def rated(inputs: Inputs, policy: Policy) -> Rated:
    """Rate a vector's quantity or events, as an invoice line would."""
    price = terms(inputs, policy)
    if inputs.get("events") is not None:
        return rate_events(numbers(inputs["events"]), price)
    quantity = number(inputs["quantity"])
    if price.conversion and free_units(inputs) and quantity > 0:
        # The product's free units come off the metered quantity, a vector's off the converted one.
        quantity, price = convert_quantity(quantity, price.conversion), replace(price, conversion=None)
    return rate(
        quantity,
        price,
        free_units=free_units(inputs),
        tier_quantity=optional_number(inputs.get("tier_selection_quantity")),
    )


def precision(policy: Policy) -> Precision:
    if "rounding" not in policy:
        return UNROUNDED
    return Precision(int(policy.get("scale", 0)), policy["rounding"])


def charge(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"amount": precision(policy).round(rated(inputs, policy).amount)}


@refusals()
def charge_incremental(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    result = rate_increment(
        number(inputs["previous_quantity"]),
        number(inputs["line_quantity"]),
        terms(inputs, policy),
        free_units=free_units(inputs),
        previously_billed=number(inputs.get("previously_billed") or 0),
        final=bool(inputs.get("is_final_line_of_period")),
        minimum=optional_number(inputs.get("minimum_amount")),
        maximum=optional_number(inputs.get("maximum_amount")),
        percent_off=optional_number(inputs.get("percentage_discount")),
        precision=precision(policy),
    )
    return {
        "gross": result.gross,
        "discount": result.discount,
        "minimum_topup": result.minimum_topup,
        "net": result.net,
    }


def convert(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"quantity": convert_quantity(number(inputs["quantity"]), conversion(inputs))}


def free_units_progressive(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    previous, line = split_free_units(
        number(inputs["free_units"]), number(inputs["previous_quantity"]), number(inputs["line_quantity"])
    )
    return {"billable_previous_quantity": previous, "billable_quantity": line}


def round_money(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    mode = inputs.get("mode") or "half_up"
    return {"amount": round_to(number(inputs["amount"]), int(inputs["scale"]), mode)}


def currency_scale(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"scale": currency_places(inputs["currency"].upper())}


def rounded_sum(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    add = SUMS[inputs.get("order", "round_then_sum")]
    return {"amount": add(numbers(inputs["amounts"]), int(inputs["scale"]))}


def allocation(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    weights = numbers(inputs["weights"])
    return {"amounts": allocate(number(inputs["amount"]), weights, places=int(inputs["scale"]))}


def discount(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    result = apply_discount(
        number(inputs["amount"]),
        Precision(int(inputs["scale"])),
        percent_off=optional_number(inputs.get("percent_off")),
        amount_off=optional_number(inputs.get("amount_off")),
    )
    return {"discount": result.discount, "final": result.final}


@refusals()
def charge_buckets(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    ratings = rate_buckets(numbers(inputs["quantities"]), terms(inputs, policy), free_units=free_units(inputs))
    return {"amount": precision(policy).round(combined(ratings).amount)}


@refusals()
def capacity(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    tiers = [
        CapacityTier(number(row["price"]), {unit: optional_number(limit) for unit, limit in row["limits"].items()})
        for row in inputs["tiers"]
    ]
    usage = {unit: number(used) for unit, used in inputs["usage"].items()}
    return {"amount": capacity_price(tiers, usage)}


CATEGORY = Category(
    operations={
        "charge": charge,
        "charge_incremental": charge_incremental,
        "convert_quantity": convert,
        "free_units_progressive": free_units_progressive,
        "round_money": round_money,
        "currency_scale": currency_scale,
        "round_sum": rounded_sum,
        "allocate": allocation,
        "discount": discount,
        "charge_buckets": charge_buckets,
        "capacity_price": capacity,
    },
    not_offered={
        "charge_blocks": "tiers have cumulative bounds; widths counted in blocks from the tier before are not sold",
    },
    policies={
        "tier_boundary": frozenset({"upper_inclusive", "next_tier"}),
        "zero_usage_flat": frozenset({"charge", "skip"}),
        "negative_quantity": frozenset({"clamp", "error"}),
        "beyond_last_tier": frozenset({"error", "covered_only"}),
    },
    informative=frozenset({"currency"}),  # the scale is named beside it
)
