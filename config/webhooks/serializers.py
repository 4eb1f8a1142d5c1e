"""Endpoints, deliveries and tries as the API reads and writes them."""

from typing import Any

from rest_framework import serializers

from config.api.fields import TextField
from config.webhooks.models import DeliveryState
from config.webhooks.names import CHOSEN
from config.webhooks.targets import LONGEST


class EndpointChange(serializers.Serializer[Any]):
    """What to change of an endpoint; the rest stays."""

    url = serializers.CharField(max_length=LONGEST, required=False, help_text="An https:// address that takes POST.")
    description = TextField(255)
    event_types = serializers.ListField(
        child=serializers.ChoiceField(CHOSEN), required=False, help_text="What it is told of; empty: of everything."
    )
    is_enabled = serializers.BooleanField(required=False)


class EndpointIn(EndpointChange):
    url = serializers.CharField(max_length=LONGEST, help_text="An https:// address that takes POST.")


class EndpointOut(serializers.Serializer[Any]):
    """Where messages go. One that takes nothing for three days is disabled by itself."""

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
    """An endpoint with its signing secret, which is shown this once."""

    secret = serializers.CharField()


class DeliveryOut(serializers.Serializer[Any]):
    """How one message to one endpoint stands."""

    id = serializers.CharField(source="public_id")
    message_id = serializers.CharField(source="message.public_id", help_text="What the `webhook-id` header says.")
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
    """One try. `status` is null when nothing was answered."""

    started_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    response = serializers.CharField(help_text="The answer's first 500 characters.")


class DeliveryWhole(DeliveryOut):
    """A delivery with what is sent and every try."""

    body = serializers.CharField(source="message.body", help_text="The JSON that is signed and sent, byte by byte.")
    attempts = AttemptOut(many=True)
