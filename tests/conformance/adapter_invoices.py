"""invoices.json against `calculate_fees`, `calculate_usage` with `calculate_true_up`, and `adjust`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billing.adjustments.adjust import adjust
from billing.adjustments.conditions import AppliedCoupon, Conditions, CustomerTax
from billing.adjustments.credit import AvailableCredit
from billing.kinds import CouponScope, LineKind
from billing.lines import Charge
from billing.money import ZERO
from customers.kinds import TaxTreatment
from customers.periods import Period
from tests.conformance import adapter_pricing
from tests.conformance.registry import Category, Inputs, NotOffered, Policy
from tests.conformance.subscriptions import MONTH, START, days_from_start, fee_for, usage_for
from tests.conformance.values import currency_with, number, optional_number, whole_number

WHOLE = (1, 1)


def invoice(inputs: Inputs, policy: Policy) -> dict[str, Any]:
    if inputs.get("minimum_commitment"):
        raise NotOffered("invoice with minimum_commitment: a minimum is agreed for one usage price")
    rows = list(inputs["lines"])
    scale = whole_number(inputs.get("scale"))
    currency = currency_with(2 if scale is None else scale, inputs.get("currency"))
    lines = [lines_of(row, place, currency, policy) for place, row in enumerate(rows, start=1)]
    charges = [line for own in lines for line in own]
    lots = [AvailableCredit(place, number(amount)) for place, amount in enumerate(inputs.get("credits") or ())]
    conditions = Conditions(
        treatment=TaxTreatment.REVERSE_CHARGE if inputs.get("reverse_charge") else TaxTreatment.TAXABLE,
        taxes=taxes(rows, inputs.get("taxes") or ()),
        coupons=coupons(inputs, [row["id"] for row in rows]),
        credit={currency: lots},
    )
    result = adjust(list(charges), conditions, currency=currency, at=MONTH.end)
    adjusted = iter(result.charges)
    return {
        "subtotal": result.subtotal,
        "discount": result.discount,
        "taxable": result.taxable,
        "tax": result.tax,
        "total": max(result.total, ZERO),
        "topup": sum((line.amount for line in charges if line.kind == LineKind.TRUE_UP), ZERO),
        "credits_applied": max(result.credits, ZERO),
        "credits_left": sum((lot.available for lot in lots), ZERO),
        "account_credit_created": max(-result.credits, ZERO),
        "amount_due": result.due,
        "line_net": {
            row["id"]: sum((next(adjusted).remaining for _ in own), ZERO) for row, own in zip(rows, lines, strict=True)
        },
    }


def lines_of(row: Mapping[str, Any], place: int, currency: str, policy: Policy) -> list[Charge]:
    """Return the charges that a vector's line is: a fee, or usage of a price and what it lacks to its minimum."""
    if row.get("credit_eligible", True) is False:
        raise NotOffered("invoice with lines that credit may not pay: prepaid credit pays any part of an invoice")
    if row.get("maximum_amount") is not None:
        raise NotOffered("invoice with maximum_amount of a line: a price's maximum is no discount of its amount")
    share = span(row.get("share"))
    if "amount" in row:
        if row.get("minimum_amount") is not None:
            raise NotOffered("invoice with minimum_amount of a fee: a minimum is agreed for usage")
        period, service = Period(START, days_from_start(share[1])), Period(START, days_from_start(share[0]))
        return fee_for(number(row["amount"]), period, service, "UTC", currency, version_id=place)
    if share != WHOLE:
        raise NotOffered("invoice with a share of usage: usage is never prorated")
    usage = adapter_pricing.usage_of(row, policy, place=place, minimum=optional_number(row.get("minimum_amount")))
    active_days, days = span(row.get("minimum_share"))
    return usage_for(usage, currency, days=days, active_days=active_days)


def span(pair: Sequence[Any] | None) -> tuple[int, int]:
    """Read a share written as [numerator, denominator]: so many days of so many."""
    return WHOLE if pair is None else (int(pair[0]), int(pair[1]))


def taxes(rows: Iterable[Mapping[str, Any]], default: Sequence[Mapping[str, Any]]) -> tuple[CustomerTax, ...]:
    """Read the taxes of all lines. Raises `NotOffered` where some differ."""
    per_line = [default if row.get("taxes") is None else row["taxes"] for row in rows]
    if any(own != per_line[0] for own in per_line):
        raise NotOffered("invoice with lines of different taxes: a customer pays the same taxes on all lines")
    return tuple(
        CustomerTax(row["code"], row["code"], number(row["rate_percent"]))
        for row in (per_line[0] if per_line else default)
    )


def coupons(inputs: Inputs, line_ids: Sequence[str]) -> list[AppliedCoupon]:
    """Read discounts. Those of certain lines are coupons for the lines' plan, or feature."""
    rows = [
        *(
            {**row, "code": f"line {row['line']}", "applies_to": [row["line"]]}
            for row in inputs.get("line_discounts") or ()
        ),
        *(inputs.get("coupons") or ()),
    ]
    return [coupon(row, pk, line_ids) for pk, row in enumerate(rows, start=1)]


def coupon(row: Mapping[str, Any], pk: int, line_ids: Sequence[str] = ()) -> AppliedCoupon:
    named = row.get("applies_to")
    places = frozenset(place for place, line_id in enumerate(line_ids, start=1) if named and line_id in named)
    return AppliedCoupon(
        pk,
        row.get("code") or f"coupon {pk}",
        "Coupon",
        percent_off=optional_number(row.get("percent_off")),
        amount_off=optional_number(row.get("amount_off")),
        scope=CouponScope.EVERYTHING if named is None else CouponScope.CHOSEN,
        feature_ids=places,
        version_ids=places,
    )


CATEGORY = Category(
    operations={"invoice": invoice},
    policies={
        "coupon_order": frozenset({"percent_first"}),
        "coupon_split": frozenset({"cents"}),
        "tax_rounding": frozenset({"per_tax"}),
        **adapter_pricing.CATEGORY.policies,
    },
    declined={
        "coupon_order=listed": "percentages come off before fixed amounts",
        "coupon_split=exact": "a discount's parts are whole cents, so that lines add up",
        "tax_rounding": "each tax is rounded once on the invoice",
        **adapter_pricing.CATEGORY.declined,
    },
)
