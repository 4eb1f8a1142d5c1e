"""Wallet transactions in requests and answers. A credit is worth one unit of the wallet's currency."""

from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers

from billing.adjustments.credit import is_unexpired
from billing.api.fields import ComputedMoney, MoneyField
from billing.api.serializers.wallets import AmountIn, WalletOut
from billing.models import EntryKind, GrantKind, WalletEntry
from config.api.contract import ContractAnswer, ContractRecord
from config.api.fields import (
    ComputedChoice,
    ComputedMetadata,
    ComputedText,
    ConstantField,
    ConstantText,
    MetadataField,
    MomentField,
    TextField,
)
from config.api.unknown_names import Unused

GRANT_REASONS = {
    "PURCHASED_CREDIT_DIRECT": GrantKind.PURCHASED,
    "FREE_CREDIT_GRANT": GrantKind.PROMOTIONAL,
    "SUBSCRIPTION_CREDIT_GRANT": GrantKind.PROMOTIONAL,
    "PURCHASED_CREDIT_BONUS": GrantKind.PROMOTIONAL,
    "CREDIT_ADJUSTMENT": GrantKind.CORRECTION,
    "CREDIT_NOTE": GrantKind.CORRECTION,
}
KIND_REASONS = {
    GrantKind.PURCHASED: "PURCHASED_CREDIT_DIRECT",
    GrantKind.PROMOTIONAL: "FREE_CREDIT_GRANT",
    GrantKind.CORRECTION: "CREDIT_ADJUSTMENT",
    GrantKind.INVOICE: "CREDIT_ADJUSTMENT",
    GrantKind.OVERPAYMENT: "PURCHASED_CREDIT_DIRECT",
}
ENTRY_REASONS = {
    EntryKind.APPLIED: "INVOICE_PAYMENT",
    EntryKind.RETURNED: "INVOICE_VOID_REFUND",
    EntryKind.EXPIRED: "CREDIT_EXPIRED",
    EntryKind.TAKEN_BACK: "MANUAL_BALANCE_DEBIT",
}
REASONS = sorted({*KIND_REASONS.values(), *ENTRY_REASONS.values()})


class EntryOut(ContractRecord):
    """A wallet transaction."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("consumption_breakdown", "created_by_user", "customer", "parent_transaction_id", "source_id"),
        *("source_type", "updated_at", "wallet"),
    )

    id = serializers.CharField(source="public_id")
    wallet_id = serializers.CharField(source="wallet.public_id")
    customer_id = serializers.CharField(source="wallet.customer.public_id")
    type = ComputedChoice(["credit", "debit"])
    amount = ComputedMoney(currency="wallet.currency")
    credit_amount = ComputedMoney(currency="wallet.currency")
    currency = serializers.CharField(source="wallet.currency")
    credit_balance_before = ComputedMoney(currency="wallet.currency")
    credit_balance_after = MoneyField(source="balance_after", currency="wallet.currency")
    credits_available = ComputedMoney(
        currency="wallet.currency", help_text="The remaining part of the credit that this transaction granted."
    )
    transaction_status = ConstantField("completed")
    transaction_reason = ComputedChoice(REASONS)
    reference_type = ComputedText(allow_null=True)
    reference_id = serializers.CharField(source="invoice.public_id", allow_null=True)
    idempotency_key = ComputedText(allow_null=True)
    description = serializers.CharField(source="reason")
    priority = serializers.IntegerField(source="grant.priority")
    expiry_date = serializers.DateTimeField(source="grant.expires_at", allow_null=True)
    conversion_rate = ConstantText("1")
    topup_conversion_rate = ConstantText("1")
    metadata = ComputedMetadata()
    status = ConstantField("published")
    created_at = serializers.DateTimeField(source="at")

    def get_type(self, entry: WalletEntry) -> str:
        return "credit" if entry.amount > 0 else "debit"

    def get_amount(self, entry: WalletEntry) -> Decimal:
        return abs(entry.amount)

    get_credit_amount = get_amount

    def get_credit_balance_before(self, entry: WalletEntry) -> Decimal:
        return entry.balance_after - entry.amount

    def get_credits_available(self, entry: WalletEntry) -> Decimal:
        is_usable = entry.kind == EntryKind.GRANTED and is_unexpired(entry.grant.expires_at, timezone.now())
        return entry.grant.remaining if is_usable else Decimal(0)

    def get_transaction_reason(self, entry: WalletEntry) -> str:
        if entry.kind == EntryKind.GRANTED:
            return KIND_REASONS[GrantKind(entry.grant.kind)]
        return ENTRY_REASONS[EntryKind(entry.kind)]

    def get_reference_type(self, entry: WalletEntry) -> str | None:
        return "INVOICE" if entry.invoice else None

    def get_idempotency_key(self, entry: WalletEntry) -> str | None:
        return entry.grant.reference if entry.kind == EntryKind.GRANTED else None

    def get_metadata(self, entry: WalletEntry) -> dict[str, Any]:
        return entry.grant.metadata if entry.kind == EntryKind.GRANTED else {}


class TopUpOut(ContractAnswer):
    nulls: ClassVar[tuple[str, ...]] = ("checkout_session",)

    wallet = WalletOut()
    wallet_transaction = EntryOut(source="*")
    invoice_id = ComputedText(allow_null=True)

    def get_invoice_id(self, entry: WalletEntry) -> None:
        return None


def movements() -> QuerySet[WalletEntry]:
    """Load wallet transactions as `EntryOut` needs them, newest first."""
    return WalletEntry.objects.select_related("wallet__customer", "grant", "invoice").order_by("-pk")


def exactly_one_amount(body: dict[str, Any], first: str, second: str) -> Decimal:
    """Return the one amount that the body specifies under either name. Raises `ValidationError` for none or both."""
    amounts = [body[name] for name in (first, second) if body.get(name) is not None]
    if len(amounts) != 1:
        raise serializers.ValidationError({first: f"Specify either {first} or {second}."})
    amount: Decimal = amounts[0]
    return amount


class TopUpIn(serializers.Serializer[Any]):
    """Credit to add to a wallet. A repeated `idempotency_key` adds nothing."""

    unused: ClassVar[dict[str, Unused]] = {
        "checkout": Unused("There is no checkout. Top up once the credit is paid for."),
        "coupons": Unused("Coupons reduce invoices. Leave this field out, and add the credit as a bonus."),
        "effective_date": Unused("Credit is added now. Leave this field out."),
        "force_sync_invoice": Unused("A top-up has no invoice.", (False,)),
    }

    transaction_reason = serializers.ChoiceField(sorted(GRANT_REASONS))
    amount = AmountIn()
    credits_to_add = AmountIn()
    bonus_credits_to_add = AmountIn(min_value=Decimal(0))
    bonus_credits_expiry_date_utc = MomentField(required=False, allow_null=True)
    expiry_date_utc = MomentField(required=False, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)
    idempotency_key = TextField(200, allow_null=True)
    description = TextField(255, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        return attrs | {"amount": exactly_one_amount(attrs, "amount", "credits_to_add")}


class DebitIn(serializers.Serializer[Any]):
    """Credit to debit from a wallet."""

    amount = AmountIn()
    credits = AmountIn()
    description = TextField(255, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        return attrs | {"amount": exactly_one_amount(attrs, "amount", "credits")}
