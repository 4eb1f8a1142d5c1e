"""API views for webhooks: endpoints, secrets and deliveries."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.errors import invalid
from config.api.filters import ManyFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body
from config.webhooks.endpoints import (
    change_endpoint,
    create_endpoint,
    remove_endpoint,
    rotate_secret,
    send_again,
    send_test,
)
from config.webhooks.models import WebhookDelivery, WebhookEndpoint
from config.webhooks.serializers import (
    DeliveryOut,
    DeliveryWhole,
    EndpointChange,
    EndpointIn,
    EndpointOut,
    EndpointWithSecret,
)
from config.webhooks.targets import TargetRefused

TAG = "Webhooks"
EXAMPLE = {
    "url": "https://example.com/hooks",
    "description": "Accounting",
    "event_types": ["invoice.update.finalized", "invoice.update.payment"],
}


class DeliveryFilter(filters.FilterSet):
    endpoint_id = filters.CharFilter(field_name="endpoint__public_id")
    message_id = filters.CharFilter(field_name="message__public_id")
    status = ManyFilter(field_name="state", help_text="pending, delivered or failed.")
    event_type = ManyFilter(field_name="message__event_type")
    object_id = filters.CharFilter(field_name="message__object_id", label="The id of the object in the message.")

    class Meta:
        model = WebhookDelivery
        fields: ClassVar[list[str]] = []


class EndpointFilter(filters.FilterSet):
    is_enabled = filters.BooleanFilter()

    class Meta:
        model = WebhookEndpoint
        fields: ClassVar[list[str]] = []


def endpoint_of(endpoint_id: str) -> WebhookEndpoint:
    return get_or_404(WebhookEndpoint.objects.all(), "webhook endpoint", public_id=endpoint_id)


def deliveries() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.select_related("message", "endpoint").order_by("-pk")


def delivery_of(delivery_id: str) -> WebhookDelivery:
    return get_or_404(deliveries(), "webhook delivery", public_id=delivery_id)


class Endpoints(ApiView):
    """Create or list webhook endpoints."""

    shown_once = "secret"

    @operation(
        "listWebhooks",
        "List webhook endpoints",
        tag=TAG,
        answers={200: listed("WebhookList", EndpointOut)},
        filters=EndpointFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, WebhookEndpoint.objects.order_by("-pk"), EndpointFilter, EndpointOut)

    @operation(
        "createWebhook",
        "Create a webhook endpoint",
        refusals="`url` must be a complete address of at most 1,000 ASCII characters, without spaces.",
        tag=TAG,
        body=EndpointIn,
        answers={201: EndpointWithSecret},
        example=EXAMPLE,
        description="Requires an API key with all scopes. The signing secret is only returned here.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, EndpointIn)
        try:
            endpoint = create_endpoint(by=None, **_columns(body))
        except TargetRefused as refused:
            raise invalid({"url": [str(refused)]}) from refused
        endpoint.refresh_from_db()
        return Response(EndpointWithSecret(endpoint).data, status=201)


class OneEndpoint(ApiView):
    """Retrieve, update or delete a webhook endpoint."""

    @operation("getWebhook", "Retrieve a webhook endpoint", tag=TAG, answers={200: EndpointOut}, errors=(404,))
    def get(self, request: Request, endpoint_id: str) -> Response:
        return Response(EndpointOut(endpoint_of(endpoint_id)).data)

    @operation(
        "updateWebhook",
        "Update a webhook endpoint",
        refusals="`url` must be a complete address of at most 1,000 ASCII characters, without spaces.",
        tag=TAG,
        body=EndpointChange,
        answers={200: EndpointOut},
        errors=(400, 404),
        example={"is_enabled": True},
        description="A disabled endpoint receives no new messages; waiting messages are sent once it is enabled again.",
    )
    def put(self, request: Request, endpoint_id: str) -> Response:
        endpoint, body = endpoint_of(endpoint_id), read_body(request, EndpointChange)
        try:
            changed = change_endpoint(endpoint, by=None, now=timezone.now(), **_columns(body))
        except TargetRefused as refused:
            raise invalid({"url": [str(refused)]}) from refused
        return Response(EndpointOut(changed).data)

    @operation(
        "deleteWebhook",
        "Delete a webhook endpoint",
        tag=TAG,
        answers={204: None},
        errors=(404,),
        description="Its deliveries are deleted with it.",
    )
    def delete(self, request: Request, endpoint_id: str) -> Response:
        remove_endpoint(endpoint_of(endpoint_id))
        return Response(status=204)


def _columns(body: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(set(value)) if name == "event_types" else value for name, value in body.items()}


class SecretRotation(ApiView):
    """Rotate an endpoint's secret. For 24 hours, messages are signed with both the old and the new secret."""

    shown_once = "secret"

    @operation(
        "rotateWebhookSecret", "Rotate a webhook's secret", tag=TAG, answers={200: EndpointWithSecret}, errors=(404,)
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        return Response(EndpointWithSecret(rotate_secret(endpoint_of(endpoint_id), now=timezone.now())).data)


class EndpointTest(ApiView):
    """Send a `webhook.test` message to an endpoint. Fails (400) if the endpoint is disabled."""

    @operation("testWebhook", "Send a test message", tag=TAG, answers={201: DeliveryOut}, errors=(400, 404))
    def post(self, request: Request, endpoint_id: str) -> Response:
        delivery = send_test(endpoint_of(endpoint_id), now=timezone.now())
        return Response(DeliveryOut(delivery_of(delivery.public_id)).data, status=201)


class Deliveries(ApiView):
    """List deliveries with their status, newest first."""

    @operation(
        "listWebhookDeliveries",
        "List webhook deliveries",
        tag=TAG,
        filters=DeliveryFilter,
        answers={200: listed("WebhookDeliveryList", DeliveryOut)},
    )
    def get(self, request: Request) -> Response:
        return page(request, deliveries(), DeliveryFilter, DeliveryOut)


class OneDelivery(ApiView):
    """Retrieve a delivery with its message and attempts."""

    @operation(
        "getWebhookDelivery", "Retrieve a webhook delivery", tag=TAG, answers={200: DeliveryWhole}, errors=(404,)
    )
    def get(self, request: Request, delivery_id: str) -> Response:
        return Response(DeliveryWhole(delivery_of(delivery_id)).data)


class Resending(ApiView):
    """Resend a message with the same id, by which receivers can detect the repetition."""

    @operation("resendWebhookDelivery", "Resend a webhook", tag=TAG, answers={200: DeliveryOut}, errors=(400, 404))
    def post(self, request: Request, delivery_id: str) -> Response:
        send_again(delivery_of(delivery_id), now=timezone.now())
        return Response(DeliveryOut(delivery_of(delivery_id)).data)
