"""The doors to webhooks: endpoints, their secrets, and what was delivered."""

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
    make_endpoint,
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
    "url": "https://example.com/hooks", "description": "Accounting",
    "event_types": ["invoice.update.finalized", "invoice.update.payment"],
}  # fmt: skip


class DeliveryFilter(filters.FilterSet):
    endpoint_id = filters.CharFilter(field_name="endpoint__public_id")
    message_id = filters.CharFilter(field_name="message__public_id")
    status = ManyFilter(field_name="state", help_text="pending, delivered, failed.")
    event_type = ManyFilter(field_name="message__event_type")
    object_id = filters.CharFilter(field_name="message__object_id", label="What the message is about.")

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
    """The addresses that are told what happens."""

    @operation("listWebhooks", "List webhook endpoints", tag=TAG, answers={200: listed("WebhookList", EndpointOut)},
               filters=EndpointFilter)  # fmt: skip
    def get(self, request: Request) -> Response:
        return page(request, WebhookEndpoint.objects.order_by("-pk"), EndpointFilter, EndpointOut)

    @operation(
        "createWebhook", "Create a webhook endpoint", tag=TAG, body=EndpointIn, answers={201: EndpointWithSecret},
        example=EXAMPLE, description="Needs a key with every scope. The answer shows the signing secret, this once.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, EndpointIn)
        try:
            made = make_endpoint(by=None, **_columns(asked))
        except TargetRefused as refused:
            raise invalid({"url": [str(refused)]}) from refused
        made.refresh_from_db()
        return Response(EndpointWithSecret(made).data, status=201)


class OneEndpoint(ApiView):
    """Read an endpoint, change it, or remove it."""

    @operation("getWebhook", "Read a webhook endpoint", tag=TAG, answers={200: EndpointOut}, errors=(404,))
    def get(self, request: Request, endpoint_id: str) -> Response:
        return Response(EndpointOut(endpoint_of(endpoint_id)).data)

    @operation(
        "updateWebhook", "Change a webhook endpoint", tag=TAG, body=EndpointChange, answers={200: EndpointOut},
        errors=(400, 404), example={"is_enabled": True},
        description="While it is disabled, what waits goes on waiting, and nothing new is told.",
    )  # fmt: skip
    def put(self, request: Request, endpoint_id: str) -> Response:
        endpoint, asked = endpoint_of(endpoint_id), read_body(request, EndpointChange)
        try:
            changed = change_endpoint(endpoint, by=None, now=timezone.now(), **_columns(asked))
        except TargetRefused as refused:
            raise invalid({"url": [str(refused)]}) from refused
        return Response(EndpointOut(changed).data)

    @operation("deleteWebhook", "Remove a webhook endpoint", tag=TAG, answers={204: None}, errors=(404,),
               description="Its deliveries are removed with it.")  # fmt: skip
    def delete(self, request: Request, endpoint_id: str) -> Response:
        remove_endpoint(endpoint_of(endpoint_id))
        return Response(status=204)


def _columns(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(set(value)) if name == "event_types" else value for name, value in asked.items()}


class SecretRotation(ApiView):
    """Give an endpoint a new secret. For 24 hours messages carry signatures by both."""

    @operation("rotateWebhookSecret", "Rotate a webhook's secret", tag=TAG, answers={200: EndpointWithSecret},
               errors=(404,))  # fmt: skip
    def post(self, request: Request, endpoint_id: str) -> Response:
        return Response(EndpointWithSecret(rotate_secret(endpoint_of(endpoint_id), now=timezone.now())).data)


class EndpointTest(ApiView):
    """Send an endpoint a `webhook.test` message. Refused (400) while it is disabled."""

    @operation("testWebhook", "Send a test message", tag=TAG, answers={201: DeliveryOut}, errors=(400, 404))
    def post(self, request: Request, endpoint_id: str) -> Response:
        sent = send_test(endpoint_of(endpoint_id), now=timezone.now())
        return Response(DeliveryOut(delivery_of(sent.public_id)).data, status=201)


class Deliveries(ApiView):
    """What was sent, or is to be, and how it went: newest first."""

    @operation("listWebhookDeliveries", "List webhook deliveries", tag=TAG, filters=DeliveryFilter,
               answers={200: listed("WebhookDeliveryList", DeliveryOut)})  # fmt: skip
    def get(self, request: Request) -> Response:
        return page(request, deliveries(), DeliveryFilter, DeliveryOut)


class OneDelivery(ApiView):
    """Read a delivery: what is sent, and every try."""

    @operation("getWebhookDelivery", "Read a webhook delivery", tag=TAG, answers={200: DeliveryWhole}, errors=(404,))
    def get(self, request: Request, delivery_id: str) -> Response:
        return Response(DeliveryWhole(delivery_of(delivery_id)).data)


class Resending(ApiView):
    """Send a message again, with its id: receivers that know it already can tell."""

    @operation("resendWebhookDelivery", "Send a webhook again", tag=TAG, answers={200: DeliveryOut}, errors=(400, 404))
    def post(self, request: Request, delivery_id: str) -> Response:
        send_again(delivery_of(delivery_id), now=timezone.now())
        return Response(DeliveryOut(delivery_of(delivery_id)).data)
