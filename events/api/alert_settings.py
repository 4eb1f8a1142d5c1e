"""Usage alerts under the contract's name, alert settings: a feature's critical threshold for a subscription."""

from typing import Any, ClassVar

import django_filters as filters
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.filters import ListFilter
from catalog.models import Feature
from config.api.contract import ContractAnswer, ContractRecord
from config.api.errors import invalid
from config.api.fields import ConstantField, NumberIn, plain
from config.api.filters import ManyFilter, page
from config.api.openapi import listed, operation, search_body
from config.api.unknown_names import Unused
from config.api.views import ApiView, get_or_404, read_body
from customers.models import Subscription
from events.alerts.usage import make_alert, set_enabled
from events.api.alerts import SMALLEST, TAG, alert_of, alerts
from events.models import Scope, UsageAlert

EXAMPLE = {
    "entity_type": "feature",
    "entity_id": "feat_1",
    "parent_entity_type": "subscription",
    "parent_entity_id": "subs_1",
    "config": {"alert_enabled": True, "critical": {"threshold": "20000", "condition": "above"}},
}


class ThresholdBody(serializers.Serializer[Any]):
    """The quantity in a billing period at which the alert is sent."""

    threshold = NumberIn(max_digits=30, decimal_places=12, min_value=SMALLEST)
    condition = serializers.ChoiceField(["above"], default="above")

    def to_representation(self, instance: UsageAlert) -> dict[str, str]:
        return {"threshold": plain(instance.threshold), "condition": "above"}


class ConfigBody(ContractAnswer):
    """The threshold, and whether the alert is enabled. Alerts have a single level."""

    nulls = ("info", "warning")

    critical = ThresholdBody(source="*")
    alert_enabled = serializers.BooleanField(source="is_enabled", default=True)
    alert_threshold_type = ConstantField("absolute", default="absolute")


class SettingIn(serializers.Serializer[Any]):
    """The feature and the subscription whose usage to watch, and the threshold."""

    entity_type = serializers.ChoiceField(["feature"])
    entity_id = serializers.CharField(max_length=64, help_text="The feature's id.")
    parent_entity_type = serializers.ChoiceField(["subscription"])
    parent_entity_id = serializers.CharField(max_length=64, help_text="The subscription's id.")
    config = ConfigBody()


class SettingChange(serializers.Serializer[Any]):
    """Whether the alert is enabled. The threshold can't change."""

    config = ConfigBody()


class SettingOut(ContractRecord):
    """A usage alert."""

    id = serializers.CharField(source="public_id")
    entity_type = ConstantField("feature")
    entity_id = serializers.CharField(source="feature.public_id")
    parent_entity_type = ConstantField("subscription")
    parent_entity_id = serializers.CharField(source="subscription.public_id")
    enabled = serializers.BooleanField(source="is_enabled")
    config = ConfigBody(source="*")
    status = ConstantField("published")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class SettingFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at"}
    unused: ClassVar[dict[str, Unused]] = {
        "entity_type": Unused("Alerts watch features.", ("feature",)),
        "parent_entity_type": Unused("Alerts watch the features of a subscription.", ("subscription",)),
        "status": Unused("Alerts aren't archived.", ("published",)),
    }

    enabled = filters.BooleanFilter(field_name="is_enabled")
    entity_id = filters.CharFilter(field_name="feature__public_id", label="The feature's id.")
    entity_ids = ManyFilter(field_name="feature__public_id", help_text="The features' ids.")
    parent_entity_id = filters.CharFilter(field_name="subscription__public_id", label="The subscription's id.")
    parent_entity_ids = ManyFilter(field_name="subscription__public_id", help_text="The subscriptions' ids.")

    class Meta:
        model = UsageAlert
        fields: ClassVar[list[str]] = []


class Settings(ApiView):
    """Create a usage alert."""

    write_scope = Scope.CUSTOMERS_WRITE

    @operation(
        "createAlertSettings",
        "Create alert settings",
        tag=TAG,
        body=SettingIn,
        answers={201: SettingOut},
        errors=(400, 404, 409),
        example=EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, SettingIn)
        subscription = get_or_404(Subscription.objects.all(), "subscription", public_id=body["parent_entity_id"])
        feature = get_or_404(Feature.objects.all(), "feature", public_id=body["entity_id"])
        config = body["config"]
        alert = make_alert(subscription, feature, config["threshold"], is_enabled=config["is_enabled"], by=None)
        return Response(SettingOut(alert_of(alert.public_id)).data, status=201)


class SettingSearch(ApiView):
    """Search usage alerts."""

    is_reading = True

    @operation(
        "queryAlertSettings",
        "Search alert settings",
        tag=TAG,
        body=search_body(SettingFilter),
        answers={200: listed("AlertSettingsList", SettingOut)},
    )
    def post(self, request: Request) -> Response:
        return page(request, alerts(), SettingFilter, SettingOut)


class OneSetting(ApiView):
    """Retrieve, update or delete a usage alert."""

    write_scope = Scope.CUSTOMERS_WRITE

    @operation("getAlertSettings", "Retrieve alert settings", tag=TAG, answers={200: SettingOut}, errors=(404,))
    def get(self, request: Request, alert_id: str) -> Response:
        return Response(SettingOut(alert_of(alert_id)).data)

    @operation(
        "updateAlertSettings",
        "Update alert settings",
        refusals="The `threshold` can't change.",
        tag=TAG,
        body=SettingChange,
        answers={200: SettingOut},
        errors=(400, 404),
        example={"config": {"alert_enabled": False, "critical": {"threshold": "10", "condition": "above"}}},
    )
    def put(self, request: Request, alert_id: str) -> Response:
        config, alert = read_body(request, SettingChange)["config"], alert_of(alert_id)
        if config["threshold"] != alert.threshold:
            raise invalid({"config.critical.threshold": ["A threshold can't change. Create another alert."]})
        return Response(SettingOut(set_enabled(alert, config["is_enabled"], by=None, now=timezone.now())).data)

    @operation("deleteAlertSettings", "Delete alert settings", tag=TAG, answers={204: None}, errors=(404,))
    def delete(self, request: Request, alert_id: str) -> Response:
        alert_of(alert_id).delete()
        return Response(status=204)
