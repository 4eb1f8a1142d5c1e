"""Bodies of actions whose reason goes to the change log."""

from typing import Any

from rest_framework import serializers

from config.api.fields import TextField


class ReasonIn(serializers.Serializer[Any]):
    """The reason, which is stored in the change log."""

    reason = serializers.CharField(max_length=255)


class OptionalReasonIn(serializers.Serializer[Any]):
    """The optional reason, which is stored in the change log."""

    reason = TextField(255)


def reason_in(body: dict[str, Any]) -> str:
    """Return the reason of a body, or an empty string."""
    return body.get("reason") or ""
