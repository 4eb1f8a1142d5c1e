"""API views for customers."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.errors import invalid
from config.api.filters import comma_separated, page, read_expansions
from config.api.openapi import expand_parameter, listed, operation, search_body
from config.api.views import ApiView, get_or_404, read_body
from customers.accounts import activate_customer, archive_customer, save_customer
from customers.api.bodies import CustomerChange, CustomerIn, customer_columns
from customers.api.filters import CustomerFilter, SubscriptionFilter
from customers.api.serializers.customers import CustomerOut
from customers.api.serializers.grants import CustomerGrants
from customers.api.serializers.subscriptions import SubscriptionOut, serialize_subscriptions
from customers.grants import filter_grants, list_grants
from customers.models import Customer, Subscription
from customers.signals import customer_hooks

TAG = "Customers"
WRITE = "customers:write"
LIST = listed("CustomerList", CustomerOut)
EXAMPLE = {"external_id": "acme", "name": "Acme Ltd", "email": "billing@acme.test", "timezone": "Europe/Berlin"}
FEATURES = [OpenApiParameter("feature_ids", str, many=True, description="Only these features.")]
RULES_OF_FIELDS = (
    "`timezone` must be an IANA name. `peppol_id` starts with the scheme of an electronic address and has no spaces."
)
RULES_OF_PARENTS = (
    "`parent_customer_id` and `parent_customer_external_id` name a customer without a parent, and the customer is no "
    "parent itself."
)
WHICH = [OpenApiParameter("id", str), OpenApiParameter("external_customer_id", str)]


def customer_of(customer_id: str) -> Customer:
    return get_or_404(Customer.objects.select_related("parent"), "customer", public_id=customer_id)


def customer_by_external_id(external_id: str) -> Customer:
    return get_or_404(Customer.objects.select_related("parent"), "customer", external_id=external_id)


def customer_of_body(body: Mapping[str, Any]) -> Customer:
    """Return the customer that a body specifies by customer_id or external_customer_id."""
    customer_id = body.get("customer_id")
    return customer_of(customer_id) if customer_id else customer_by_external_id(body["external_customer_id"])


def _update(request: Request, customer: Customer) -> Response:
    body = read_body(request, CustomerChange)
    if body.get("external_id"):
        customer.external_id = body["external_id"]
    for name, value in customer_columns(body).items():
        setattr(customer, name, value)
    _set_parent(customer, body)
    return Response(CustomerOut(save_customer(customer, by=None)).data)


def _set_parent(customer: Customer, body: Mapping[str, Any]) -> None:
    """Set who pays for the customer, if the body says so. 400 for a parent that doesn't exist."""
    for name, find in (("parent_customer_id", "public_id"), ("parent_customer_external_id", "external_id")):
        if name not in body:
            continue
        parent = Customer.objects.filter(**{find: body[name]}).first() if body[name] else None
        if body[name] and parent is None:
            raise invalid({name: [f"There is no customer “{body[name]}”."]})
        customer.parent = parent


class Customers(ApiView):
    """Create, list or update customers."""

    write_scope = WRITE

    @operation("listCustomers", "List customers", tag=TAG, answers={200: LIST}, filters=CustomerFilter)
    def get(self, request: Request) -> Response:
        return page(request, Customer.objects.select_related("parent").order_by("-pk"), CustomerFilter, CustomerOut)

    @operation(
        "createCustomer",
        "Create a customer",
        refusals=f"{RULES_OF_FIELDS} `parent_customer_id` and `parent_customer_external_id` name a customer without a "
        "parent.",
        tag=TAG,
        body=CustomerIn,
        answers={201: CustomerOut},
        errors=(400, 404, 409),
        example=EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, CustomerIn)
        customer = Customer(external_id=body["external_id"], **customer_columns(body))
        _set_parent(customer, body)
        with transaction.atomic():
            save_customer(customer, by=None)
            for customer_hook in customer_hooks:
                customer_hook(customer, body)
        return Response(CustomerOut(customer).data, status=201)

    @operation(
        "updateCustomer",
        "Update a customer by id or external id",
        refusals=f"Specify the customer by `id` or `external_customer_id`. {RULES_OF_FIELDS} {RULES_OF_PARENTS}",
        tag=TAG,
        body=CustomerChange,
        answers={200: CustomerOut},
        errors=(400, 404),
        example={"name": "Acme SE"},
        parameters=WHICH,
    )
    def put(self, request: Request) -> Response:
        query = request.query_params
        if query.get("id"):
            return _update(request, customer_of(query["id"]))
        if query.get("external_customer_id"):
            return _update(request, customer_by_external_id(query["external_customer_id"]))
        raise invalid({"id": ["Specify the customer by id or external_customer_id."]})


