"""An invoice's discounts and taxes in answers, and each charge's part of the discounts."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from billing.api.fields import ComputedMoney, MoneyField
from billing.kinds import CouponScope
from billing.lines import Adjusting
from billing.models import Invoice, InvoiceLine
from billing.money import ZERO
from config.api.contract import ContractRecord
from config.api.fields import ComputedChoice, ComputedText, ConstantField
from customers.kinds import TaxTreatment

EXEMPTIONS: dict[str, str] = {TaxTreatment.EXEMPT: "customer_exempt", TaxTreatment.REVERSE_CHARGE: "reverse_charge"}


def saved_id(row: Invoice | InvoiceLine) -> str | None:
    """Return the public id; None for a row of a preview, which isn't saved."""
    return row.public_id if row.pk else None


class AppliedCouponOut(ContractRecord):
    """A discount on the invoice."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("applied_at", "coupon_association_id", "coupon_snapshot", "created_at", "final_price"),
        *("invoice_line_item_id", "metadata", "original_price", "status", "updated_at"),
    )

    id = ComputedText(allow_null=True)
    invoice_id = ComputedText(allow_null=True)
    subscription_id = serializers.CharField(source="invoice.subscription.public_id", allow_null=True)
    coupon_id = serializers.CharField(source="computation.discount.coupon_id", allow_null=True)
    coupon_code = serializers.CharField(source="computation.discount.code", allow_null=True)
    description = serializers.CharField()
    discount_type = ComputedChoice(["fixed", "percentage"], allow_null=True)
    discount_percentage = serializers.CharField(source="computation.discount.percent_off", allow_null=True)
    discounted_amount = ComputedMoney(currency="invoice.currency", help_text="The amount of the discount.")
    currency = serializers.CharField(source="invoice.currency")

    def get_id(self, line: InvoiceLine) -> str | None:
        return saved_id(line)

    def get_invoice_id(self, line: InvoiceLine) -> str | None:
        return saved_id(line.invoice)

    def get_discount_type(self, line: InvoiceLine) -> str | None:
        discount = line.computation.get("discount", {})
        if "percent_off" in discount:
            return "percentage"
        return "fixed" if "amount_off" in discount else None

    def get_discounted_amount(self, line: InvoiceLine) -> Decimal:
        return -line.amount


class AppliedTaxOut(ContractRecord):
    """A tax on the invoice."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("applied_at", "created_at", "external_tax_details", "idempotency_key", "metadata", "provider", "status"),
        *("tax_association_id", "tax_rate", "tax_transaction_id", "tax_transaction_type", "updated_at"),
    )

    id = ComputedText(allow_null=True)
    entity_type = ConstantField("invoice")
    entity_id = ComputedText(allow_null=True)
    tax_rate_id = serializers.CharField(source="computation.tax.rate_id", allow_null=True)
    tax_rate_code = serializers.CharField(source="computation.tax.code")
    description = serializers.CharField()
    percentage_value = serializers.CharField(source="computation.tax.percentage")
    tax_behavior = ComputedChoice(["exclusive", "inclusive"])
    taxable_amount = ComputedMoney(currency="invoice.currency")
    tax_amount = ComputedMoney(currency="invoice.currency")
    currency = serializers.CharField(source="invoice.currency")

    def get_id(self, line: InvoiceLine) -> str | None:
        return saved_id(line)

    def get_entity_id(self, line: InvoiceLine) -> str | None:
        return saved_id(line.invoice)

    def get_tax_behavior(self, line: InvoiceLine) -> str:
        return "inclusive" if line.computation["tax"]["inclusive"] else "exclusive"

    def get_taxable_amount(self, line: InvoiceLine) -> Decimal:
        return Decimal(line.computation["tax"]["base"])

    def get_tax_amount(self, line: InvoiceLine) -> Decimal:
        return Decimal(line.computation["tax"]["amount"])


class ExemptionOut(serializers.Serializer[Any]):
    reason = serializers.CharField(source="tax_note")
    reason_code = ComputedChoice(list(EXEMPTIONS.values()))

    def get_reason_code(self, invoice: Invoice) -> str | None:
        return EXEMPTIONS.get(invoice.tax_treatment)


class TaxSummaryOut(serializers.Serializer[Any]):
    """The invoice's tax: the part added to prices, and the part included in them."""

    total_tax = ComputedMoney()
    exclusive_tax = MoneyField(source="tax_total")
    inclusive_tax = MoneyField(source="tax_included")
    exemption = ExemptionOut(source="exempt_invoice", allow_null=True)

    def get_total_tax(self, invoice: Invoice) -> Decimal:
        return invoice.tax_total + invoice.tax_included


def discounts_by_charge(lines: Iterable[Adjusting], charges: int) -> list[tuple[Decimal, Decimal]]:
    """Return for each charge the discounts limited to some charges, and its part of those on the whole invoice."""
    limited, general = [ZERO] * charges, [ZERO] * charges
    for line in lines:
        discount = line.computation.get("discount")
        for part in discount["by_line"] if discount else ():
            amounts = general if discount.get("scope") == CouponScope.EVERYTHING else limited
            if part["place"] < charges:
                amounts[part["place"]] += Decimal(part["amount"])
    return list(zip(limited, general, strict=True))
