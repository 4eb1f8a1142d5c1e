"""API views for wrong external ids that are mapped to customers."""

from typing import Any, ClassVar

import django_filters as filters
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, read_body
from customers.accounts import map_external_id
from customers.api.customers import TAG, WRITE, customer_of
from customers.models import CustomerAlias


class AliasIn(OptionalReasonIn):
    """A wrong external id, and the customer whose events it stands for."""

    alias = serializers.CharField(max_length=255)
    customer_id = serializers.CharField(max_length=64)


class AliasOut(serializers.Serializer[Any]):
    """A wrong external id, and the customer whose events it stands for."""

    alias = serializers.CharField()
    customer_id = serializers.CharField(source="customer.public_id")
    external_customer_id = serializers.CharField(source="customer.external_id")
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class AliasFilter(filters.FilterSet):
    alias = filters.CharFilter(field_name="alias")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    external_customer_id = filters.CharFilter(field_name="customer__external_id")

    class Meta:
        model = CustomerAlias
        fields: ClassVar[list[str]] = []


class CustomerAliases(ApiView):
    """Map a wrong external id to a customer, or list the mappings. Problems with the id are replayed."""

    write_scope = WRITE

    @operation(
        "listCustomerAliases",
        "List customer aliases",
        tag=TAG,
        answers={200: listed("CustomerAliasList", AliasOut)},
        filters=AliasFilter,
    )
    def get(self, request: Request) -> Response:
        rows = CustomerAlias.objects.select_related("customer").order_by("-pk")
        return page(request, rows, AliasFilter, AliasOut)

    @operation(
        "mapExternalId",
        "Map an external id to a customer",
        tag=TAG,
        body=AliasIn,
        answers={200: AliasOut},
        errors=(400, 404),
        example={"alias": "ACME Ltd", "customer_id": "cust_1", "reason": "Sent by the old app"},
        description="A second request with the same alias changes its customer. A mapping can't be deleted, because "
        "events were counted with it.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, AliasIn)
        customer = customer_of(body["customer_id"])
        return Response(AliasOut(map_external_id(body["alias"], customer, by=None, reason=reason_in(body))).data)
