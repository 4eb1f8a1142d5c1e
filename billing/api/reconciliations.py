"""API view for the reconciliation of a month."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.month_ends import TAG, read_month
from billing.month_end.reconciliation import OUTCOME_LABELS, Reconciliation, latest_reconciliation
from billing.month_end.usage import STATUS_LABELS
from catalog.models import Feature
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_query
from customers.models import Customer


class ReconciliationQuery(serializers.Serializer[Any]):
    """Whose events to reconcile; by default all customers' and all features'."""

    external_customer_id = serializers.CharField(required=False)
    feature_id = serializers.CharField(required=False)


class OutcomeOut(serializers.Serializer[Any]):
    """Received events with an outcome."""

    outcome = serializers.CharField()
    message = serializers.CharField()
    events = serializers.IntegerField()


class ReconciledUsageOut(serializers.Serializer[Any]):
    """A feature's counted events with a billing status."""

    feature_id = serializers.CharField(source="feature.public_id")
    feature_name = serializers.CharField(source="feature.name")
    status = serializers.CharField(source="status.name")
    message = serializers.SerializerMethodField()
    events = serializers.IntegerField()

    def get_message(self, line: Any) -> str:
        return STATUS_LABELS[line.status]


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
            {"outcome": str(outcome), "message": OUTCOME_LABELS[outcome], "events": events}
            for outcome, events in statement.outcomes.items()
        ]


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
        query = read_query(request, ReconciliationQuery)
        customer = feature = None
        if name := query.get("external_customer_id"):
            customer = get_or_404(Customer.objects.all(), "customer", external_id=name)
        if name := query.get("feature_id"):
            feature = get_or_404(Feature.objects.metered(), "feature", public_id=name)
        statement = latest_reconciliation(read_month(month), now=timezone.now(), customer=customer, feature=feature)
        if statement is None:
            raise NotFound("The month isn't calculated yet. The proofs of every night calculate the open months.")
        return Response(ReconciliationOut(statement).data)
