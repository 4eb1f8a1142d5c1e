"""The doors to customers."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.names import ENTITLEMENT_RESETS, name_of
from config.api.filters import page
from config.api.openapi import listed, operation, search_body
from config.api.views import ApiView, get_or_404, invalid, read_body
from customers.accounts import archive_customer, save_customer
from customers.api.bodies import CustomerChange, CustomerIn, customer_columns
from customers.api.filters import CustomerFilter
from customers.api.serializers import (
    CustomerGrants,
    CustomerOut,
    GrantedFeature,
    SubscriptionOut,
    serialize_subscriptions,
)
from customers.grants import FeatureGrant, filter_grants, list_grants
from customers.models import Customer, Subscription

TAG = "Customers"
WRITE = "customers:write"
LIST = listed("CustomerList", CustomerOut)
EXAMPLE = {"external_id": "acme", "name": "Acme Ltd", "email": "billing@acme.test", "timezone": "Europe/Berlin"}
WHICH = [OpenApiParameter("id", str), OpenApiParameter("external_customer_id", str)]


def customer_of(customer_id: str) -> Customer:
    return get_or_404(Customer.objects.all(), "customer", public_id=customer_id)


def customer_by_external_id(external_id: str) -> Customer:
    return get_or_404(Customer.objects.all(), "customer", external_id=external_id)


def _changed(request: Request, customer: Customer) -> Response:
    asked = read_body(request, CustomerChange)
    if asked.get("external_id"):
        customer.external_id = asked["external_id"]
    for name, value in customer_columns(asked).items():
        setattr(customer, name, value)
    return Response(CustomerOut(save_customer(customer, by=None)).data)


class Customers(ApiView):
    """Create a customer, list them, or change one that the query names."""

    write_scope = WRITE

    @operation("listCustomers", "List customers", tag=TAG, answers={200: LIST}, filters=CustomerFilter)
    def get(self, request: Request) -> Response:
        return page(request, Customer.objects.order_by("-pk"), CustomerFilter, CustomerOut)

    @operation(
        "createCustomer", "Create a customer", tag=TAG, body=CustomerIn, answers={201: CustomerOut},
        errors=(400, 409), example=EXAMPLE,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, CustomerIn)
        customer = Customer(external_id=asked["external_id"], **customer_columns(asked))
        return Response(CustomerOut(save_customer(customer, by=None)).data, status=201)

    @operation(
        "updateCustomer", "Change a customer that the query names", tag=TAG, body=CustomerChange,
        answers={200: CustomerOut}, errors=(400, 404), example={"name": "Acme SE"}, parameters=WHICH,
    )  # fmt: skip
    def put(self, request: Request) -> Response:
        asked = request.query_params
        if asked.get("id"):
            return _changed(request, customer_of(asked["id"]))
        if asked.get("external_customer_id"):
            return _changed(request, customer_by_external_id(asked["external_customer_id"]))
        raise invalid({"id": ["Name the customer, by id or external_customer_id."]})


class CustomerSearch(ApiView):
    """Find customers by a body. Only reads."""

    is_reading = True

    @operation("queryCustomer", "Search customers", tag=TAG, body=search_body(CustomerFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return page(request, Customer.objects.order_by("-pk"), CustomerFilter, CustomerOut)


class OneCustomer(ApiView):
    """Read a customer, change it, or archive it."""

    write_scope = WRITE

    @operation("getCustomer", "Read a customer", tag=TAG, answers={200: CustomerOut}, errors=(404,))
    def get(self, request: Request, customer_id: str) -> Response:
        return Response(CustomerOut(customer_of(customer_id)).data)

    @operation(
        "updateCustomerById", "Change a customer", tag=TAG, body=CustomerChange, answers={200: CustomerOut},
        errors=(400, 404), example={"name": "Acme SE"},
    )  # fmt: skip
    def put(self, request: Request, customer_id: str) -> Response:
        return _changed(request, customer_of(customer_id))

    @operation(
        "deleteCustomer", "Archive a customer", tag=TAG, answers={204: None}, errors=(400, 404),
        description="Its events count no more; invoices stay. Refused (400) while a subscription hasn't ended.",
    )  # fmt: skip
    def delete(self, request: Request, customer_id: str) -> Response:
        customer = customer_of(customer_id)
        archive_customer(customer, now=timezone.now(), by=None, reason="Deleted through the API")
        return Response(status=204)


class CustomerByExternalId(ApiView):
    """Read a customer by the id that its events carry."""

    @operation("getCustomerByExternalId", "Read a customer by external id", tag=TAG, answers={200: CustomerOut},
               errors=(404,))  # fmt: skip
    def get(self, request: Request, external_id: str) -> Response:
        return Response(CustomerOut(customer_by_external_id(external_id)).data)


def grants_out(grants: list[FeatureGrant]) -> list[dict[str, Any]]:
    """Write what is granted, with its sources."""
    return list(GrantedFeature([_grant(one) for one in grants], many=True).data)


def _grant(one: FeatureGrant) -> dict[str, Any]:
    values = [source.entitlement.static_value for source in one.sources if source.entitlement.static_value]
    return {
        "feature": one.feature,
        "entitlement": {
            "is_enabled": one.is_enabled,
            "is_soft_limit": one.is_soft_limit,
            "usage_limit": None if one.limit is None else int(one.limit),
            "usage_reset_period": name_of(ENTITLEMENT_RESETS, one.reset),
            "static_values": values,
        },
        "sources": sources_out(one),
    }


def sources_out(one: FeatureGrant) -> list[dict[str, Any]]:
    """Write where a grant comes from."""
    return [_source(source) for source in one.sources]


def _source(source: Any) -> dict[str, Any]:
    grant = source.entitlement
    return {
        "entitlement_id": grant.public_id,
        "subscription_id": source.subscription.public_id,
        "entity_type": "plan",
        "entity_id": source.plan_id,
        "entity_name": source.plan_name,
        "is_enabled": grant.is_enabled,
        "usage_limit": None if grant.free_units is None else int(grant.free_units),
        "usage_reset_period": name_of(ENTITLEMENT_RESETS, grant.reset),
        "static_value": grant.static_value,
        "quantity": 1,
    }


def customer_grants(request: Request, customer: Customer) -> Response:
    now = timezone.now()
    live = list(Subscription.objects.filter(customer=customer).live(now))
    wanted = [part for value in request.query_params.getlist("feature_ids") for part in value.split(",") if part]
    features = grants_out(filter_grants(list_grants(live, now=now), wanted))
    return Response({"customer_id": customer.public_id, "features": features})


class CustomerEntitlements(ApiView):
    """Tell what a customer may use now, over all live subscriptions."""

    @operation("getCustomerEntitlements", "What a customer may use", tag=TAG, answers={200: CustomerGrants},
               errors=(404,))  # fmt: skip
    def get(self, request: Request, customer_id: str) -> Response:
        return customer_grants(request, customer_of(customer_id))


class EntitlementsByExternalId(ApiView):
    """Tell what a customer may use now, by external id."""

    @operation("getCustomerEntitlementsByExternalId", "What a customer may use, by external id", tag=TAG,
               answers={200: CustomerGrants}, errors=(404,))  # fmt: skip
    def get(self, request: Request, external_id: str) -> Response:
        return customer_grants(request, customer_by_external_id(external_id))


class SubscriptionsByExternalId(ApiView):
    """List a customer's subscriptions, newest first."""

    @operation("getSubscriptionsForCustomer", "A customer's subscriptions", tag=TAG, errors=(404,),
               answers={200: listed("CustomerSubscriptionList", SubscriptionOut)})  # fmt: skip
    def get(self, request: Request, external_id: str) -> Response:
        customer = customer_by_external_id(external_id)
        rows = Subscription.objects.filter(customer=customer).select_related("customer").order_by("-started_at", "-pk")
        items = serialize_subscriptions(rows[:1000], now=timezone.now())
        return Response({"items": items, "pagination": {"total": len(items), "limit": 1000, "offset": 0}})
