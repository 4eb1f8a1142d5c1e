"""Request bodies that change plans, or copy a plan or a feature."""

from typing import Any

from rest_framework import serializers

from config.api.fields import MetadataField, TextField


class PlanIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=255)
    lookup_key = TextField(allow_null=True)
    description = TextField(10_000)
    display_order = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    metadata = MetadataField(required=False, allow_null=True)


class PlanChange(PlanIn):
    name = serializers.CharField(max_length=255, required=False)


class CloneIn(PlanIn):
    """The fields of the copy that differ. A new name is required."""

    metadata = MetadataField(required=False)
