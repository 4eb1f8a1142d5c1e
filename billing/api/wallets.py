"""API views for prepaid credit: wallets, their balances and transactions."""

from django.db.models import Prefetch
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters.wallets import EntryFilter, WalletFilter
from billing.api.serializers.wallet_transactions import GRANT_REASONS, DebitIn, EntryOut, TopUpIn, TopUpOut, movements
from billing.api.serializers.wallets import (
    BalanceOut,
    CustomerOfWallets,
    WalletChange,
    WalletIn,
    WalletOut,
    end_of_day,
    wallets,
)
from billing.models import CreditGrant, EntryKind, Wallet
from billing.settlement.balances import calculate_balance
from billing.settlement.top_ups import Credit, open_with_credit, top_up
from billing.settlement.wallets import change_wallet, close_wallet, debit_wallet
from config.api.errors import invalid
from config.api.filters import page
from config.api.openapi import listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body, read_query, waiting_response
from customers.api.customers import customer_by_external_id, customer_of, customer_of_body
from customers.models import Customer

TAG = "Wallets"
WRITE = "billing:write"
LIST = listed("WalletList", WalletOut)
ENTRIES = listed("WalletTransactionList", EntryOut)
REASON = "Through the API"
EXAMPLE = {"external_customer_id": "acme", "currency": "USD", "name": "Prepaid", "initial_credits_to_load": "100"}


def wallet_of(wallet_id: str) -> Wallet:
    return get_or_404(wallets(), "wallet", public_id=wallet_id)


def _answer(wallet: Wallet) -> Response:
    return Response(WalletOut(wallet_of(wallet.public_id)).data)


def _wallets_of(customer: Customer) -> Response:
    return Response(WalletOut(wallets().filter(customer=customer), many=True).data)


class Wallets(ApiView):
    """Create or list wallets. A customer can have several wallets per currency."""

    write_scope = WRITE

    @operation("listWallets", "List wallets", tag=TAG, answers={200: LIST}, filters=WalletFilter)
    def get(self, request: Request) -> Response:
        return page(request, wallets(), WalletFilter, WalletOut)

    @operation(
        "createWallet",
        "Create a wallet",
        refusals="Specify the customer by `customer_id` or `external_customer_id`. `currency` must be a current ISO "
        "4217 code, and `conversion_rate` must be 1. `initial_credits_to_load_expiry_date` is a day as "
        "YYYYMMDD.",
        tag=TAG,
        body=WalletIn,
        answers={200: WalletOut},
        may_wait=True,
        errors=(400, 404),
        example=EXAMPLE,
        description="If the initial credit needs approval (202), the wallet is created without it: it is the "
        "`object_id`.",
    )
    def post(self, request: Request) -> Response:
        body, now = read_body(request, WalletIn), timezone.now()
        details = {name: body[name] for name in ("description", "priority", "metadata") if body.get(name)}
        expires_at = body.get("initial_credits_expiry_date_utc")
        expires_at = expires_at or end_of_day(body.get("initial_credits_to_load_expiry_date"))
        credit = Credit(body.get("initial_credits_to_load"), expires_at)
        customer, currency, name = customer_of_body(body), body["currency"].upper(), body.get("name") or ""
        wallet, approval = open_with_credit(customer, currency, credit, now=now, name=name, **details)
        return waiting_response(approval) if approval else _answer(wallet)


