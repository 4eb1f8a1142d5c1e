"""The doors to prepaid credit: wallets, their balance and movements, topping up, closing."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import EntryFilter, WalletFilter
from billing.api.serializers.wallets import (
    GRANT_REASONS,
    BalanceOut,
    DebitIn,
    EntryOut,
    TopUpIn,
    TopUpOut,
    WalletChange,
    WalletIn,
    WalletOut,
    breakdown,
    end_of_day,
    movements,
    serialize_wallet_entries,
    wallet_values,
    wallets,
)
from billing.models import CreditGrant, EntryKind, GrantKind, Wallet, WalletEntry
from billing.money import money
from billing.settlement.balances import calculate_balance
from billing.settlement.wallets import change_wallet, close_wallet, debit_wallet, grant_credit, open_wallet
from config.api.filters import Pages, apply_filters
from config.api.openapi import Message, listed, operation, search_body
from config.api.views import ApiView, get_or_404, invalid, read_body
from customers.api.customers import customer_by_external_id, customer_of
from customers.models import Customer

TAG = "Wallets"
WRITE = "billing:write"
LIST = listed("WalletList", WalletOut)
ENTRIES = listed("WalletTransactionList", EntryOut)
REASON = "Through the API"
EXAMPLE = {"external_customer_id": "acme", "currency": "USD", "name": "Prepaid", "initial_credits_to_load": "100"}


def wallet_of(wallet_id: str) -> Wallet:
    return get_or_404(wallets(), "wallet", public_id=wallet_id)


def _customer(asked: Any) -> Customer:
    known = asked.get("customer_id")
    return customer_of(known) if known else customer_by_external_id(asked["external_customer_id"])


def _shown(wallet: Wallet) -> Response:
    return Response(WalletOut(wallet_values(wallet_of(wallet.public_id))).data)


def _list(request: Request) -> Response:
    pages = Pages()
    cut = pages.paginate_queryset(apply_filters(request, wallets(), WalletFilter), request) or []
    return pages.get_paginated_response(WalletOut([wallet_values(wallet) for wallet in cut], many=True).data)


def _entries(request: Request, rows: QuerySet[WalletEntry]) -> Response:
    pages = Pages()
    cut = pages.paginate_queryset(apply_filters(request, rows, EntryFilter), request) or []
    return pages.get_paginated_response(serialize_wallet_entries(cut))


def _of_customer(customer: Customer) -> Response:
    return Response(
        WalletOut([wallet_values(wallet) for wallet in wallets().filter(customer=customer)], many=True).data
    )


class Wallets(ApiView):
    """Open a wallet, or list them. A customer may have several in a currency."""

    write_scope = WRITE

    @operation("listWallets", "List wallets", tag=TAG, answers={200: LIST}, filters=WalletFilter)
    def get(self, request: Request) -> Response:
        return _list(request)

    @operation("createWallet", "Open a wallet", tag=TAG, body=WalletIn, answers={200: WalletOut}, errors=(400, 404),
               example=EXAMPLE)  # fmt: skip
    def post(self, request: Request) -> Response:
        asked, now = read_body(request, WalletIn), timezone.now()
        given = {name: asked[name] for name in ("description", "priority", "metadata") if asked.get(name)}
        expires_at = asked.get("initial_credits_expiry_date_utc")
        expires_at = expires_at or end_of_day(asked.get("initial_credits_to_load_expiry_date"))
        with transaction.atomic():
            wallet = open_wallet(
                _customer(asked), asked["currency"].upper(), by=None, name=asked.get("name") or "", **given
            )
            if asked.get("initial_credits_to_load"):
                kind, amount = GrantKind.PROMOTIONAL, asked["initial_credits_to_load"]
                grant_credit(
                    wallet, amount, kind=kind, reason="Initial credit", now=now, by=None, expires_at=expires_at
                )
        return _shown(wallet)


class WalletSearch(ApiView):
    """Find wallets by a body. Only reads."""

    is_reading = True

    @operation("queryWallet", "Search wallets", tag=TAG, body=search_body(WalletFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return _list(request)


class OneWallet(ApiView):
    """Read a wallet, or change what it is called and when it is used."""

    write_scope = WRITE

    @operation("getWallet", "Read a wallet", tag=TAG, answers={200: WalletOut}, errors=(404,))
    def get(self, request: Request, wallet_id: str) -> Response:
        return _shown(wallet_of(wallet_id))

    @operation("updateWallet", "Change a wallet", tag=TAG, body=WalletChange, answers={200: WalletOut},
               errors=(400, 404), example={"name": "Prepaid 2026"})  # fmt: skip
    def put(self, request: Request, wallet_id: str) -> Response:
        wallet, asked = wallet_of(wallet_id), read_body(request, WalletChange)
        given = {name: value for name, value in asked.items() if value is not None}
        return _shown(change_wallet(wallet, now=timezone.now(), by=None, reason=REASON, **given))


class WalletBalance(ApiView):
    """Tell what a wallet is worth now: its credit, less what its customer has used and not paid."""

    @operation("getWalletBalance", "A wallet's balance now", tag=TAG, answers={200: BalanceOut}, errors=(404,))
    def get(self, request: Request, wallet_id: str) -> Response:
        wallet, now = wallet_of(wallet_id), timezone.now()
        balance = calculate_balance(wallet, now=now)
        real_time = money(balance.real_time, wallet.currency)
        body = wallet_values(wallet) | {
            "real_time_balance": real_time,
            "real_time_credit_balance": real_time,
            "current_period_usage": money(balance.used, wallet.currency),
            "unpaid_invoices_amount": money(balance.unpaid, wallet.currency),
            "credits_available_breakdown": breakdown(wallet.grants.filter(remaining__gt=0), wallet.currency),
            "balance_updated_at": now,
        }
        return Response(BalanceOut(body).data)


class WalletTopUp(ApiView):
    """Put credit into a wallet. `PURCHASED_CREDIT_DIRECT` says that it was paid for elsewhere: no invoice is made."""

    write_scope = WRITE

    @operation(
        "topUpWallet", "Top up a wallet", tag=TAG, body=TopUpIn, answers={200: TopUpOut}, errors=(400, 404),
        example={"transaction_reason": "PURCHASED_CREDIT_DIRECT", "amount": "100", "idempotency_key": "payment-1"},
    )  # fmt: skip
    def post(self, request: Request, wallet_id: str) -> Response:
        wallet, asked, now = wallet_of(wallet_id), read_body(request, TopUpIn), timezone.now()
        amount = asked["amount"] if asked.get("amount") is not None else asked["credits_to_add"]
        reference, bonus = asked.get("idempotency_key") or None, asked.get("bonus_credits_to_add")
        shared: dict[str, Any] = {"reason": asked.get("description") or REASON, "now": now, "by": None}
        shared |= {"priority": asked.get("priority") or 0, "metadata": asked.get("metadata") or {}}
        with transaction.atomic():
            given = grant_credit(
                wallet, amount, kind=GRANT_REASONS[asked["transaction_reason"]], reference=reference,
                expires_at=asked.get("expiry_date_utc"), **shared,
            )  # fmt: skip
            if bonus:
                grant_credit(
                    wallet, bonus, kind=GrantKind.PROMOTIONAL, reference=f"{reference}:bonus" if reference else None,
                    expires_at=asked.get("bonus_credits_expiry_date_utc"), **shared,
                )  # fmt: skip
        return Response(_topped_up(given))


def _topped_up(given: CreditGrant) -> Any:
    entry = movements().get(grant=given, kind=EntryKind.GRANTED)
    wallet = WalletOut(wallet_values(entry.wallet)).data
    return {"wallet": wallet, "wallet_transaction": serialize_wallet_entries([entry])[0], "invoice_id": None}


class WalletDebit(ApiView):
    """Take credit out of a wallet by hand, from what would be used first. Never more than is in it (400)."""

    write_scope = WRITE

    @operation("debitWallet", "Take credit out", tag=TAG, body=DebitIn, answers={200: WalletOut}, errors=(400, 404),
               example={"amount": "10", "description": "Granted twice"})  # fmt: skip
    def post(self, request: Request, wallet_id: str) -> Response:
        wallet, asked = wallet_of(wallet_id), read_body(request, DebitIn)
        amount = asked["amount"] if asked.get("amount") is not None else asked["credits"]
        debit_wallet(wallet, amount, reason=asked.get("description") or REASON, now=timezone.now(), by=None)
        return _shown(wallet)


class WalletTerminate(ApiView):
    """Take back all that is left in a wallet, and close it for good."""

    write_scope = WRITE

    @operation("terminateWallet", "Close a wallet", tag=TAG, answers={200: Message}, errors=(404,))
    def post(self, request: Request, wallet_id: str) -> Response:
        close_wallet(wallet_of(wallet_id), reason="Terminated through the API", now=timezone.now(), by=None)
        return Response({"message": "Wallet closed"})


class WalletTransactions(ApiView):
    """List a wallet's movements, newest first."""

    @operation("getWalletTransactions", "A wallet's movements", tag=TAG, answers={200: ENTRIES}, filters=EntryFilter,
               errors=(400, 404))  # fmt: skip
    def get(self, request: Request, wallet_id: str) -> Response:
        return _entries(request, movements().filter(wallet=wallet_of(wallet_id)))


