"""What bodies of several kinds share."""

from typing import Any

from rest_framework import serializers

Invalid = serializers.ValidationError
PLANS_ONLY = "Prices and entitlements belong to plans and add-ons."
VERSIONED = "A change applies from the plan version that is published next. Leave this field out."


def shared_columns(body: dict[str, Any]) -> dict[str, Any]:
    """Translate the fields that features and plans share. A blank lookup key becomes null."""
    names = (
        *("name", "description", "unit_singular", "unit_plural", "accept_numeric_strings", "field_aliases"),
        "display_order",
    )
    columns = {name: body[name] for name in names if name in body}
    if body.get("metadata") is not None:
        columns["metadata"] = body["metadata"]
    if "lookup_key" in body:
        columns["key"] = body["lookup_key"] or None
    return columns
