"""pricing.json against the usage lines of invoices (`calculate_usage`, which calls `rate`), and `billing.money`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from billing.adjustments.adjust import InvoiceTotals, adjust
from billing.adjustments.conditions import AppliedCoupon, Conditions
from billing.kinds import CouponScope, LineKind
from billing.lines import Charge
from billing.money import ZERO, allocate, currency_places, round_amount
from billing.rating.rate import QuantityOutOfRange, convert_quantity
from billing.rating.terms import Conversion, Model, Terms, Tier
from tests.conformance.registry import Category, Inputs, NotOffered, Policy, Refused
from tests.conformance.subscriptions import MONTH, Usage, amount_of, fee_for, usage_for, usage_in_two
from tests.conformance.values import (
    currency_for,
    currency_with,
    number,
    numbers,
    optional_number,
    whole_number,
)

# How converted usage is rounded. It is never negative, so that away from zero is up.
ROUNDINGS = {"none": "none", "half_up": "half_up", "up": "ceil", "ceil": "ceil", "down": "floor", "floor": "floor"}
PER_UNIT = Terms(Model.PER_UNIT, unit_amount=Decimal(1))


def tier(row: Mapping[str, Any]) -> Tier:
    if row.get("cap_amount") is not None:
        raise NotOffered("charge with cap_amount of a tier: a maximum limits a price's whole amount")
    return Tier(
        up_to=optional_number(row.get("up_to")),
        unit_amount=number(row.get("unit_amount") or 0),
        flat_amount=number(row.get("flat_amount") or 0),
        rate_percent=number(row.get("rate_percent") or 0),
    )


def conversion(inputs: Inputs) -> Conversion | None:
    if optional_number(inputs.get("free_units_after_conversion")):
        raise NotOffered("charge with free_units_after_conversion: free units come off before usage is converted")
    row = inputs.get("conversion")
    if row is None:
        return None
    rounding = row.get("round") or "none"
    if rounding not in ROUNDINGS:
        raise NotOffered(f"conversion rounded {rounding}: converted usage rounds to the nearest, up or down")
    return Conversion(
        multiply_by=number(row.get("multiply_by") or 1),
        divide_by=number(row.get("divide_by") or 1),
        rounding=ROUNDINGS[rounding],
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
    )


def usage_of(
    inputs: Inputs,
    policy: Policy,
    *,
    quantity: Decimal | None = None,
    minimum: Decimal | None = None,
    place: int = 1,
) -> Usage:
    """Read a price and its usage. `quantity` is used instead of the vector's."""
    price, free_units = terms(inputs, policy), number(inputs["model"].get("free_units") or 0)
    if inputs.get("tier_selection_quantity") is not None:
        raise NotOffered("charge with tier_selection_quantity: usage isn't prorated, its own quantity picks the tier")
    if price.conversion is not None and free_units:
        raise NotOffered("charge with free units of converted usage: free units come off before usage is converted")
    values = numbers(inputs.get("events") or ())
    if quantity is None:
        quantity = sum(values, ZERO) if inputs.get("events") is not None else number(inputs["quantity"])
    return Usage(price, quantity, values, free_units, minimum, place)


@contextmanager
def refusals() -> Iterator[None]:
    """Name the product's refusals by the vectors' error codes."""
    try:
        yield
    except QuantityOutOfRange as error:
        raise Refused("quantity_out_of_range") from error


@refusals()
def charge(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"amount": amount_of(usage_for(usage_of(inputs, policy), currency_for(policy)), policy)}


