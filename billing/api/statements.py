"""The door to a customer's statement."""

from datetime import date
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.money import money
from billing.statements.statement import AccountMovements, Statement, build_statement
from config.api.openapi import operation
from config.api.views import ApiView, read_query
from customers.api.customers import customer_of


class StatementQuery(serializers.Serializer[Any]):
    """Which days, in the customer's time zone."""

    from_date = serializers.DateField(help_text="The first day.")
    to_date = serializers.DateField(help_text="The last day, included.")
    currency = serializers.RegexField(r"^[A-Za-z]{3}$", default="", help_text="Only this one's accounts.")


class StatementEntry(serializers.Serializer[Any]):
    """What moved an account on a day. Above zero the customer owes more, or has more credit."""

    date = serializers.DateField()
    type = serializers.CharField()
    reference = serializers.CharField()
    description = serializers.CharField()
    amount = serializers.CharField()
    balance = serializers.CharField()


class StatementAccount(serializers.Serializer[Any]):
    """An account: before the first day, what moved it, after the last."""

    opening_balance = serializers.CharField()
    entries = StatementEntry(many=True)
    closing_balance = serializers.CharField()


class StatementCurrency(serializers.Serializer[Any]):
    """What is owed in a currency, and the prepaid credit in it."""

    currency = serializers.CharField()
    account = StatementAccount()
    prepaid_credit = StatementAccount()


class StatementOut(serializers.Serializer[Any]):
    """A customer's statement."""

    customer_id = serializers.CharField()
    from_date = serializers.DateField()
    to_date = serializers.DateField()
    timezone = serializers.CharField()
    currencies = StatementCurrency(many=True)


class CustomerStatement(ApiView):
    """Read a customer's statement: by currency the opening balance, each movement with the balance after it, the
    closing balance. 400 for a range upside down or with more than 10,000 movements."""

    @operation("getCustomerStatement", "Read a customer's statement", tag="Customers", parameters=[StatementQuery],
               answers={200: StatementOut}, errors=(400, 404))  # fmt: skip
    def get(self, request: Request, customer_id: str) -> Response:
        customer, asked = customer_of(customer_id), read_query(request, StatementQuery)
        first, last = asked["from_date"], asked["to_date"]
        return Response(_written(build_statement(customer, first, last, currency=asked["currency"].upper())))


def _written(found: Statement) -> Any:
    whole: dict[str, date | str | list[Any]] = {
        "customer_id": found.customer.public_id,
        "from_date": found.first,
        "to_date": found.last,
        "timezone": found.timezone,
        "currencies": [
            {
                "currency": one.currency,
                "account": _account(one.owed, one.currency),
                "prepaid_credit": _account(one.credit, one.currency),
            }
            for one in found.currencies
        ],
    }
    return StatementOut(whole).data


def _account(account: AccountMovements, currency: str) -> dict[str, Any]:
    return {
        "opening_balance": money(account.opening, currency),
        "entries": [
            {
                "date": entry.on,
                "type": entry.movement.kind,
                "reference": entry.movement.reference,
                "description": entry.movement.text,
                "amount": money(entry.movement.amount, currency),
                "balance": money(entry.balance, currency),
            }
            for entry in account.entries
        ],
        "closing_balance": money(account.closing, currency),
    }