class CustomerSearch(ApiView):
    """Search customers."""

    is_reading = True

    @operation("queryCustomer", "Search customers", tag=TAG, body=search_body(CustomerFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return page(request, Customer.objects.select_related("parent").order_by("-pk"), CustomerFilter, CustomerOut)


class OneCustomer(ApiView):
    """Retrieve, update or archive a customer."""

    write_scope = WRITE

    @operation("getCustomer", "Retrieve a customer", tag=TAG, answers={200: CustomerOut}, errors=(404,))
    def get(self, request: Request, customer_id: str) -> Response:
        return Response(CustomerOut(customer_of(customer_id)).data)

    @operation(
        "updateCustomerById",
        "Update a customer",
        refusals=f"{RULES_OF_FIELDS} {RULES_OF_PARENTS}",
        tag=TAG,
        body=CustomerChange,
        answers={200: CustomerOut},
        errors=(400, 404),
        example={"name": "Acme SE"},
    )
    def put(self, request: Request, customer_id: str) -> Response:
        return _update(request, customer_of(customer_id))

    @operation(
        "deleteCustomer",
        "Archive a customer",
        tag=TAG,
        answers={204: None},
        errors=(400, 404),
        description="New events won't be counted; invoices are kept. Fails (400) while a subscription is live.",
    )
    def delete(self, request: Request, customer_id: str) -> Response:
        customer = customer_of(customer_id)
        archive_customer(customer, now=timezone.now(), by=None, reason="Deleted through the API")
        return Response(status=204)


class CustomerActivate(ApiView):
    """Activate an archived customer. Its new events are counted again; an active customer doesn't change."""

    write_scope = WRITE

    @operation("activateCustomer", "Activate a customer", tag=TAG, answers={200: CustomerOut}, errors=(404,))
    def post(self, request: Request, customer_id: str) -> Response:
        customer = activate_customer(customer_of(customer_id), by=None, reason="Activated through the API")
        return Response(CustomerOut(customer).data)


class CustomerByExternalId(ApiView):
    """Retrieve a customer by the external id that its events carry."""

    @operation(
        "getCustomerByExternalId",
        "Retrieve a customer by external id",
        tag=TAG,
        answers={200: CustomerOut},
        errors=(404,),
    )
    def get(self, request: Request, external_id: str) -> Response:
        return Response(CustomerOut(customer_by_external_id(external_id)).data)


def customer_grants(request: Request, customer: Customer) -> Response:
    now = timezone.now()
    live = list(Subscription.objects.filter(customer=customer).live(now))
    grants = filter_grants(list_grants(live, now=now), comma_separated(request.query_params, "feature_ids"))
    return Response(CustomerGrants({"customer": customer, "features": grants}).data)


class CustomerEntitlements(ApiView):
    """Retrieve a customer's entitlements from all live subscriptions."""

    @operation(
        "getCustomerEntitlements",
        "Retrieve a customer's entitlements",
        tag=TAG,
        answers={200: CustomerGrants},
        errors=(404,),
        parameters=FEATURES,
    )
    def get(self, request: Request, customer_id: str) -> Response:
        return customer_grants(request, customer_of(customer_id))


class EntitlementsByExternalId(ApiView):
    """Retrieve a customer's entitlements by external id."""

    @operation(
        "getCustomerEntitlementsByExternalId",
        "Retrieve a customer's entitlements by external id",
        tag=TAG,
        answers={200: CustomerGrants},
        errors=(404,),
        parameters=FEATURES,
    )
    def get(self, request: Request, external_id: str) -> Response:
        return customer_grants(request, customer_by_external_id(external_id))


class SubscriptionsByExternalId(ApiView):
    """List a customer's subscriptions, newest first."""

    @operation(
        "getSubscriptionsForCustomer",
        "List a customer's subscriptions",
        tag=TAG,
        errors=(404,),
        answers={200: listed("CustomerSubscriptionList", SubscriptionOut)},
        parameters=[expand_parameter(SubscriptionFilter)],
    )
    def get(self, request: Request, external_id: str) -> Response:
        customer = customer_by_external_id(external_id)
        read_expansions(request, SubscriptionFilter)
        rows = Subscription.objects.filter(customer=customer).select_related("customer").order_by("-started_at", "-pk")
        items = serialize_subscriptions(rows[:1000], now=timezone.now())
        return Response({"items": items, "pagination": {"total": len(items), "limit": 1000, "offset": 0}})
