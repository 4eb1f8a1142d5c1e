"""The doors that tell usage together with its money: of a subscription, of a customer, by feature."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.usage import (
    AnalyticsIn,
    AnalyticsOut,
    FeatureUsage,
    PeriodOut,
    SubscriptionUsageIn,
    SubscriptionUsageOut,
    UsageSummary,
)
from billing.invoicing.spending import Cost, spent
from billing.money import ZERO, format_amount, money
from catalog.api.names import AGGREGATIONS, name_of
from catalog.models import Feature, Price
from config.api.fields import plain
from config.api.openapi import operation
from config.api.views import ApiView, invalid, read_body
from customers.api.customers import customer_by_external_id, customer_of, sources_out
from customers.api.subscriptions import subscription_of
from customers.grants import FeatureGrant, list_grants
from customers.grants import filter_grants as chosen_grants
from customers.models import Customer, Subscription
from customers.periods import NoSuchPeriod, Period
from customers.subscriptions import get_billing_period
from events.api.events import exact_json
from events.api.usage import period_asked, timezone_asked
from events.diagnosis.billing_facts import FreeTier, billing
from events.usage.meter import UsageRequest, usage_many
from events.usage.search import Search, usage_by
from events.usage.windows import MeterRequest, features_used, meter_many

TAG = "Usage"
ANALYTICS = {"external_customer_id": "acme", "window_size": "DAY", "group_by": ["properties.model"]}


class SubscriptionUsage(ApiView):
    """Tell what a subscription used, and what that costs."""

    is_reading = True

    @operation(
        "getSubscriptionUsage", "A subscription's usage in money", tag=TAG, body=SubscriptionUsageIn,
        answers={200: SubscriptionUsageOut}, errors=(400, 404), example={"subscription_id": "subs_1"},
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        asked = read_body(request, SubscriptionUsageIn)
        subscription = subscription_of(asked["subscription_id"])
        window = _window(asked, subscription)
        costs = spent([subscription.pk], window)
        total = sum((cost.amount for cost in costs), ZERO)
        return exact_json(
            {
                "start_time": window.start,
                "end_time": window.end,
                "amount": total,
                "currency": subscription.currency,
                "display_amount": format_amount(total, subscription.currency),
                "has_overage": False,
                "charges": _charges(subscription, costs, window),
            }
        )


def _window(asked: dict[str, Any], subscription: Subscription) -> Period:
    now = timezone.now()
    try:
        current = get_billing_period(subscription, now)
    except NoSuchPeriod:
        current = Period(subscription.started_at, subscription.started_at)
    window = Period(asked.get("start_time") or current.start, asked.get("end_time") or current.end)
    if window.start > window.end:
        raise invalid({"end_time": ["The window ends before it begins."]})
    return window


def _charges(subscription: Subscription, costs: Sequence[Cost], window: Period) -> list[dict[str, Any]]:
    prices = Price.objects.select_related("feature").in_bulk([cost.price_id for cost in costs])
    life = Period(max(window.start, subscription.started_at), window.end)
    requests = [UsageRequest(subscription.customer_id, cost.feature_id, life.start, life.end) for cost in costs]
    rows = []
    for cost, used in zip(costs, usage_many(requests), strict=True):
        price = prices[cost.price_id]
        feature = price.feature
        rows.append(
            {
                "subscription_line_item_id": f"{subscription.public_id}:{price.public_id}",
                "meter_id": feature.public_id if feature else "",
                "meter_display_name": price.label,
                "quantity": used.value,
                "amount": cost.amount,
                "currency": cost.currency,
                "display_amount": format_amount(cost.amount, cost.currency),
                "is_overage": False,
            }
        )
    return rows


class UsageAnalytics(ApiView):
    """Tell a customer's usage and its cost by feature, or its usage by what events carry."""

    is_reading = True

    @operation(
        "getUsageAnalytics", "Usage and cost by feature", tag=TAG, body=AnalyticsIn, answers={200: AnalyticsOut},
        errors=(400, 404), example=ANALYTICS,
        description="Costs are exact for any window: those of windows next to each other add up to the whole.",
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        asked = read_body(request, AnalyticsIn)
        customer = customer_by_external_id(asked["external_customer_id"])
        wanted = MeterRequest(
            customer,
            period_asked(asked),
            asked.get("window_size") or "",
            timezone_asked(asked, customer),
            filters=asked.get("property_filters") or {},
        )
        features = _features(customer, wanted.period, asked.get("feature_ids") or [])
        names = [name.partition(".")[2] for name in asked.get("group_by") or () if name != "feature_id"]
        if names:
            items = [item for feature in features for item in _groups(feature, wanted, names)]
            return exact_json({"currency": None, "total_cost": None, "items": items})
        return exact_json(_by_feature(features, wanted))


def _features(customer: Customer, period: Period, ids: Sequence[str]) -> list[Feature]:
    used = features_used(customer.pk, period)
    rows = Feature.objects.metered().filter(public_id__in=ids) if ids else Feature.objects.filter(pk__in=used)
    return list(rows.order_by("name", "pk"))


def _by_feature(features: Sequence[Feature], asked: MeterRequest) -> dict[str, Any]:
    costs = [] if asked.filters else spent(_subscriptions(asked.customer, asked.period), asked.period)
    currencies = sorted({cost.currency for cost in costs})
    currency = currencies[0] if len(currencies) == 1 else None
    items = []
    for feature, found in zip(features, meter_many(features, asked), strict=True):
        mine = [cost for cost in costs if cost.feature_id == feature.pk]
        amount = sum((cost.amount for cost in mine), ZERO)
        points = [
            {"timestamp": span.start, "usage": plain(used.value), "event_count": used.events}
            for span, used in found.windows
        ]
        priced = bool(currency) and not asked.filters
        items.append(
            _item(feature, asked.customer, found.total.value, found.total.events)
            | {"total_cost": money(amount, currency) if priced and currency else None, "currency": currency}
            | {"points": points}
        )
    whole = sum((cost.amount for cost in costs), ZERO)
    return {"currency": currency, "total_cost": money(whole, currency) if currency else None, "items": items}


def _subscriptions(customer: Customer, period: Period) -> list[int]:
    rows = Subscription.objects.filter(customer=customer, started_at__lt=period.end)
    return [row.pk for row in rows if row.ended_at is None or row.ended_at > period.start]


def _groups(feature: Feature, asked: MeterRequest, names: Sequence[str]) -> list[dict[str, Any]]:
    period, search = asked.period, Search(include=asked.filters)
    found = usage_by(asked.customer.pk, feature, period.start, period.end, properties=names, search=search)
    return [
        _item(feature, asked.customer, used.value, used.events)
        | {"properties": {name: value or "" for name, value in zip(names, key, strict=True)}}
        | {"total_cost": None, "currency": None, "points": []}
        for key, used in found.items()
    ]


def _item(feature: Feature, customer: Customer, value: Decimal, events: int) -> dict[str, Any]:
    return {
        "feature_id": feature.public_id,
        "meter_id": feature.public_id,
        "name": feature.name,
        "event_name": feature.event_name,
        "aggregation_type": name_of(AGGREGATIONS, feature.aggregation),
        "external_customer_id": customer.external_id,
        "unit": feature.unit_singular,
        "unit_plural": feature.unit_plural,
        "total_usage": plain(value),
        "event_count": events,
    }


class CustomerUsage(ApiView):
    """Tell what a customer has used of what its plans grant."""

    @operation(
        "getCustomerUsageSummary", "What a customer has used", tag="Customers", answers={200: UsageSummary},
        errors=(400, 404),
        parameters=[OpenApiParameter("customer_id", str), OpenApiParameter("customer_lookup_key", str),
                    OpenApiParameter("feature_ids", str, many=True)],
        description="In the current billing period of the first live subscription that grants the feature.",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked, now = request.query_params, timezone.now()
        if asked.get("customer_id"):
            customer = customer_of(asked["customer_id"])
        elif asked.get("customer_lookup_key"):
            customer = customer_by_external_id(asked["customer_lookup_key"])
        else:
            raise invalid({"customer_id": ["Name the customer, by customer_id or customer_lookup_key."]})
        live = list(Subscription.objects.filter(customer=customer).live(now).order_by("started_at", "pk"))
        wanted = [part for value in asked.getlist("feature_ids") for part in value.split(",") if part]
        grants = chosen_grants(list_grants(live, now=now), wanted)
        features = _all_used(customer, grants, now)
        period = get_billing_period(live[0], now) if live else None
        shown = PeriodOut({"start_time": period.start, "end_time": period.end}).data if period else None
        return Response({"customer_id": customer.public_id, "period": shown, "features": features})


def _all_used(customer: Customer, grants: Sequence[FeatureGrant], now: datetime) -> list[Any]:
    """Write what was used of each grant, with a number of queries that only grows with the subscriptions."""
    metered: dict[Subscription, list[Feature]] = {}
    for one in grants:
        if one.feature.event_name:
            metered.setdefault(one.sources[0].subscription, []).append(one.feature)
    tiers: dict[int, FreeTier | None] = {}
    for subscription, features in metered.items():
        ids = [feature.pk for feature in features]
        facts = billing().facts(subscription_id=subscription.pk, feature_ids=ids, at=now, now=now)
        tiers |= {pk: fact.free_tier for pk, fact in facts.items()}
    windows = {
        feature.pk: get_billing_period(subscription, now)
        for subscription, features in metered.items()
        for feature in features
    }
    requests = [UsageRequest(customer.pk, pk, window.start, window.end) for pk, window in windows.items()]
    used = dict(zip(windows, usage_many(requests), strict=True))
    rows = []
    for one in grants:
        pk, tier = one.feature.pk, tiers.get(one.feature.pk)
        if pk not in windows:
            rows.append(_used(one, ZERO, None))
        elif tier is not None:
            rows.append(_used(one, tier.used, tier.window.end))
        else:
            rows.append(_used(one, used[pk].value, windows[pk].end))
    return rows


def _used(one: FeatureGrant, used: Decimal, reset_at: datetime | None) -> Any:
    limit = one.limit
    return FeatureUsage(
        {
            "feature": one.feature,
            "current_usage": plain(used),
            "total_limit": None if limit is None else int(limit),
            "is_unlimited": limit is None,
            "is_enabled": one.is_enabled,
            "is_soft_limit": one.is_soft_limit,
            "usage_percent": plain(round(used * 100 / limit, 2)) if limit else None,
            "next_usage_reset_at": reset_at,
            "sources": sources_out(one),
        }
    ).data
