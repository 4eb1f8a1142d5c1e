"""Wallets in requests and answers. A credit is worth one unit of the wallet's currency."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers

from billing.api.fields import ComputedMoney, MoneyField
from billing.models import GrantKind, Wallet, WalletState
from config.api.contract import ContractRecord
from config.api.fields import (
    ComputedTime,
    ConstantField,
    ConstantText,
    MetadataField,
    MomentField,
    NumberIn,
    TextField,
)
from config.api.unknown_names import Unused

STATES = {"active": WalletState.ACTIVE, "closed": WalletState.CLOSED}
PAID_FOR = (GrantKind.PURCHASED, GrantKind.OVERPAYMENT)


class WalletOut(ContractRecord):
    """A customer's prepaid credit in one currency."""

    nulls: ClassVar[tuple[str, ...]] = (
        *("alert_settings", "alert_state", "auto_topup", "config", "credits_available_breakdown"),
        *("real_time_balance", "real_time_credit_balance"),
    )

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    name = serializers.CharField()
    description = serializers.CharField()
    currency = serializers.CharField()
    balance = MoneyField(source="usable", help_text="The credit that hasn't expired.")
    credit_balance = MoneyField(source="usable")
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
    """The remaining credit by origin, without expired credit."""

    free = ComputedMoney()
    purchased = ComputedMoney()

    def get_free(self, wallet: Wallet) -> Decimal:
        return sum((grant.remaining for grant in wallet.grants.all() if grant.kind not in PAID_FOR), Decimal(0))

    def get_purchased(self, wallet: Wallet) -> Decimal:
        return sum((grant.remaining for grant in wallet.grants.all() if grant.kind in PAID_FOR), Decimal(0))


class BalanceOut(WalletOut):
    """A wallet with its real-time balance, from the context's `balance` as of its `now`."""

    nulls: ClassVar[tuple[str, ...]] = ("alert_settings", "alert_state", "auto_topup", "config", "is_cached_fallback")

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


def wallets() -> QuerySet[Wallet]:
    """Load wallets as `WalletOut` needs them, newest first."""
    usable_wallets = Wallet.objects.with_usable(timezone.now())
    return usable_wallets.select_related("customer").order_by("-created_at", "-pk")


class AmountIn(NumberIn):
    """An amount of money, or of credits: each is worth one unit of the currency."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=24, decimal_places=4, required=False, allow_null=True, **kwargs)


def end_of_day(digits: int | None) -> datetime | None:
    """Return the end of a day given as 20261231. Raises `ValidationError` if there is no such day."""
    if digits is None:
        return None
    try:
        day = date(digits // 10000, digits // 100 % 100, digits % 100)
        return datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise serializers.ValidationError("Enter a day as YYYYMMDD, for example 20261231.") from error


class WalletChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values."""

    unused: ClassVar[dict[str, Unused]] = {
        "alert_settings": Unused("Wallets have no alerts. Use the webhooks of wallet transactions."),
        "auto_topup": Unused("Wallets aren't topped up automatically. Use POST /v1/wallets/{id}/top-up."),
        "config": Unused("Credit pays any charge. Leave this field out."),
        "price_unit": Unused("Wallets hold a currency. Leave this field out."),
    }

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


class CustomerOfWallets(serializers.Serializer[Any]):
    """The customer whose wallets to list."""

    unused: ClassVar[dict[str, Unused]] = {
        "expand": Unused("Wallets are complete. Leave this parameter out."),
        "from_cache": Unused("Balances aren't cached.", ("false",)),
        "include_real_time_balance": Unused("Use GET /v1/wallets/{id}/balance/real-time.", ("false",)),
    }

    id = TextField(64)
    lookup_key = TextField(255, help_text="The customer's external id.")
