"""invoices.json against billing.computation."""

from collections.abc import Iterable, Mapping
from typing import Any

from billing.adjustments.computation import Commitment, Credit, Draft, Line, Policy, compute
from billing.adjustments.discounts import Discount
from billing.adjustments.taxes import TaxRate
from billing.money import Precision
from tests.conformance import adapter_pricing
from tests.conformance.registry import Category, Inputs
from tests.conformance.registry import Policy as VectorPolicy
from tests.conformance.values import fraction, number, optional_number


def invoice(inputs: Inputs, policy: VectorPolicy) -> dict[str, Any]:
    result = compute(draft(inputs, policy))
    return {
        "subtotal": result.subtotal,
        "discount": result.discount,
        "taxable": result.taxable,
        "tax": result.tax,
        "total": result.total,
        "topup": result.topup,
        "commitment_trueup": result.commitment_trueup,
        "credits_applied": result.credits_applied,
        "credits_left": result.credits_left,
        "account_credit_created": result.account_credit,
        "amount_due": result.amount_due,
        "line_net": {row["id"]: line.net for row, line in zip(inputs["lines"], result.lines, strict=False)},
    }


def draft(inputs: Inputs, policy: VectorPolicy) -> Draft:
    present = keys(row["id"] for row in inputs["lines"])
    return Draft(
        currency=inputs.get("currency") or "",
        lines=tuple(line(row, policy) for row in inputs["lines"]),
        taxes=taxes(inputs.get("taxes") or ()),
        commitment=commitment(inputs.get("minimum_commitment")),
        line_discounts=tuple(
            discount(row, f"line discount {place}", keys([row["line"]]))
            for place, row in enumerate(inputs.get("line_discounts") or (), start=1)
        ),
        discounts=tuple(
            discount(row, row["code"], None if row.get("applies_to") is None else present & keys(row["applies_to"]))
            for row in inputs.get("coupons") or ()
        ),
        credits=tuple(Credit(str(place), number(amount)) for place, amount in enumerate(inputs.get("credits") or ())),
        reverse_charge=bool(inputs.get("reverse_charge")),
        precision=Precision(int(inputs["scale"])) if "scale" in inputs else None,
        policy=Policy(
            discount_order=policy.get("coupon_order", "percent_first"),
            discount_split=policy.get("coupon_split", "cents"),
            tax_rounding=policy.get("tax_rounding", "per_tax"),
        ),
    )


def keys(ids: Iterable[str]) -> frozenset[str]:
    """Name lines apart from the one that the product adds for a commitment."""
    return frozenset(f"line {each}" for each in ids)


def line(row: Mapping[str, Any], policy: VectorPolicy) -> Line:
    amount = number(row["amount"]) if "amount" in row else adapter_pricing.rated(row, policy).amount
    return Line(
        key=f"line {row['id']}",
        amount=amount,
        share=fraction(row.get("share")),
        minimum_amount=optional_number(row.get("minimum_amount")),
        minimum_share=fraction(row.get("minimum_share")),
        maximum_amount=optional_number(row.get("maximum_amount")),
        taxes=None if row.get("taxes") is None else taxes(row["taxes"]),
        credit_eligible=bool(row.get("credit_eligible", True)),
    )


def taxes(rows: Iterable[Mapping[str, Any]]) -> tuple[TaxRate, ...]:
    return tuple(TaxRate(row["code"], number(row["rate_percent"])) for row in rows)


def commitment(row: Mapping[str, Any] | None) -> Commitment | None:
    if row is None:
        return None
    already = number(row.get("already_billed") or 0)
    return Commitment(number(row["amount"]), fraction(row.get("share")), already)


def discount(row: Mapping[str, Any], code: str, applies_to: frozenset[str] | None) -> Discount:
    percent, amount = optional_number(row.get("percent_off")), optional_number(row.get("amount_off"))
    return Discount(code, percent, amount, applies_to)


CATEGORY = Category(
    operations={"invoice": invoice},
    policies={
        "coupon_order": frozenset({"percent_first", "listed"}),
        "coupon_split": frozenset({"cents", "exact"}),
        "tax_rounding": frozenset({"per_tax", "per_line", "invoice"}),
        **adapter_pricing.CATEGORY.policies,
    },
)
