"""Webhook endpoints, deliveries and attempts, in requests and answers."""

from typing import Any

from rest_framework import serializers

from config.api.fields import TextField
from config.webhooks.models import DeliveryState
from config.webhooks.names import CHOSEN
from config.webhooks.targets import LONGEST


class EndpointChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values."""

    url = serializers.CharField(
        max_length=LONGEST, required=False, help_text="An https:// URL that accepts POST requests."
    )
    description = TextField(255)
    event_types = serializers.ListField(
        child=serializers.ChoiceField(CHOSEN),
        required=False,
        help_text="The events to receive. Leave empty to receive all events.",
    )
    is_enabled = serializers.BooleanField(required=False)


class EndpointIn(EndpointChange):
    url = serializers.CharField(max_length=LONGEST, help_text="An https:// URL that accepts POST requests.")


class EndpointOut(serializers.Serializer[Any]):
    """A webhook endpoint. It is disabled automatically if all deliveries fail for three days."""

    id = serializers.CharField(source="public_id")
    url = serializers.CharField()
    description = serializers.CharField()
    event_types = serializers.ListField(child=serializers.ChoiceField(CHOSEN))
    is_enabled = serializers.BooleanField()
    failing_since = serializers.DateTimeField(allow_null=True)
    last_success_at = serializers.DateTimeField(allow_null=True)
    disabled_at = serializers.DateTimeField(allow_null=True)
    disabled_reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class EndpointWithSecret(EndpointOut):
    """A webhook endpoint with its signing secret, which is only returned here."""

    secret = serializers.CharField(allow_null=True, help_text="Null if a request is repeated with its Idempotency-Key.")


class DeliveryOut(serializers.Serializer[Any]):
    """The delivery of a message to an endpoint."""

    id = serializers.CharField(source="public_id")
    message_id = serializers.CharField(source="message.public_id", help_text="The value of the `webhook-id` header.")
    endpoint_id = serializers.CharField(source="endpoint.public_id")
    event_type = serializers.CharField(source="message.event_type")
    object_id = serializers.CharField(source="message.object_id")
    status = serializers.ChoiceField(DeliveryState.choices, source="state")
    tries = serializers.IntegerField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    last_status = serializers.IntegerField(allow_null=True)
    last_error = serializers.CharField()
    created_at = serializers.DateTimeField(source="message.created_at")


class AttemptOut(serializers.Serializer[Any]):
    """An attempt to deliver a message. `status` is null if there was no response."""

    started_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    response = serializers.CharField(help_text="The first 500 characters of the response.")


class DeliveryWhole(DeliveryOut):
    """A delivery with its message and attempts."""

    body = serializers.CharField(source="message.body", help_text="The exact JSON that is signed and sent.")
    attempts = AttemptOut(many=True)
