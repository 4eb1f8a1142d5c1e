"""API views for usage and its cost: of a subscription, by feature, and of a customer's entitlements."""

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.usage import (
    AnalyticsIn,
    AnalyticsOut,
    SubscriptionUsageIn,
    SubscriptionUsageOut,
    UsageSummary,
)
from billing.explanation.spending import (
    Grouping,
    calculate_customer_usage,
    calculate_subscription_usage,
    calculate_usage_analytics,
    get_current_period,
)
from config.api.errors import invalid
from config.api.filters import comma_separated
from config.api.openapi import operation
from config.api.views import ApiView, read_body
from customers.api.customers import customer_by_external_id, customer_of
from customers.api.subscriptions import subscription_of
from customers.periods import Period
from events.api.events import exact_json
from events.api.usage import read_period, read_timezone
from events.usage.search import TooManyGroups
from events.usage.windows import MeterRequest

TAG = "Usage"
ANALYTICS = {"external_customer_id": "acme", "window_size": "DAY", "group_by": ["properties.model"]}


class SubscriptionUsage(ApiView):
    """Retrieve a subscription's usage and its cost."""

    is_reading = True

    @operation(
        "getSubscriptionUsage",
        "Retrieve a subscription's usage and cost",
        refusals="`end_time` can't be before `start_time`.",
        tag=TAG,
        body=SubscriptionUsageIn,
        answers={200: SubscriptionUsageOut},
        errors=(400, 404),
        example={"subscription_id": "subs_1"},
    )
    def post(self, request: Request) -> HttpResponse:
        body = read_body(request, SubscriptionUsageIn)
        subscription = subscription_of(body["subscription_id"])
        now = timezone.now()
        current = get_current_period(subscription, now)
        window = Period(body.get("start_time") or current.start, body.get("end_time") or current.end)
        if window.start > window.end:
            raise invalid({"end_time": ["end_time must not be before start_time."]})
        return exact_json(SubscriptionUsageOut(calculate_subscription_usage(subscription, window, now=now)).data)


class UsageAnalytics(ApiView):
    """Retrieve a customer's usage and its cost by feature, or its usage by source or event properties."""

    is_reading = True

    @operation(
        "getUsageAnalytics",
        "Retrieve usage and cost by feature",
        refusals="`end_time` must be after `start_time`. `timezone` must be an IANA name. At most 800 windows of "
        "`window_size` are calculated; `group_by` has at most 1,000 groups of a feature, 4,000 windows over "
        "all features, and 20,000 points: one for each group and window.",
        tag=TAG,
        body=AnalyticsIn,
        answers={200: AnalyticsOut},
        errors=(400, 404),
        example=ANALYTICS,
        description="Costs are exact for any window: the costs of adjacent windows add up to the cost of the whole.",
    )
    def post(self, request: Request) -> HttpResponse:
        body = read_body(request, AnalyticsIn)
        customer = customer_by_external_id(body["external_customer_id"])
        usage = MeterRequest(
            customer,
            read_period(body),
            body.get("window_size") or "",
            read_timezone(body, customer),
            filters=body.get("property_filters") or {},
            sources=body.get("sources") or [],
        )
        names = body.get("group_by") or []
        properties = [name.partition(".")[2] for name in names if name.startswith("properties.")]
        grouping = Grouping(properties, by_source="source" in names)
        try:
            analytics = calculate_usage_analytics(usage, body.get("feature_ids") or [], grouping)
        except TooManyGroups as error:
            raise invalid({"group_by": [str(error)]}) from error
        return exact_json(AnalyticsOut(analytics).data)


class CustomerUsage(ApiView):
    """Retrieve a customer's usage of its entitlements."""

    @operation(
        "getCustomerUsageSummary",
        "Retrieve a customer's usage summary",
        refusals="Specify the customer by `customer_id` or `customer_lookup_key`.",
        tag="Customers",
        answers={200: UsageSummary},
        errors=(400, 404),
        parameters=[
            OpenApiParameter("customer_id", str),
            OpenApiParameter("customer_lookup_key", str),
            OpenApiParameter("feature_ids", str, many=True),
            OpenApiParameter("feature_lookup_keys", str, many=True),
            OpenApiParameter("subscription_ids", str, many=True),
        ],
        description="The current billing period is that of the first live subscription that grants the feature.",
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        if query.get("customer_id"):
            customer = customer_of(query["customer_id"])
        elif query.get("customer_lookup_key"):
            customer = customer_by_external_id(query["customer_lookup_key"])
        else:
            raise invalid({"customer_id": ["Specify the customer by customer_id or customer_lookup_key."]})
        usage = calculate_customer_usage(
            customer,
            comma_separated(query, "feature_ids"),
            now=timezone.now(),
            feature_keys=comma_separated(query, "feature_lookup_keys"),
            subscription_ids=comma_separated(query, "subscription_ids"),
        )
        return Response(UsageSummary(usage).data)
