"""API view for a customer's statement."""

from typing import Any, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.money import money
from billing.statements.statement import build_statement
from config.api.fields import DayIn
from config.api.openapi import operation
from config.api.views import ApiView, read_query
from customers.api.customers import customer_of


class StatementQuery(serializers.Serializer[Any]):
    """The range of days, in the customer's time zone."""

    from_date = DayIn(help_text="The first day.")
    to_date = DayIn(help_text="The last day, inclusive.")
    currency = serializers.RegexField(r"^[A-Za-z]{3}$", default="", help_text="Only accounts in this currency.")


class BalanceField(serializers.CharField):
    """An amount of a statement, written in the currency that `StatementCurrency` puts into the context."""

    def to_representation(self, value: Any) -> str:
        return money(value, self.context["currency"])


class StatementEntry(serializers.Serializer[Any]):
    """A movement. If positive, the customer owes more, or has more credit."""

    date = serializers.DateField(source="on")
    type = serializers.CharField(source="movement.kind")
    reference = serializers.CharField(source="movement.reference")
    description = serializers.CharField(source="movement.text")
    amount = BalanceField(source="movement.amount")
    balance = BalanceField()


class StatementAccount(serializers.Serializer[Any]):
    """An account: its balance before the first day, its movements, and its balance after the last day."""

    opening_balance = BalanceField(source="opening")
    entries = StatementEntry(many=True)
    closing_balance = BalanceField(source="closing")


class StatementCurrency(serializers.Serializer[Any]):
    """The amounts owed in a currency, and the prepaid credit in it."""

    currency = serializers.CharField()
    account = StatementAccount(source="owed")
    prepaid_credit = StatementAccount(source="credit")

    def to_representation(self, instance: Any) -> Any:
        cast(dict[str, Any], self.context)["currency"] = instance.currency  # for the amounts inside
        return super().to_representation(instance)


class StatementOut(serializers.Serializer[Any]):
    """A customer's statement."""

    customer_id = serializers.CharField(source="customer.public_id")
    from_date = serializers.DateField(source="first")
    to_date = serializers.DateField(source="last")
    timezone = serializers.CharField()
    currencies = StatementCurrency(many=True)


class CustomerStatement(ApiView):
    """Retrieve a customer's statement: for each currency the opening balance, the movements and the closing balance.

    Fails (400) if the range ends before it starts or has more than 10,000 movements.
    """

    @operation(
        "getCustomerStatement",
        "Retrieve a customer's statement",
        refusals="`to_date` can't be before `from_date`, or more than ten years later.",
        tag="Customers",
        parameters=[StatementQuery],
        answers={200: StatementOut},
        errors=(400, 404),
    )
    def get(self, request: Request, customer_id: str) -> Response:
        customer, query = customer_of(customer_id), read_query(request, StatementQuery)
        currency = query["currency"].upper()
        account = build_statement(customer, query["from_date"], query["to_date"], currency=currency)
        return Response(StatementOut(account).data)
