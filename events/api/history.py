"""The API view of sealed events: the parts in which they are kept."""

from typing import Any, ClassVar

import django_filters as filters
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.filters import MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView
from events.models import PartState, SealedPart

STATES = {state: state.name.lower() for state in PartState}
PLACES = {name: state for state, name in STATES.items()}


class SealedPartOut(serializers.Serializer[Any]):
    """A part: an immutable set of sealed events in the store."""

    name = serializers.CharField(help_text="The name of the object in the store, without its ending.")
    state = serializers.ChoiceField(list(PLACES), source="get_state", help_text="How far the part is.")
    events = serializers.IntegerField(source="rows", allow_null=True)
    bytes = serializers.IntegerField(allow_null=True, help_text="The size of the object.")
    occurred_from = serializers.DateTimeField(allow_null=True, help_text="When its first event occurred.")
    occurred_until = serializers.DateTimeField(allow_null=True, help_text="When its last event occurred.")
    returned = serializers.IntegerField(help_text="How many of its events are in the ledger again, or still.")
    sha256 = serializers.CharField(source="digest", help_text="Of the object as it was proven; may be blank.")
    planned_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    sealed_at = serializers.DateTimeField(allow_null=True, help_text="When its events had left the ledger.")


class SealedPartFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=[(name, name) for name in PLACES], method="in_state")
    occurred_from = MomentFilter(field_name="occurred_until", lookup_expr="gte", label="Parts with events since.")
    occurred_until = MomentFilter(field_name="occurred_from", lookup_expr="lt", label="Parts with events before.")

    class Meta:
        model = SealedPart
        fields: ClassVar[list[str]] = []

    def in_state(self, rows: Any, name: str, value: str) -> Any:
        return rows.filter(state=PLACES[value])


class SealedParts(ApiView):
    """List the parts of sealed events, newest first."""

    @operation(
        "listSealedParts",
        "List parts of sealed events",
        tag="Events",
        answers={200: listed("SealedPartList", SealedPartOut)},
        filters=SealedPartFilter,
        description="Empty unless `EVENT_HISTORY` says where settled events are kept.",
    )
    def get(self, request: Request) -> Response:
        return page(request, SealedPart.objects.order_by("-pk"), SealedPartFilter, SealedPartOut)
