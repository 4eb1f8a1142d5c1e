"""The doors that tell usage: by meter, or by event name."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from catalog.api.names import AGGREGATIONS, name_of
from catalog.models import Feature
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, invalid, read_body
from customers.models import Customer
from customers.periods import Period
from events.api.events import exact_json
from events.api.serializers import MeterQuery, UsageAnswer, UsageQuery
from events.usage.windows import MeterRequest, feature_measuring, meter

TAG = "Usage"
DEFAULT_WINDOW = timedelta(days=30)


def customer_asked(asked: dict[str, Any]) -> Customer:
    """Find the customer that a body names by one id or the other. 400 without one, 404 where there is none."""
    if asked.get("external_customer_id"):
        return get_or_404(Customer.objects.all(), "customer", external_id=asked["external_customer_id"])
    if asked.get("customer_id"):
        return get_or_404(Customer.objects.all(), "customer", public_id=asked["customer_id"])
    raise invalid({"external_customer_id": ["Name the customer: usage is a customer's own."]})


def period_asked(asked: dict[str, Any]) -> Period:
    """Read the window: the last 30 days unless given."""
    end = asked.get("end_time") or timezone.now()
    period = Period(asked.get("start_time") or end - DEFAULT_WINDOW, end)
    if period.start >= period.end:
        raise invalid({"end_time": ["The window ends before it begins."]})
    return period


def timezone_asked(asked: dict[str, Any], customer: Customer) -> str:
    name = asked.get("timezone") or customer.timezone
    if name not in available_timezones():
        raise invalid({"timezone": [f"{name} is no time zone. Write it like Europe/Berlin."]})
    return str(name)


def usage_answer(feature: Feature, asked: dict[str, Any]) -> HttpResponse:
    """Work out what was asked, and answer in exact numbers."""
    customer = customer_asked(asked)
    wanted = MeterRequest(
        customer,
        period_asked(asked),
        asked.get("window_size") or "",
        timezone_asked(asked, customer),
        asked.get("billing_anchor"),
        asked.get("filters") or {},
    )
    answer = meter(feature, wanted)
    results = [{"window_size": span.start, "value": used.value} for span, used in answer.windows]
    return exact_json(
        {
            "type": name_of(AGGREGATIONS, feature.aggregation),
            "event_name": feature.event_name,
            "value": answer.total.value,
            "results": results,
        }
    )


class UsageByMeter(ApiView):
    """Tell one feature's usage. 404 for a meter that isn't there."""

    is_reading = True

    @operation(
        "getUsageByMeter", "Usage of a feature", tag=TAG, body=MeterQuery, answers={200: UsageAnswer},
        errors=(400, 404), example={"meter_id": "feat_1", "external_customer_id": "acme", "window_size": "DAY"},
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        asked = read_body(request, MeterQuery)
        feature = get_or_404(Feature.objects.metered(), "meter", public_id=asked["meter_id"])
        return usage_answer(feature, asked)


class UsageByName(ApiView):
    """Tell an event name's usage, as the feature that measures it this way adds it up. 400 where none does."""

    is_reading = True

    @operation(
        "getUsageStatistics", "Usage of an event name", tag=TAG, body=UsageQuery, answers={200: UsageAnswer},
        errors=(400, 404),
        example={"event_name": "tokens.used", "aggregation_type": "SUM", "property_name": "tokens",
                 "external_customer_id": "acme"},
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        asked = read_body(request, UsageQuery)
        how = AGGREGATIONS[asked["aggregation_type"]]
        feature = feature_measuring(asked["event_name"], how, asked.get("property_name") or "", asked.get("multiplier"))
        return usage_answer(feature, asked)
