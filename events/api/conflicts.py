"""API views for duplicate events: the log, the open conflicts by cause, and dismissing them."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.filters import ManyFilter, MomentFilter, any_of, page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body
from events.api.serializers.conflicts import ConflictDismissal, ConflictOut, Conflicts, DuplicateOut
from events.api.serializers.problems import DismissAnswer
from events.ledger.conflicts import MOST_AT_ONCE, dismiss_conflicts, open_conflicts
from events.models import ApiKey, DuplicateEvent, Scope
from events.models.duplicates import IS_DISMISSED, IS_OPEN, ConflictState, Difference, DuplicateKind

TAG = "Problems"
STATES = {ConflictState.OPEN.value: IS_OPEN, ConflictState.DISMISSED.value: IS_DISMISSED}


class DuplicateFilter(filters.FilterSet):
    event_id = filters.CharFilter(field_name="event_id")
    kind = ManyFilter(field_name="kind", help_text=", ".join(DuplicateKind.values) + ".")
    differs = ManyFilter(
        choices=Difference.values, method="with_differences", help_text=", ".join(Difference.values) + "."
    )
    state = ManyFilter(choices=ConflictState.values, method="with_state", help_text="Of conflicts: open, dismissed.")
    event_name = filters.CharFilter(field_name="event_name")
    external_customer_id = filters.CharFilter(field_name="external_customer_id")
    api_key_id = filters.CharFilter(field_name="api_key__public_id")
    start_time = MomentFilter(field_name="last_at", lookup_expr="gte")
    end_time = MomentFilter(field_name="last_at", lookup_expr="lt")

    class Meta:
        model = DuplicateEvent
        fields: ClassVar[list[str]] = []

    def with_differences(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        return rows.filter(differs__overlap=value) if value else rows

    def with_state(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        return rows.filter(any_of(STATES, value))


class Duplicates(ApiView):
    """List duplicate events, newest first: repeats with the same content, and conflicts."""

    @operation(
        "listDuplicates",
        "List duplicate events",
        tag=TAG,
        answers={200: listed("DuplicateList", DuplicateOut)},
        filters=DuplicateFilter,
    )
    def get(self, request: Request) -> Response:
        rows = DuplicateEvent.objects.select_related("api_key").order_by("-pk")
        return page(request, rows, DuplicateFilter, DuplicateOut)


class ConflictCauses(ApiView):
    """List the causes of open conflicts, most frequent first: events that used the id of another event."""

    @operation(
        "listConflicts",
        "List conflicts by cause",
        tag=TAG,
        answers={200: Conflicts},
        description="Event ids are unique across the company. A second event with the id of another customer's or "
        "source's event, or with other content, isn't counted. `GET /events/duplicates?state=open` lists all of them.",
    )
    def get(self, request: Request) -> Response:
        return Response({"items": ConflictOut(open_conflicts(), many=True).data})


class ConflictsDismissal(ApiView):
    """Dismiss conflicts: their events stay uncounted. The reason is stored."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "dismissConflicts",
        "Dismiss conflicts",
        refusals="Specify either `conflict_ids` or a `cause`.",
        tag=TAG,
        body=ConflictDismissal,
        answers={200: DismissAnswer},
        errors=(400, 404),
        example={"cause": {"difference": "source"}, "reason": "The gateway was fixed"},
        description="At most 20,000 conflicts per request; repeat the request while `has_more` is true.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, ConflictDismissal)
        rows = _conflicts_in(body)
        dismissed = dismiss_conflicts(rows, reason=body["reason"], now=timezone.now())
        return Response({"dismissed": dismissed, "has_more": dismissed == MOST_AT_ONCE and rows.exists()})


def _conflicts_in(body: dict[str, Any]) -> QuerySet[DuplicateEvent]:
    """Return the open conflicts that a body selects."""
    if ids := body.get("conflict_ids"):
        return DuplicateEvent.objects.open().filter(pk__in=ids)
    cause = body["cause"]
    public_id = cause["api_key_id"]
    api_key = get_or_404(ApiKey.objects.all(), "API key", public_id=public_id) if public_id else None
    return DuplicateEvent.objects.of_cause(api_key, Difference(cause["difference"]))
