"""What the API says and reads of wallets. A credit is worth one unit of the wallet's currency."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from billing.models import CreditGrant, EntryKind, GrantKind, Wallet, WalletEntry, WalletState
from billing.money import money
from config.api.fields import MetadataField, MomentField, TextField

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


class BreakdownOut(serializers.Serializer[Any]):
    """What is left, by whether it was paid for."""

    free = serializers.CharField()
    purchased = serializers.CharField()


class WalletOut(serializers.Serializer[Any]):
    """A customer's prepaid credit in one currency."""

    id = serializers.CharField()
    customer_id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    currency = serializers.CharField()
    balance = serializers.CharField(help_text="With what has expired since the last night.")
    credit_balance = serializers.CharField()
    conversion_rate = serializers.CharField()
    topup_conversion_rate = serializers.CharField()
    priority = serializers.IntegerField()
    wallet_status = serializers.ChoiceField(list(STATES))
    wallet_type = serializers.ChoiceField(["PRE_PAID"])
    status = serializers.ChoiceField(["published"])
    metadata = MetadataField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BalanceOut(WalletOut):
    """A wallet with what will be charged to its customer soon: what is used now, and what isn't paid yet."""

    real_time_balance = serializers.CharField(help_text="What can be used, less what is used and unpaid.")
    real_time_credit_balance = serializers.CharField()
    current_period_usage = serializers.CharField(help_text="The upcoming invoices' totals, drafts included.")
    unpaid_invoices_amount = serializers.CharField()
    credits_available_breakdown = BreakdownOut()
    balance_updated_at = serializers.DateTimeField()


class EntryOut(serializers.Serializer[Any]):
    """One movement of credit."""

    id = serializers.CharField()
    wallet_id = serializers.CharField()
    customer_id = serializers.CharField()
    type = serializers.ChoiceField(["credit", "debit"])
    amount = serializers.CharField()
    credit_amount = serializers.CharField()
    currency = serializers.CharField()
    credit_balance_before = serializers.CharField()
    credit_balance_after = serializers.CharField()
    credits_available = serializers.CharField(help_text="What is left of the grant that it put into the wallet.")
    transaction_status = serializers.ChoiceField(["completed"])
    transaction_reason = serializers.ChoiceField(REASONS)
    reference_type = serializers.CharField(allow_null=True)
    reference_id = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField(allow_null=True)
    description = serializers.CharField()
    priority = serializers.IntegerField()
    expiry_date = serializers.DateTimeField(allow_null=True)
    conversion_rate = serializers.CharField()
    metadata = MetadataField()
    status = serializers.ChoiceField(["published"])
    created_at = serializers.DateTimeField()


class TopUpOut(serializers.Serializer[Any]):
    wallet = WalletOut()
    wallet_transaction = EntryOut()
    invoice_id = serializers.CharField(allow_null=True)


def wallets() -> QuerySet[Wallet]:
    """Ask for wallets with all that is written of them, newest first."""
    return Wallet.objects.select_related("customer").order_by("-created_at", "-pk")


def movements() -> QuerySet[WalletEntry]:
    """Ask for movements of credit with all that is written of them, newest first."""
    return WalletEntry.objects.select_related("wallet__customer", "grant", "invoice").order_by("-pk")


def wallet_values(wallet: Wallet) -> dict[str, Any]:
    balance = money(wallet.balance, wallet.currency)
    return {
        "id": wallet.public_id,
        "customer_id": wallet.customer.public_id,
        "name": wallet.name,
        "description": wallet.description,
        "currency": wallet.currency,
        "balance": balance,
        "credit_balance": balance,
        "conversion_rate": "1",
        "topup_conversion_rate": "1",
        "priority": wallet.priority,
        "wallet_status": wallet.state,
        "wallet_type": "PRE_PAID",
        "status": "published",
        "metadata": wallet.metadata,
        "created_at": wallet.created_at,
        "updated_at": wallet.updated_at,
    }


def serialize_wallet_entries(entries: Iterable[WalletEntry]) -> list[Any]:
    """Write movements that were loaded by `movements`."""
    return list(EntryOut([_entry(entry) for entry in entries], many=True).data)