@refusals()
def charge_incremental(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Bill the rest of a period whose beginning is invoiced; of one that isn't, the whole."""
    lines = incremental_lines(inputs, policy)
    gross = amount_of([line for line in lines if line.kind == LineKind.USAGE], policy)
    topup = amount_of([line for line in lines if line.kind == LineKind.TRUE_UP], policy)
    percent_off = optional_number(inputs.get("percentage_discount"))
    if percent_off is None:
        return {"gross": gross, "discount": ZERO, "minimum_topup": topup, "net": amount_of(lines, policy)}
    if inputs.get("minimum_amount") is not None:
        raise NotOffered("charge_incremental with a minimum after discounts: discounts come off the minimum too")
    result = discounted(list(lines), currency_for(policy), percent_off=percent_off)
    return {"gross": gross, "discount": result.discount, "minimum_topup": topup, "net": result.total}


def incremental_lines(inputs: Inputs, policy: Policy) -> list[Charge]:
    if inputs.get("maximum_amount") is not None:
        raise NotOffered("charge_incremental with maximum_amount: a price's maximum is no discount of its amount")
    minimum, currency = optional_number(inputs.get("minimum_amount")), currency_for(policy)
    is_final = bool(inputs.get("is_final_line_of_period"))
    if minimum is not None and not is_final:
        raise NotOffered("charge_incremental with a minimum that isn't due yet: each invoice of a period charges it")
    previous, line = number(inputs["previous_quantity"]), number(inputs["line_quantity"])
    usage = usage_of(inputs, policy, quantity=previous + line, minimum=minimum)
    billed = number(inputs.get("previously_billed") or 0)
    return usage_in_two(usage, previous, currency).later if previous or billed else usage_for(usage, currency)


def convert(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"quantity": convert_quantity(number(inputs["quantity"]), conversion(inputs))}


def free_units_progressive(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    previous, line = number(inputs["previous_quantity"]), number(inputs["line_quantity"])
    usage = Usage(PER_UNIT, previous + line, free_units=number(inputs["free_units"]))
    invoices = usage_in_two(usage, previous, currency_for(policy))
    return {
        "billable_previous_quantity": sum((each.billable_quantity for each in invoices.earlier), ZERO),
        "billable_quantity": sum((each.billable_quantity for each in invoices.later), ZERO),
    }


def round_money(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    mode = inputs.get("mode") or "half_up"
    if mode != "half_up":
        raise NotOffered(f"round_money {mode}: money rounds halves away from zero")
    currency = currency_with(int(inputs["scale"]), inputs.get("currency"))
    return {"amount": round_amount(number(inputs["amount"]), currency)}


def currency_scale(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"scale": currency_places(inputs["currency"].upper())}


def rounded_sum(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    """Add up an invoice of fees."""
    if inputs.get("order", "round_then_sum") != "round_then_sum":
        raise NotOffered("round_sum of sum_then_round: lines are rounded, and totals add lines as they are shown")
    currency = currency_with(int(inputs["scale"]))
    lines = [line for amount in numbers(inputs["amounts"]) for line in fee_for(amount, MONTH, MONTH, "UTC", currency)]
    return {"amount": discounted(list(lines), currency).total}


def allocation(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    return {"amounts": allocate(number(inputs["amount"]), numbers(inputs["weights"]), int(inputs["scale"]))}


def discount(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    result = discounted(
        [Charge(LineKind.FEE, number(inputs["amount"]))],
        currency_with(int(inputs["scale"]), inputs.get("currency")),
        percent_off=optional_number(inputs.get("percent_off")),
        amount_off=optional_number(inputs.get("amount_off")),
    )
    return {"discount": result.discount, "final": result.total}


def discounted(
    charges: list[Charge], currency: str, *, percent_off: Decimal | None = None, amount_off: Decimal | None = None
) -> InvoiceTotals:
    """Total an invoice, with a coupon if there is one."""
    coupons = [
        AppliedCoupon(
            1, "coupon", "Coupon", percent_off=percent_off, amount_off=amount_off, scope=CouponScope.EVERYTHING
        )
    ]
    has_coupon = percent_off is not None or amount_off is not None
    return adjust(charges, Conditions(coupons=coupons if has_coupon else []), currency=currency, at=MONTH.end)


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
    },
    not_offered={
        "charge_blocks": "tiers have cumulative bounds; widths counted in blocks from the tier before are not sold",
        "charge_buckets": "a price rates a feature's usage as a whole, not by group or by day",
        "capacity_price": "a price rates one feature; a price for limits of several is not sold",
    },
    policies={
        "tier_boundary": frozenset({"upper_inclusive"}),
        "zero_usage_flat": frozenset({"charge", "skip"}),
        "negative_quantity": frozenset({"clamp"}),
        "beyond_last_tier": frozenset({"error"}),
    },
    declined={
        "tier_boundary=next_tier": "a quantity on a tier's bound belongs to that tier",
        "negative_quantity=error": "negative usage is charged as zero",
        "beyond_last_tier=covered_only": "a price whose last tier is bounded can't be published",
    },
    informative=frozenset({"currency"}),  # the scale is named beside it
)