class TransactionSearch(ApiView):
    """Find movements of all wallets by a body. Only reads."""

    is_reading = True

    @operation("queryWalletTransaction", "Search movements of credit", tag=TAG, body=search_body(EntryFilter),
               answers={200: ENTRIES})  # fmt: skip
    def post(self, request: Request) -> Response:
        return _entries(request, movements())


class WalletsOfCustomer(ApiView):
    """List a customer's wallets."""

    @operation("getWalletsByCustomerId", "A customer's wallets", tag=TAG, answers={200: WalletOut(many=True)},
               errors=(404,))  # fmt: skip
    def get(self, request: Request, customer_id: str) -> Response:
        return _of_customer(customer_of(customer_id))


class CustomerWallets(ApiView):
    """List the wallets of a customer that the query names."""

    @operation(
        "getCustomerWallets", "The wallets of a customer by id or external id", tag=TAG,
        answers={200: WalletOut(many=True)}, errors=(400, 404),
        parameters=[OpenApiParameter("id", str), OpenApiParameter("lookup_key", str, description="An external id.")],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked = request.query_params
        if asked.get("id"):
            return _of_customer(customer_of(asked["id"]))
        if asked.get("lookup_key"):
            return _of_customer(customer_by_external_id(asked["lookup_key"]))
        raise invalid({"id": ["Name the customer, by id or lookup_key."]})
