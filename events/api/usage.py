"""API views for usage, by meter or by event name."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from catalog.api.names import AGGREGATIONS
from catalog.models import Feature
from config.api.errors import invalid
from config.api.fields import name_of
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_body
from customers.models import Customer
from customers.periods import Period
from events.api.events import exact_json
from events.api.serializers.usage import MeterQuery, UsageAnswer, UsageQuery
from events.usage.windows import MeterRequest, feature_measuring, meter

TAG = "Usage"
DEFAULT_WINDOW = timedelta(days=30)


def read_customer(body: dict[str, Any]) -> Customer:
    """Return the customer that the body specifies by either id. 400 without an id, 404 for an unknown one."""
    if body.get("external_customer_id"):
        return get_or_404(Customer.objects.all(), "customer", external_id=body["external_customer_id"])
    if body.get("customer_id"):
        return get_or_404(Customer.objects.all(), "customer", public_id=body["customer_id"])
    raise invalid({"external_customer_id": ["Specify the customer by external_customer_id or customer_id."]})


def read_period(body: dict[str, Any]) -> Period:
    """Return the time range of the body, by default the last 30 days."""
    end = body.get("end_time") or timezone.now()
    period = Period(body.get("start_time") or end - DEFAULT_WINDOW, end)
    if period.start >= period.end:
        raise invalid({"end_time": ["end_time must be after start_time."]})
    return period


def read_timezone(body: dict[str, Any], customer: Customer) -> str:
    """Return the time zone of the body, by default the customer's."""
    name = body.get("timezone") or customer.timezone
    if name not in available_timezones():
        raise invalid({"timezone": [f"Unknown time zone {name}. Use a name such as Europe/Berlin."]})
    return str(name)


def usage_answer(feature: Feature, body: dict[str, Any]) -> HttpResponse:
    """Calculate the usage and answer with exact numbers."""
    customer = read_customer(body)
    usage = MeterRequest(
        customer,
        read_period(body),
        body.get("window_size") or "",
        read_timezone(body, customer),
        body.get("billing_anchor"),
        body.get("filters") or {},
    )
    metered = meter(feature, usage)
    return exact_json(
        {
            "type": name_of(AGGREGATIONS, feature.aggregation),
            "event_name": feature.event_name,
            "value": metered.total.value,
            "results": [{"window_size": span.start, "value": quantity.value} for span, quantity in metered.windows],
        }
    )


class UsageByMeter(ApiView):
    """Retrieve a customer's usage of one feature."""

    is_reading = True

    @operation(
        "getUsageByMeter",
        "Retrieve usage by meter",
        refusals="Specify the customer by `external_customer_id` or `customer_id`. `timezone` must be an IANA name. "
        "`end_time` must be after `start_time`.",
        tag=TAG,
        body=MeterQuery,
        answers={200: UsageAnswer},
        errors=(400, 404),
        example={"meter_id": "feat_1", "external_customer_id": "acme", "window_size": "DAY"},
    )
    def post(self, request: Request) -> HttpResponse:
        body = read_body(request, MeterQuery)
        feature = get_or_404(Feature.objects.metered(), "meter", public_id=body["meter_id"])
        return usage_answer(feature, body)


class UsageByName(ApiView):
    """Retrieve a customer's usage by event name and aggregation. Fails (400) if no feature measures it."""

    is_reading = True

    @operation(
        "getUsageStatistics",
        "Retrieve usage by event name",
        refusals="Specify the customer by `external_customer_id` or `customer_id`. A feature must measure this "
        "`aggregation_type` of `property_name` for the `event_name`. `timezone` must be an IANA name. "
        "`end_time` must be after `start_time`.",
        tag=TAG,
        body=UsageQuery,
        answers={200: UsageAnswer},
        errors=(400, 404),
        example={
            "event_name": "tokens.used",
            "aggregation_type": "SUM",
            "property_name": "tokens",
            "external_customer_id": "acme",
        },
    )
    def post(self, request: Request) -> HttpResponse:
        body = read_body(request, UsageQuery)
        aggregation = AGGREGATIONS[body["aggregation_type"]]
        feature = feature_measuring(
            body["event_name"], aggregation, body.get("property_name") or "", body.get("multiplier")
        )
        return usage_answer(feature, body)
