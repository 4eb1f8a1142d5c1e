"""API views for features and their meters."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.bodies.features import FeatureChange, FeatureIn, filters_of, meter_columns
from catalog.api.bodies.plans import CloneIn
from catalog.api.bodies.shared import shared_columns
from catalog.api.filters import FeatureFilter
from catalog.api.serializers.features import FeatureOut, MeterOut
from catalog.features import activate_feature, archive_feature, duplicate_as_new_feature, save_feature
from catalog.models import Feature
from catalog.models.features import FeatureKind
from config.api.filters import page
from config.api.openapi import Message, listed, operation, search_body
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body

TAG = "Features"
WRITE = "catalog:write"
LIST = listed("FeatureList", FeatureOut)
EXAMPLE = {
    "name": "Tokens",
    "type": "metered",
    "meter": {
        "name": "Tokens",
        "event_name": "tokens.used",
        "aggregation": {"type": "SUM", "field": "tokens"},
        "reset_usage": "BILLING_PERIOD",
    },
}


def features() -> QuerySet[Feature]:
    return Feature.objects.select_related("variant_of").order_by("-pk")


def feature_of(feature_id: str) -> Feature:
    return get_or_404(features(), "feature", public_id=feature_id)


class Features(ApiView):
    """Create or list features. A new feature also counts earlier events."""

    write_scope = WRITE

    @operation("listFeatures", "List features", tag=TAG, answers={200: LIST}, filters=FeatureFilter)
    def get(self, request: Request) -> Response:
        return page(request, features(), FeatureFilter, FeatureOut)

    @operation(
        "createFeature",
        "Create a feature",
        refusals="`unit_singular` and `unit_plural` go together. `multiplier` is only allowed with "
        "SUM_WITH_MULTIPLIER. `field_aliases` need an aggregation `field`.",
        tag=TAG,
        body=FeatureIn,
        answers={201: FeatureOut},
        errors=(400, 409),
        example=EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, FeatureIn)
        meter = meter_columns(body["meter"]) if body["type"] == FeatureKind.METERED else {}
        feature = Feature(kind=body["type"], **shared_columns(body), **meter)
        return Response(FeatureOut(save_feature(feature, by=None)).data, status=201)


class FeatureSearch(ApiView):
    """Search features."""

    is_reading = True

    @operation("queryFeature", "Search features", tag=TAG, body=search_body(FeatureFilter), answers={200: LIST})
    def post(self, request: Request) -> Response:
        return page(request, features(), FeatureFilter, FeatureOut)


class OneFeature(ApiView):
    """Retrieve, update or archive a feature. Its meter can't be changed once it has counted events."""

    write_scope = WRITE

    @operation("getFeature", "Retrieve a feature", tag=TAG, answers={200: FeatureOut}, errors=(404,))
    def get(self, request: Request, feature_id: str) -> Response:
        return Response(FeatureOut(feature_of(feature_id)).data)

    @operation(
        "updateFeature",
        "Update a feature",
        refusals="`unit_singular` and `unit_plural` go together. `field_aliases` need an aggregation `field`.",
        tag=TAG,
        body=FeatureChange,
        answers={200: FeatureOut},
        errors=(400, 404),
        example={"name": "Tokens", "filters": [{"key": "model", "values": ["large"]}]},
    )
    def put(self, request: Request, feature_id: str) -> Response:
        feature, body = feature_of(feature_id), read_body(request, FeatureChange)
        for name, value in shared_columns(body).items():
            setattr(feature, name, value)
        if "filters" in body:
            feature.filters = filters_of(body["filters"])
        if "excluded_filters" in body:
            feature.excluded = filters_of(body["excluded_filters"])
        return Response(FeatureOut(save_feature(feature, by=None)).data)

    @operation(
        "deleteFeature",
        "Archive a feature",
        tag=TAG,
        answers={200: Message},
        errors=(404,),
        description="An archived feature stops counting events. Its usage and prices are kept.",
    )
    def delete(self, request: Request, feature_id: str) -> Response:
        archive_feature(feature_of(feature_id), now=timezone.now(), by=None, reason="Deleted through the API")
        return Response({"message": "Feature archived"})


class FeatureActivation(ApiView):
    """Activate an archived feature: it counts events again. Its uncounted events are counted automatically."""

    write_scope = WRITE

    @operation(
        "activateFeature",
        "Activate a feature",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: FeatureOut},
        errors=(400, 404),
        example={"reason": "Sold again"},
    )
    def post(self, request: Request, feature_id: str) -> Response:
        reason = reason_in(read_body(request, OptionalReasonIn))
        return Response(FeatureOut(activate_feature(feature_of(feature_id), by=None, reason=reason)).data)


class FeatureClone(ApiView):
    """Copy a feature without its usage, for example to change its meter."""

    write_scope = WRITE

    @operation(
        "cloneFeature",
        "Copy a feature",
        refusals="`unit_singular` and `unit_plural` go together.",
        tag=TAG,
        body=CloneIn,
        answers={201: FeatureOut},
        errors=(400, 404, 409),
        example={"name": "Tokens, large model"},
    )
    def post(self, request: Request, feature_id: str) -> Response:
        columns = {"key": None} | shared_columns(read_body(request, CloneIn))
        columns.pop("display_order", None)
        copy = duplicate_as_new_feature(feature_of(feature_id), by=None, **columns)
        return Response(FeatureOut(copy).data, status=201)


class OneMeter(ApiView):
    """Retrieve the meter of a metered feature. A meter has the id of its feature."""

    @operation("getMeter", "Retrieve a meter", tag=TAG, answers={200: MeterOut}, errors=(404,))
    def get(self, request: Request, meter_id: str) -> Response:
        meter: Any = get_or_404(Feature.objects.metered(), "meter", public_id=meter_id)
        return Response(MeterOut(meter).data)
