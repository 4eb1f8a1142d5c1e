"""Fields that several answers have."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.names import (
    STATUSES,
)


@extend_schema_field({"type": "string", "enum": ["published", "archived"]})
class StatusField(serializers.Field[Any, Any, str, Any]):
    """Whether the object is in use or archived."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, source="state", **kwargs)

    def to_representation(self, value: Any) -> str:
        return STATUSES.get(str(value), "published")
