"""A sample event with the company's own names, for instructions."""

import json
from typing import Any

from catalog.models import Feature
from customers.models import Customer


def sample_event() -> dict[str, Any]:
    """Return an event that counts: of a feature that is sold, for the newest customer with a subscription.

    Without these, of any feature and customer, or with invented names.
    """
    features = Feature.objects.metered().active()
    feature = features.filter(prices__version__state="published").order_by("-pk").first() or features.last()
    subscribed = Customer.objects.active().filter(subscriptions__isnull=False)
    customer = subscribed.order_by("-pk").first() or Customer.objects.active().order_by("-pk").first()
    return {
        "event_name": feature.event_name if feature else "api.calls",
        "external_customer_id": customer.external_id if customer else "cust_123",
        "properties": _properties(feature) if feature else {},
    }


def sample_json() -> str:
    """Return the sample event as JSON, safe to put between a shell's single quotes."""
    return json.dumps(sample_event(), ensure_ascii=False).replace("'", "'\\''")


def _properties(feature: Feature) -> dict[str, Any]:
    """Return properties that match the feature's filter and have its field, which may be a path."""
    properties: dict[str, Any] = {}
    for name, values in feature.filters.items():
        _place(properties, name, values[0])
    if feature.field and feature.field not in properties:
        _place(properties, feature.field, "user-1" if feature.aggregation == "unique_count" else 150)
    return properties


def _place(properties: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        properties = properties.setdefault(parent, {})
    properties[name] = value
