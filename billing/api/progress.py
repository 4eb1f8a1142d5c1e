"""API views for the billing progress of subscriptions: how far they are billed, and why they can't be."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.models import BillingState
from billing.runs.billing_run import bill_subscriptions
from config.api.fields import BlankAsNullField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_all_or_404, read_body
from customers.models import Subscription

TAG = "Billing runs"
WRITE = "billing:write"
MOST_AT_ONCE = 500


class BillingProgressOut(serializers.Serializer[Any]):
    """How far a subscription is billed. A parked subscription can't be billed; it is tried again at `retry_at`."""

    subscription_id = serializers.CharField(source="subscription.public_id")
    customer_id = serializers.CharField(source="subscription.customer.public_id")
    external_customer_id = serializers.CharField(source="subscription.customer.external_id")
    billed_until = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True, help_text="Null if nothing is left to bill.")
    parked_at = serializers.DateTimeField(allow_null=True)
    parked_reason = BlankAsNullField()
    attempts = serializers.IntegerField()
    retry_at = serializers.DateTimeField(allow_null=True)


class ProgressFilter(filters.FilterSet):
    subscription_id = filters.CharFilter(field_name="subscription__public_id")
    external_customer_id = filters.CharFilter(field_name="subscription__customer__external_id")
    is_parked = filters.BooleanFilter(field_name="parked_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = BillingState
        fields: ClassVar[list[str]] = []


class RetryIn(serializers.Serializer[Any]):
    """The subscriptions to bill now."""

    subscription_ids = serializers.ListField(
        child=serializers.CharField(max_length=64), min_length=1, max_length=MOST_AT_ONCE
    )


class RetryOut(serializers.Serializer[Any]):
    """What was drafted, and which subscriptions still can't be billed."""

    invoices = serializers.IntegerField()
    failed = serializers.IntegerField()
    items = BillingProgressOut(many=True)


def states() -> QuerySet[BillingState]:
    return BillingState.objects.select_related("subscription__customer").order_by("-pk")


class BillingProgress(ApiView):
    """List the billing progress of subscriptions."""

    @operation(
        "listBillingProgress",
        "List billing progress",
        tag=TAG,
        answers={200: listed("BillingProgressList", BillingProgressOut)},
        filters=ProgressFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, states(), ProgressFilter, BillingProgressOut)


class BillingRetry(ApiView):
    """Bill subscriptions now: draft all their invoices that are due, without waiting for the next attempt."""

    write_scope = WRITE

    @operation(
        "billSubscriptions",
        "Bill subscriptions now",
        tag=TAG,
        body=RetryIn,
        answers={200: RetryOut},
        errors=(400, 404),
        example={"subscription_ids": ["subs_1"]},
    )
    def post(self, request: Request) -> Response:
        ids = read_body(request, RetryIn)["subscription_ids"]
        keys = [row.pk for row in get_all_or_404(Subscription.objects.all(), "subscription", ids).values()]
        tally = bill_subscriptions(keys, as_of=timezone.now(), retrying=True)
        body = {"invoices": tally.invoices, "failed": tally.failed, "items": states().filter(pk__in=keys)}
        return Response(RetryOut(body).data)