def _entry(entry: WalletEntry) -> dict[str, Any]:
    currency, grant = entry.wallet.currency, entry.grant
    amount = money(abs(entry.amount), currency)
    is_grant = entry.kind == EntryKind.GRANTED
    reason = KIND_REASONS[GrantKind(grant.kind)] if is_grant else ENTRY_REASONS[EntryKind(entry.kind)]
    return {
        "id": entry.public_id,
        "wallet_id": entry.wallet.public_id,
        "customer_id": entry.wallet.customer.public_id,
        "type": "credit" if entry.amount > 0 else "debit",
        "amount": amount,
        "credit_amount": amount,
        "currency": currency,
        "credit_balance_before": money(entry.balance_after - entry.amount, currency),
        "credit_balance_after": money(entry.balance_after, currency),
        "credits_available": money(grant.remaining if is_grant else Decimal(0), currency),
        "transaction_status": "completed",
        "transaction_reason": reason,
        "reference_type": "INVOICE" if entry.invoice else None,
        "reference_id": entry.invoice.public_id if entry.invoice else None,
        "idempotency_key": grant.reference if is_grant else None,
        "description": entry.reason,
        "priority": grant.priority,
        "expiry_date": grant.expires_at,
        "conversion_rate": "1",
        "metadata": grant.metadata if is_grant else {},
        "status": "published",
        "created_at": entry.at,
    }


def breakdown(grants: Iterable[CreditGrant], currency: str) -> dict[str, str]:
    """Add up what is left of grants, those paid for and the rest."""
    paid = free = Decimal(0)
    for each in grants:
        if each.kind == GrantKind.PURCHASED:
            paid += each.remaining
        else:
            free += each.remaining
    return {"free": money(free, currency), "purchased": money(paid, currency)}


class AmountIn(serializers.DecimalField):
    """An amount of money, or of credits: each is worth one unit of the currency."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", MOST)
        super().__init__(max_digits=24, decimal_places=4, required=False, allow_null=True, **kwargs)


def end_of_day(written: int | None) -> datetime | None:
    """Return the moment after a day written as 20261231. Raises `ValidationError` when there is no such day."""
    if written is None:
        return None
    try:
        day = date(written // 10000, written // 100 % 100, written % 100)
    except ValueError as error:
        raise serializers.ValidationError("Write the day as 20261231.") from error
    return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)


class WalletIn(serializers.Serializer[Any]):
    """A new wallet, empty or with credit in it."""

    customer_id = TextField(64, allow_null=True)
    external_customer_id = TextField(255, allow_null=True)
    currency = serializers.RegexField(r"^[A-Za-z]{3}\Z")
    name = TextField(255, allow_null=True)
    description = TextField(2000, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    metadata = MetadataField(required=False, allow_null=True)
    initial_credits_to_load = AmountIn(min_value=Decimal(0))
    initial_credits_expiry_date_utc = MomentField(required=False, allow_null=True)
    initial_credits_to_load_expiry_date = serializers.IntegerField(required=False, allow_null=True)
    conversion_rate = AmountIn(help_text="Only 1: a credit is worth one unit of the currency.")
    topup_conversion_rate = AmountIn(help_text="Only 1.")
    wallet_type = serializers.ChoiceField(["PRE_PAID"], required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if not (attrs.get("customer_id") or attrs.get("external_customer_id")):
            raise serializers.ValidationError({"customer_id": "Name the customer, by its id or external_customer_id."})
        for name in ("conversion_rate", "topup_conversion_rate"):
            if attrs.get(name) not in (None, Decimal(1)):
                raise serializers.ValidationError({name: "A credit is worth one unit of the currency: only 1."})
        return attrs


class WalletChange(serializers.Serializer[Any]):
    """What to change of a wallet; the rest stays."""

    name = TextField(255, allow_null=True)
    description = TextField(2000, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=10_000, required=False, allow_null=True)
    metadata = MetadataField(required=False, allow_null=True)


class TopUpIn(serializers.Serializer[Any]):
    """Credit to put into a wallet. A repeated `idempotency_key` puts nothing into it."""

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
        if (attrs.get("amount") is None) == (attrs.get("credits_to_add") is None):
            raise serializers.ValidationError({"amount": "Give either amount or credits_to_add."})
        return attrs


class DebitIn(serializers.Serializer[Any]):
    """Credit to take out of a wallet by hand."""

    amount = AmountIn()
    credits = AmountIn()
    description = TextField(255, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        if (attrs.get("amount") is None) == (attrs.get("credits") is None):
            raise serializers.ValidationError({"amount": "Give either amount or credits."})
        return attrs
