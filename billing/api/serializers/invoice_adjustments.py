"""What the API says of an invoice's discounts and taxes: which, of what, how much; and each charge's part of them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.adjustments.conditions import EVERYTHING, EXEMPT, REVERSE_CHARGE
from billing.lines import DISCOUNT, TAX, Adjusting
from billing.money import ZERO, money

EXEMPTIONS = {EXEMPT: "customer_exempt", REVERSE_CHARGE: "reverse_charge"}


class AppliedCouponOut(serializers.Serializer[Any]):
    """A discount that reduced the invoice."""

    id = serializers.CharField(allow_null=True)
    coupon_id = serializers.CharField(allow_null=True)
    coupon_code = serializers.CharField(allow_null=True)
    description = serializers.CharField()
    discount_type = serializers.ChoiceField(["fixed", "percentage"], allow_null=True)
    discount_percentage = serializers.CharField(allow_null=True)
    discounted_amount = serializers.CharField(help_text="What it took off.")
    currency = serializers.CharField()


class AppliedTaxOut(serializers.Serializer[Any]):
    """A tax of the invoice."""

    id = serializers.CharField(allow_null=True)
    tax_rate_id = serializers.CharField(allow_null=True)
    tax_rate_code = serializers.CharField()
    description = serializers.CharField()
    percentage_value = serializers.CharField()
    tax_behavior = serializers.ChoiceField(["exclusive", "inclusive"])
    taxable_amount = serializers.CharField()
    tax_amount = serializers.CharField()
    currency = serializers.CharField()


class ExemptionOut(serializers.Serializer[Any]):
    reason = serializers.CharField()
    reason_code = serializers.ChoiceField(list(EXEMPTIONS.values()))


class TaxSummaryOut(serializers.Serializer[Any]):
    """The invoice's tax: on top of its prices, and contained in them."""

    total_tax = serializers.CharField()
    exclusive_tax = serializers.CharField()
    inclusive_tax = serializers.CharField()
    exemption = ExemptionOut(allow_null=True)


def coupons_out(lines: Iterable[Adjusting], currency: str) -> list[dict[str, Any]]:
    return [_coupon(line, currency) for line in lines if line.kind == DISCOUNT]


def _coupon(line: Adjusting, currency: str) -> dict[str, Any]:
    how = line.computation.get("discount", {})
    kind = "percentage" if "percent_off" in how else "fixed" if "amount_off" in how else None
    return {
        "id": getattr(line, "public_id", None),
        "coupon_id": how.get("coupon_id"),
        "coupon_code": how.get("code"),
        "description": line.description,
        "discount_type": kind,
        "discount_percentage": how.get("percent_off"),
        "discounted_amount": money(-line.amount, currency),
        "currency": currency,
    }


def taxes_out(lines: Iterable[Adjusting], currency: str) -> list[dict[str, Any]]:
    return [_tax(line, currency) for line in lines if line.kind == TAX]


def _tax(line: Adjusting, currency: str) -> dict[str, Any]:
    how = line.computation["tax"]
    return {
        "id": getattr(line, "public_id", None),
        "tax_rate_id": how.get("rate_id"),
        "tax_rate_code": how["code"],
        "description": line.description,
        "percentage_value": how["percentage"],
        "tax_behavior": "inclusive" if how["inclusive"] else "exclusive",
        "taxable_amount": money(Decimal(how["base"]), currency),
        "tax_amount": money(Decimal(how["amount"]), currency),
        "currency": currency,
    }


def tax_summary(tax: Decimal, included: Decimal, treatment: str, note: str, currency: str) -> dict[str, Any]:
    code = EXEMPTIONS.get(treatment)
    return {
        "total_tax": money(tax + included, currency),
        "exclusive_tax": money(tax, currency),
        "inclusive_tax": money(included, currency),
        "exemption": {"reason": note, "reason_code": code} if code else None,
    }


def discounts_by_charge(lines: Iterable[Adjusting], charges: int) -> list[tuple[Decimal, Decimal]]:
    """Return, for each charge by its place, what discounts of certain charges took off, and what the others did."""
    own, whole = [ZERO] * charges, [ZERO] * charges
    for line in lines:
        how = line.computation.get("discount")
        for part in how["by_line"] if how else ():
            taken = whole if how.get("scope") == EVERYTHING else own
            if part["place"] < charges:
                taken[part["place"]] += Decimal(part["amount"])
    return list(zip(own, whole, strict=True))
