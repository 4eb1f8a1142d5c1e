"""API views for usage alerts."""

from decimal import Decimal
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Feature
from config.api.fields import ExactField, NumberIn
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body
from customers.models import Subscription
from events.alerts.usage import make_alert, set_enabled
from events.models import Scope, UsageAlert

TAG = "Alerts"
SMALLEST = Decimal("0.000000000001")


class AlertChange(serializers.Serializer[Any]):
    """Enable or disable an alert."""

    is_enabled = serializers.BooleanField()


class AlertIn(serializers.Serializer[Any]):
    """The subscription and feature whose usage to watch, and the threshold."""

    subscription_id = serializers.CharField(max_length=40)
    feature_id = serializers.CharField(max_length=40)
    threshold = NumberIn(max_digits=30, decimal_places=12, min_value=SMALLEST, help_text="Must be positive.")


class AlertOut(serializers.Serializer[Any]):
    """A usage alert."""

    id = serializers.CharField(source="public_id")
    subscription_id = serializers.CharField(source="subscription.public_id")
    feature_id = serializers.CharField(source="feature.public_id")
    threshold = ExactField()
    is_enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class AlertFilter(filters.FilterSet):
    subscription_id = filters.CharFilter(field_name="subscription__public_id")
    feature_id = filters.CharFilter(field_name="feature__public_id")
    is_enabled = filters.BooleanFilter()

    class Meta:
        model = UsageAlert
        fields: ClassVar[list[str]] = []


def alerts() -> QuerySet[UsageAlert]:
    return UsageAlert.objects.select_related("subscription", "feature").order_by("-pk")


def alert_of(alert_id: str) -> UsageAlert:
    return get_or_404(alerts(), "usage alert", public_id=alert_id)


class Alerts(ApiView):
    """Create or list usage alerts.

    An alert sends a webhook when a subscription's usage of a feature reaches a threshold, once per billing period, or
    once if the feature's usage is a running total.
    """

    write_scope = Scope.CUSTOMERS_WRITE

    @operation(
        "listUsageAlerts",
        "List usage alerts",
        tag=TAG,
        answers={200: listed("UsageAlertList", AlertOut)},
        filters=AlertFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, alerts(), AlertFilter, AlertOut)

    @operation(
        "createUsageAlert",
        "Create a usage alert",
        tag=TAG,
        body=AlertIn,
        answers={201: AlertOut},
        errors=(400, 404, 409),
        example={"subscription_id": "subs_1", "feature_id": "feat_1", "threshold": "10000"},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, AlertIn)
        subscription = get_or_404(Subscription.objects.all(), "subscription", public_id=body["subscription_id"])
        feature = get_or_404(Feature.objects.all(), "feature", public_id=body["feature_id"])
        alert = make_alert(subscription, feature, body["threshold"], by=None)
        return Response(AlertOut(alert_of(alert.public_id)).data, status=201)


class OneAlert(ApiView):
    """Retrieve, update or delete a usage alert."""

    write_scope = Scope.CUSTOMERS_WRITE

    @operation("getUsageAlert", "Retrieve a usage alert", tag=TAG, answers={200: AlertOut}, errors=(404,))
    def get(self, request: Request, alert_id: str) -> Response:
        return Response(AlertOut(alert_of(alert_id)).data)

    @operation(
        "updateUsageAlert",
        "Update a usage alert",
        tag=TAG,
        body=AlertChange,
        answers={200: AlertOut},
        errors=(400, 404),
        example={"is_enabled": False},
    )
    def put(self, request: Request, alert_id: str) -> Response:
        alert = alert_of(alert_id)
        is_enabled = read_body(request, AlertChange)["is_enabled"]
        return Response(AlertOut(set_enabled(alert, is_enabled, by=None, now=timezone.now())).data)

    @operation("deleteUsageAlert", "Delete a usage alert", tag=TAG, answers={204: None}, errors=(404,))
    def delete(self, request: Request, alert_id: str) -> Response:
        alert_of(alert_id).delete()
        return Response(status=204)
