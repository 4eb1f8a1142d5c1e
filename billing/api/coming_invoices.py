"""API view for the coming invoices of a subscription, with the phases and changes that are agreed."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import MoneyField
from billing.api.names import REASONS
from billing.invoicing.compute import ComputedInvoice
from billing.invoicing.forecast import MOST_PERIODS, forecast
from billing.kinds import InvoiceKind, LineKind
from billing.money import money
from config.api.fields import ComputedChoice
from config.api.openapi import operation
from config.api.views import ApiView, read_query
from customers.api.subscriptions import TAG, subscription_of

CURRENCY = "request.subscription.currency"


class ComingQuery(serializers.Serializer[Any]):
    """How far to look."""

    periods = serializers.IntegerField(
        default=MOST_PERIODS,
        min_value=1,
        max_value=MOST_PERIODS,
        help_text="Invoices due until the end of so many billing periods, the current one included.",
    )


class ComingChargeOut(serializers.Serializer[Any]):
    """A charge of a coming invoice, before discounts and taxes."""

    display_name = serializers.CharField(source="description")
    kind = serializers.ChoiceField(LineKind.choices)
    amount = serializers.CharField()


class ComingInvoiceOut(serializers.Serializer[Any]):
    """An invoice that is due later, or is due and not issued yet. It isn't stored and has no id."""

    due_at = serializers.DateTimeField(source="request.invoice.due_at", help_text="When it will be drafted.")
    billing_reason = ComputedChoice(list(dict.fromkeys(REASONS.values())))
    period_start = serializers.DateTimeField(source="request.invoice.period.start")
    period_end = serializers.DateTimeField(source="request.invoice.period.end")
    subtotal = MoneyField(source="adjusted.subtotal", currency=CURRENCY)
    total_discount = MoneyField(source="adjusted.discount", currency=CURRENCY)
    total_tax = MoneyField(source="adjusted.tax", currency=CURRENCY)
    total = MoneyField(currency=CURRENCY)
    line_items = serializers.SerializerMethodField()

    def get_billing_reason(self, computed: ComputedInvoice) -> str:
        return REASONS[InvoiceKind(computed.request.invoice.kind)]

    @extend_schema_field(ComingChargeOut(many=True))
    def get_line_items(self, computed: ComputedInvoice) -> Any:
        currency = computed.request.subscription.currency
        return [
            {"display_name": charge.description, "kind": charge.kind.value, "amount": money(charge.amount, currency)}
            for charge in computed.lines
        ]


class ComingInvoicesOut(serializers.Serializer[Any]):
    """The coming invoices, earliest first."""

    subscription_id = serializers.CharField(source="subscription.public_id")
    currency = serializers.CharField(source="subscription.currency")
    items = ComingInvoiceOut(many=True)
    problem = serializers.CharField(help_text="Why invoices after these can't be calculated, or blank.")


class ComingInvoices(ApiView):
    """List the coming invoices of a subscription."""

    @operation(
        "listComingInvoices",
        "List the coming invoices",
        tag=TAG,
        parameters=[ComingQuery],
        answers={200: ComingInvoicesOut},
        errors=(400, 404),
        description="Fees, commitments and usage so far, under the phases, changes, discounts and taxes that are "
        "agreed. Usage to come isn't estimated. Nothing is stored.",
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        periods, subscription = read_query(request, ComingQuery)["periods"], subscription_of(subscription_id)
        result = forecast(subscription, now=timezone.now(), periods=periods)
        body = {"subscription": subscription, "items": result.earlier, "problem": result.problem}
        return Response(ComingInvoicesOut(body).data)
