"""API views for receivables by age, and for the upcoming invoices of all subscriptions."""

from dataclasses import dataclass
from typing import Any, ClassVar

import django_filters as filters
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import MoneyField
from billing.invoicing.upcoming import Upcoming, upcoming_many
from billing.money import money
from billing.settlement.aging import BUCKETS, AgingRow, read_row, sum_by_currency, sum_by_customer
from config.api.filters import Pages, apply_filters
from config.api.openapi import listed, operation
from config.api.views import ApiView, read_query
from customers.models import Customer, Subscription

MOST_UPCOMING = 100
MOST_CUSTOMERS = 1000
AGES = f"The amounts by the days since they became due: {', '.join(BUCKETS)}."


class AgesField(serializers.DictField):
    """Amounts by age, as strings with the decimals of their currency."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.CharField(), help_text=AGES, **kwargs)


class AgingOut(serializers.Serializer[Any]):
    """What one customer owes in one currency."""

    customer_id = serializers.CharField()
    external_customer_id = serializers.CharField()
    customer_name = serializers.CharField()
    currency = serializers.CharField()
    amounts = AgesField()
    total = serializers.CharField()
    invoices = serializers.IntegerField()


class AgingTotalOut(serializers.Serializer[Any]):
    """What all customers owe in one currency."""

    currency = serializers.CharField()
    amounts = AgesField()


class AgingQuery(serializers.Serializer[Any]):
    """The page of customers."""

    limit = serializers.IntegerField(default=50, min_value=1, max_value=MOST_CUSTOMERS)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=1_000_000)


class AgingReport(serializers.Serializer[Any]):
    """Receivables by age, most overdue first."""

    as_of = serializers.DateTimeField()
    totals = AgingTotalOut(many=True)
    items = AgingOut(many=True)
    has_more = serializers.BooleanField()


class Aging(ApiView):
    """Retrieve receivables by age: the unpaid amounts of finalized invoices, by customer and currency."""

    @operation(
        "getReceivablesAging",
        "Retrieve receivables by age",
        tag="Invoices",
        parameters=[AgingQuery],
        answers={200: AgingReport},
    )
    def get(self, request: Request) -> Response:
        query, now = read_query(request, AgingQuery), timezone.now()
        start, end = query["offset"], query["offset"] + query["limit"]
        rows = [read_row(values) for values in sum_by_customer(now)[start : end + 1]]
        shown = rows[: query["limit"]]
        ids = dict(Customer.objects.filter(pk__in=[row.customer_id for row in shown]).values_list("pk", "public_id"))
        body = {
            "as_of": now,
            "totals": [
                {"currency": currency, "amounts": _ages(amounts, currency)}
                for currency, amounts in sorted(sum_by_currency(now).items())
            ],
            "items": [_customer(row, ids[row.customer_id]) for row in shown],
            "has_more": len(rows) > len(shown),
        }
        return Response(AgingReport(body).data)


def _customer(row: AgingRow, public_id: str) -> dict[str, Any]:
    return {
        "customer_id": public_id,
        "external_customer_id": row.external_id,
        "customer_name": row.name,
        "currency": row.currency,
        "amounts": _ages(row.amounts, row.currency),
        "total": money(row.total, row.currency),
        "invoices": row.invoices,
    }


def _ages(amounts: dict[str, Any], currency: str) -> dict[str, str]:
    return {bucket: money(amounts[bucket], currency) for bucket in BUCKETS}


class UpcomingOut(serializers.Serializer[Any]):
    """A subscription's running total: its usage so far, and the fees that are due with it."""

    subscription_id = serializers.CharField(source="subscription.public_id")
    customer_id = serializers.CharField(source="subscription.customer.public_id")
    external_customer_id = serializers.CharField(source="subscription.customer.external_id")
    currency = serializers.CharField(source="subscription.currency")
    total = MoneyField(source="upcoming.total", currency="subscription.currency")
    period_start = serializers.DateTimeField(source="upcoming.period.start", default=None, allow_null=True)
    period_end = serializers.DateTimeField(source="upcoming.period.end", default=None, allow_null=True)
    due_at = serializers.DateTimeField(source="upcoming.invoice.request.invoice.due_at", default=None, allow_null=True)
    earlier_invoices = serializers.IntegerField(help_text="Earlier invoices that are due and not issued yet.")
    problem = serializers.CharField(source="upcoming.problem", help_text="Why it can't be calculated, or blank.")


class UpcomingFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")

    class Meta:
        model = Subscription
        fields: ClassVar[list[str]] = []


class UpcomingPages(Pages):
    max_limit = MOST_UPCOMING


class UpcomingInvoices(ApiView):
    """List the running totals of active subscriptions, calculated now. At most 100 per page."""

    @operation(
        "listUpcomingInvoices",
        "List upcoming invoices",
        refusals="`limit` is at most 100.",
        tag="Invoices",
        filters=UpcomingFilter,
        answers={200: listed("UpcomingInvoiceList", UpcomingOut)},
    )
    def get(self, request: Request) -> Response:
        now, pages = timezone.now(), UpcomingPages()
        live = Subscription.objects.live(now).select_related("customer").order_by("-pk")
        subscriptions = pages.paginate_queryset(apply_filters(request, live, UpcomingFilter), request)
        upcoming_by_id = upcoming_many([subscription.pk for subscription in subscriptions], now=now)
        rows = [_Row(subscription, upcoming_by_id[subscription.pk]) for subscription in subscriptions]
        return pages.get_paginated_response(UpcomingOut(rows, many=True).data)


@dataclass(frozen=True, slots=True)
class _Row:
    """A subscription and its upcoming invoice."""

    subscription: Subscription
    upcoming: Upcoming

    @property
    def earlier_invoices(self) -> int:
        return len(self.upcoming.earlier)
