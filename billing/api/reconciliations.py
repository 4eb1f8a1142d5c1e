"""API views for the reconciliation of a month, and for the events behind its numbers."""

from itertools import islice
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.month_ends import TAG, read_month
from billing.month_end.reconciliation import OUTCOME_LABELS, Reconciliation, latest_reconciliation
from billing.month_end.reconciliation_entries import ROWS, Entry, ReconciliationTotal, list_entries, row_name
from billing.month_end.usage import STATUS_LABELS
from catalog.models import Feature
from config.api.fields import ComputedText
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_query
from customers.models import Customer


class ReconciliationQuery(serializers.Serializer[Any]):
    """Whose events to reconcile; by default all customers' and all features'."""

    external_customer_id = serializers.CharField(required=False)
    feature_id = serializers.CharField(required=False)


class ReconciliationEventsQuery(ReconciliationQuery):
    """A row of the reconciliation, and the page of its events."""

    row = serializers.ChoiceField(
        sorted(ROWS),
        default=ReconciliationTotal.RECEIVED.value,
        help_text="The `row` of an outcome or of usage; `received` and `usage` are their totals. Default: received.",
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=1000)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=1_000_000)


class OutcomeOut(serializers.Serializer[Any]):
    """Received events with an outcome."""

    outcome = serializers.CharField()
    message = serializers.CharField()
    events = serializers.IntegerField()
    row = serializers.CharField(
        allow_null=True, help_text="The row to list these events by. Null for those that aren't in the ledger."
    )


class ReconciledUsageOut(serializers.Serializer[Any]):
    """A feature's counted events with a billing status."""

    feature_id = serializers.CharField(source="feature.public_id")
    feature_name = serializers.CharField(source="feature.name")
    status = serializers.CharField(source="status.name")
    message = serializers.SerializerMethodField()
    events = serializers.IntegerField()
    row = serializers.SerializerMethodField(help_text="The row to list these events by, with the feature's ID.")

    def get_message(self, line: Any) -> str:
        return STATUS_LABELS[line.status]

    def get_row(self, line: Any) -> str:
        return row_name(line.status) or ""


class ReconciliationOut(serializers.Serializer[Any]):
    """A month in the company's time zone: received events by outcome, and counted usage by billing status."""

    month = serializers.CharField()
    timezone = serializers.CharField()
    starts_at = serializers.DateTimeField(source="period.start")
    ends_at = serializers.DateTimeField(source="period.end")
    as_of = serializers.DateTimeField()
    received = serializers.IntegerField()
    outcomes = serializers.SerializerMethodField()
    unexplained = serializers.IntegerField(help_text="Received events without an outcome.")
    counted = serializers.IntegerField(help_text="Counted events, once for each feature that they count for.")
    usage = ReconciledUsageOut(many=True)
    unassigned = serializers.IntegerField(help_text="Counted events without a billing status.")
    closes = serializers.BooleanField(help_text="Whether every event is accounted for.")

    def get_outcomes(self, statement: Reconciliation) -> list[dict[str, Any]]:
        return [
            {"outcome": str(outcome), "message": OUTCOME_LABELS[outcome], "events": events, "row": row_name(outcome)}
            for outcome, events in statement.outcomes.items()
        ]


class ReconciliationEventOut(serializers.Serializer[Any]):
    """An event in a row of the reconciliation. In rows of usage, an event is listed once for each feature."""

    event_id = serializers.CharField(source="event.event_id")
    event_name = serializers.CharField(source="event.event_name")
    timestamp = serializers.DateTimeField(source="event.occurred_at")
    external_customer_id = serializers.CharField(source="event.external_customer_id")
    feature_id = ComputedText(allow_null=True, help_text="The feature that it counts for, in rows of usage.")

    def get_feature_id(self, entry: Entry) -> str | None:
        return entry.feature.public_id if entry.feature else None


class ReconciliationEventPage(serializers.Serializer[Any]):
    """A page of the events in a row."""

    items = ReconciliationEventOut(many=True)
    has_more = serializers.BooleanField()


class MonthReconciliation(ApiView):
    """Retrieve the reconciliation of a month."""

    @operation(
        "getReconciliation",
        "Retrieve a reconciliation",
        tag=TAG,
        answers={200: ReconciliationOut},
        errors=(400, 404),
        parameters=[ReconciliationQuery],
        description="For many customers, the reconciliation that the last proofs calculated; 404 before the first, and "
        "for one feature of all customers.",
    )
    def get(self, request: Request, month: str) -> Response:
        scope = _read_scope(read_query(request, ReconciliationQuery))
        statement = latest_reconciliation(read_month(month), now=timezone.now(), **scope)
        if statement is None:
            raise NotFound("The month isn't calculated yet. The proofs of every night calculate the open months.")
        return Response(ReconciliationOut(statement).data)


class ReconciliationEvents(ApiView):
    """List the events in a row of the reconciliation of a month, as the ledger has them now."""

    @operation(
        "listReconciliationEvents",
        "List the events of a reconciliation",
        tag=TAG,
        answers={200: ReconciliationEventPage},
        errors=(400, 404),
        parameters=[ReconciliationEventsQuery],
        description="Duplicates, conflicts, refused requests and waiting events aren't in the ledger. `offset` skips "
        "events one by one: for a row of millions of events, name the customer or the feature.",
    )
    def get(self, request: Request, month: str) -> Response:
        query = read_query(request, ReconciliationEventsQuery)
        row, limit, offset = ROWS[query["row"]], query["limit"], query["offset"]
        entries = list_entries(read_month(month), row, now=timezone.now(), **_read_scope(query))
        items = list(islice(entries, offset, offset + limit + 1))
        return Response(ReconciliationEventPage({"items": items[:limit], "has_more": len(items) > limit}).data)


def _read_scope(query: dict[str, Any]) -> dict[str, Any]:
    """Return the customer and the feature that a query names."""
    customer = feature = None
    if name := query.get("external_customer_id"):
        customer = get_or_404(Customer.objects.all(), "customer", external_id=name)
    if name := query.get("feature_id"):
        feature = get_or_404(Feature.objects.metered(), "feature", public_id=name)
    return {"customer": customer, "feature": feature}
