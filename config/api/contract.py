"""Objects of the public contract in answers: every field of the contract is there, null where there is nothing."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

OF_RECORDS = ("tenant_id", "environment_id", "created_by", "updated_by")


@extend_schema_field({"type": "null", "description": "Always null: there is nothing like it here."})
class NullField(serializers.Field[None, Any, None, Any]):
    """A field of the contract that has no value here."""

    def __init__(self) -> None:
        super().__init__(read_only=True)

    def get_attribute(self, instance: Any) -> None:
        return None


class ContractAnswer(serializers.Serializer[Any]):
    """A part of an answer. Strict clients require all of the contract's fields: those in `nulls` are always null."""

    nulls: ClassVar[tuple[str, ...]] = ()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = super().get_fields()
        return fields | {name: NullField() for name in self.nulls if name not in fields}


class ContractRecord(ContractAnswer):
    """A stored object. There is one company, and the history of changes says who made them."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = super().get_fields()
        return fields | {name: NullField() for name in OF_RECORDS if name not in fields}