class WalletSearch(ApiView):
    """Search wallets."""

    is_reading = True

    @operation("queryWallet", "Search wallets", tag=TAG, body=search_body(WalletFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return page(request, wallets(), WalletFilter, WalletOut)


class OneWallet(ApiView):
    """Retrieve a wallet, or update its name, description, priority and metadata."""

    write_scope = WRITE

    @operation("getWallet", "Retrieve a wallet", tag=TAG, answers={200: WalletOut}, errors=(404,))
    def get(self, request: Request, wallet_id: str) -> Response:
        return Response(WalletOut(wallet_of(wallet_id)).data)

    @operation(
        "updateWallet",
        "Update a wallet",
        tag=TAG,
        body=WalletChange,
        answers={200: WalletOut},
        errors=(400, 404),
        example={"name": "Prepaid 2026"},
    )
    def put(self, request: Request, wallet_id: str) -> Response:
        wallet, body = wallet_of(wallet_id), read_body(request, WalletChange)
        changes = {name: value for name, value in body.items() if value is not None}
        return _answer(change_wallet(wallet, now=timezone.now(), by=None, reason=REASON, **changes))


class WalletBalance(ApiView):
    """Retrieve a wallet's real-time balance: its credit, less the customer's unbilled usage and unpaid invoices."""

    @operation("getWalletBalance", "Retrieve a wallet's balance", tag=TAG, answers={200: BalanceOut}, errors=(404,))
    def get(self, request: Request, wallet_id: str) -> Response:
        now = timezone.now()
        grants = Prefetch("grants", CreditGrant.objects.usable(now))
        wallet = get_or_404(wallets().prefetch_related(grants), "wallet", public_id=wallet_id)
        context = {"balance": calculate_balance(wallet, now=now), "now": now}
        return Response(BalanceOut(wallet, context=context).data)


class WalletTopUp(ApiView):
    """Add credit to a wallet. No invoice is created: `PURCHASED_CREDIT_DIRECT` is credit paid for elsewhere."""

    write_scope = WRITE

    @operation(
        "topUpWallet",
        "Top up a wallet",
        refusals="Specify either `amount` or `credits_to_add`. `expiry_date` and `bonus_credits_expiry_date` are "
        "days as YYYYMMDD.",
        tag=TAG,
        body=TopUpIn,
        answers={200: TopUpOut},
        may_wait=True,
        errors=(400, 404),
        example={"transaction_reason": "PURCHASED_CREDIT_DIRECT", "amount": "100", "idempotency_key": "payment-1"},
    )
    def post(self, request: Request, wallet_id: str) -> Response:
        wallet, body = wallet_of(wallet_id), read_body(request, TopUpIn)
        grant = top_up(
            wallet,
            Credit(body["amount"], body.get("expiry_date_utc")),
            kind=GRANT_REASONS[body["transaction_reason"]],
            bonus=Credit(body.get("bonus_credits_to_add"), body.get("bonus_credits_expiry_date_utc")),
            reference=body.get("idempotency_key") or None,
            reason=body.get("description") or REASON,
            priority=body.get("priority") or 0,
            metadata=body.get("metadata") or {},
            now=timezone.now(),
            by=None,
        )
        entry = movements().get(grant=grant, kind=EntryKind.GRANTED)
        entry.wallet = wallet_of(wallet_id)
        return Response(TopUpOut(entry).data)


class WalletDebit(ApiView):
    """Debit credit from a wallet, starting with the credit that is used first. Fails (400) if there isn't enough."""

    write_scope = WRITE

    @operation(
        "debitWallet",
        "Debit a wallet",
        refusals="Specify either `amount` or `credits`.",
        tag=TAG,
        body=DebitIn,
        answers={200: WalletOut},
        errors=(400, 404),
        example={"amount": "10", "description": "Granted twice"},
    )
    def post(self, request: Request, wallet_id: str) -> Response:
        wallet, body = wallet_of(wallet_id), read_body(request, DebitIn)
        debit_wallet(wallet, body["amount"], reason=body.get("description") or REASON, now=timezone.now(), by=None)
        return _answer(wallet)


class WalletTerminate(ApiView):
    """Revoke a wallet's remaining credit and close it permanently."""

    write_scope = WRITE

    @operation("terminateWallet", "Close a wallet", tag=TAG, answers={200: WalletOut}, errors=(404,))
    def post(self, request: Request, wallet_id: str) -> Response:
        wallet = wallet_of(wallet_id)
        close_wallet(wallet, reason="Terminated through the API", now=timezone.now(), by=None)
        return _answer(wallet)


class WalletTransactions(ApiView):
    """List a wallet's transactions, newest first."""

    @operation(
        "getWalletTransactions",
        "List a wallet's transactions",
        tag=TAG,
        answers={200: ENTRIES},
        filters=EntryFilter,
        errors=(400, 404),
    )
    def get(self, request: Request, wallet_id: str) -> Response:
        return page(request, movements().filter(wallet=wallet_of(wallet_id)), EntryFilter, EntryOut)


class TransactionSearch(ApiView):
    """Search the transactions of all wallets."""

    is_reading = True

    @operation(
        "queryWalletTransaction",
        "Search wallet transactions",
        tag=TAG,
        body=search_body(EntryFilter),
        answers={200: ENTRIES},
    )
    def post(self, request: Request) -> Response:
        return page(request, movements(), EntryFilter, EntryOut)


class WalletsOfCustomer(ApiView):
    """List a customer's wallets."""

    @operation(
        "getWalletsByCustomerId",
        "List a customer's wallets",
        tag=TAG,
        answers={200: WalletOut(many=True)},
        errors=(404,),
    )
    def get(self, request: Request, customer_id: str) -> Response:
        return _wallets_of(customer_of(customer_id))


class CustomerWallets(ApiView):
    """List the wallets of a customer, given by id or external id."""

    @operation(
        "getCustomerWallets",
        "List a customer's wallets by id or external id",
        refusals="Specify the customer by `id` or `lookup_key`.",
        tag=TAG,
        answers={200: WalletOut(many=True)},
        errors=(400, 404),
        parameters=[CustomerOfWallets],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request, CustomerOfWallets)
        if query.get("id"):
            return _wallets_of(customer_of(query["id"]))
        if query.get("lookup_key"):
            return _wallets_of(customer_by_external_id(query["lookup_key"]))
        raise invalid({"id": ["Specify the customer by id or lookup_key."]})
