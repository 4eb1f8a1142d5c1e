"""Wallets and their transactions, in requests and answers. A credit is worth one unit of the wallet's currency."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from billing.api.fields import ComputedMoney, MoneyField
from billing.models import EntryKind, GrantKind, Wallet, WalletEntry, WalletState
from config.api.fields import (
    ComputedChoice,
    ComputedMetadata,
    ComputedText,
    ComputedTime,
    ConstantField,
    ConstantText,
    MetadataField,
    MomentField,
    TextField,
)

STATES = {"active": WalletState.ACTIVE, "closed": WalletState.CLOSED}
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
}
ENTRY_REASONS = {
    EntryKind.APPLIED: "INVOICE_PAYMENT",
    EntryKind.RETURNED: "INVOICE_VOID_REFUND",
    EntryKind.EXPIRED: "CREDIT_EXPIRED",
    EntryKind.TAKEN_BACK: "MANUAL_BALANCE_DEBIT",
}
MOST = Decimal(10) ** 15
REASONS = sorted({*KIND_REASONS.values(), *ENTRY_REASONS.values()})


class WalletOut(serializers.Serializer[Any]):
    """A customer's prepaid credit in one currency."""

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    name = serializers.CharField()
    description = serializers.CharField()
    currency = serializers.CharField()
    balance = MoneyField(help_text="Includes credit that has expired since last night.")
    credit_balance = MoneyField(source="balance")
    conversion_rate = ConstantText("1")
    topup_conversion_rate = ConstantText("1")
    priority = serializers.IntegerField()
    wallet_status = serializers.ChoiceField(list(STATES), source="state")
    wallet_type = ConstantField("PRE_PAID")
    status = ConstantField("published")
    metadata = MetadataField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BreakdownOut(serializers.Serializer[Any]):
    """The remaining credit by origin."""

    free = ComputedMoney()
    purchased = ComputedMoney()

    def get_free(self, wallet: Wallet) -> Decimal:
        return sum((grant.remaining for grant in wallet.grants.all() if grant.kind != GrantKind.PURCHASED), Decimal(0))

    def get_purchased(self, wallet: Wallet) -> Decimal:
        return sum((grant.remaining for grant in wallet.grants.all() if grant.kind == GrantKind.PURCHASED), Decimal(0))


class BalanceOut(WalletOut):
    """A wallet with its real-time balance, from the context's `balance` as of its `now`."""

    real_time_balance = ComputedMoney(help_text="The usable credit, less unbilled usage and unpaid invoices.")
    real_time_credit_balance = ComputedMoney()
    current_period_usage = ComputedMoney(help_text="The total of upcoming invoices, including drafts.")
    unpaid_invoices_amount = ComputedMoney()
    credits_available_breakdown = BreakdownOut(source="*")
    balance_updated_at = ComputedTime()

    def get_real_time_balance(self, wallet: Wallet) -> Decimal:
        amount: Decimal = self.context["balance"].real_time
        return amount

    get_real_time_credit_balance = get_real_time_balance

    def get_current_period_usage(self, wallet: Wallet) -> Decimal:
        amount: Decimal = self.context["balance"].used
        return amount

    def get_unpaid_invoices_amount(self, wallet: Wallet) -> Decimal:
        amount: Decimal = self.context["balance"].unpaid
        return amount

    def get_balance_updated_at(self, wallet: Wallet) -> datetime:
        now: datetime = self.context["now"]
        return now


class EntryOut(serializers.Serializer[Any]):
    """A wallet transaction."""

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
        return entry.grant.remaining if entry.kind == EntryKind.GRANTED else Decimal(0)

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


class TopUpOut(serializers.Serializer[Any]):
    wallet = WalletOut()
    wallet_transaction = EntryOut(source="*")
    invoice_id = ComputedText(allow_null=True)

    def get_invoice_id(self, entry: WalletEntry) -> None:
        return None


def wallets() -> QuerySet[Wallet]:
    """Load wallets as `WalletOut` needs them, newest first."""
    return Wallet.objects.select_related("customer").order_by("-created_at", "-pk")


def movements() -> QuerySet[WalletEntry]:
    """Load wallet transactions as `EntryOut` needs them, newest first."""
    return WalletEntry.objects.select_related("wallet__customer", "grant", "invoice").order_by("-pk")


class AmountIn(serializers.DecimalField):
    """An amount of money, or of credits: each is worth one unit of the currency."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", MOST)
        super().__init__(max_digits=24, decimal_places=4, required=False, allow_null=True, **kwargs)


def end_of_day(digits: int | None) -> datetime | None:
    """Return the end of a day given as 20261231. Raises `ValidationError` if there is no such day."""
    if digits is None:
        return None
    try:
        day = date(digits // 10000, digits // 100 % 100, digits % 100)
    except ValueError as error:
        raise serializers.ValidationError("Enter a day as YYYYMMDD, for example 20261231.") from error
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)


def exactly_one_amount(body: dict[str, Any], first: str, second: str) -> Decimal:
    """Return the one amount that the body specifies under either name. Raises `ValidationError` for none or both."""
    amounts = [body[name] for name in (first, second) if body.get(name) is not None]
    if len(amounts) != 1:
        raise serializers.ValidationError({first: f"Specify either {first} or {second}."})
    amount: Decimal = amounts[0]
    return amount


class WalletChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values."""

    name = TextField(255, allow_null=True)
    description = TextField(2000, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)


class WalletIn(WalletChange):
    """A new wallet, with or without initial credit."""

    customer_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z")
    priority = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    initial_credits_to_load = AmountIn(min_value=Decimal(0))
    initial_credits_expiry_date_utc = MomentField(required=False, allow_null=True)
    initial_credits_to_load_expiry_date = serializers.IntegerField(required=False, allow_null=True)
    conversion_rate = AmountIn(help_text="Must be 1: a credit is worth one unit of the currency.")
    topup_conversion_rate = AmountIn(help_text="Must be 1.")
    wallet_type = serializers.ChoiceField(["PRE_PAID"], required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("customer_id") or attrs.get("external_customer_id")):
            raise serializers.ValidationError(
                {"customer_id": "Specify the customer by customer_id or external_customer_id."}
            )
        for name in ("conversion_rate", "topup_conversion_rate"):
            if attrs.get(name) not in (None, Decimal(1)):
                raise serializers.ValidationError({name: "Must be 1: a credit is worth one unit of the currency."})
        return attrs


class TopUpIn(serializers.Serializer[Any]):
    """Credit to add to a wallet. A repeated `idempotency_key` adds nothing."""

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
