"""Translate the diagnosis of an event into the shape of the public API."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from catalog.api.serializers.features import MeterOut
from catalog.api.serializers.prices import PriceOut
from catalog.models import Feature, Price
from catalog.models.plans import VersionState
from customers.api.serializers.customers import CustomerOut
from customers.models import Customer, PhaseKind, SubscriptionPhase
from events.api.fix_parameters import list_fixes
from events.diagnosis import Diagnosis, DiagnosisStep, Place, Status, StepKey, look_up
from events.diagnosis.context import Context
from events.reasons import Reason

METER_FAILURES = (
    (StepKey.CUSTOMER, "customer_lookup"),
    (StepKey.EVENT_NAME, "meter_lookup"),
    (StepKey.FEATURE, "meter_lookup"),
    (StepKey.FILTER, "meter_lookup"),
)
USAGE_FAILURES = (
    (StepKey.FIELD, "attributed_to_customer"),
    (StepKey.VALUE, "attributed_to_customer"),
    (StepKey.USAGE, "attributed_to_customer"),
)
PRICES_SHOWN = 50


type Range = tuple[datetime | None, datetime | None]


def lookup(
    event_id: str, *, now: datetime, external_customer_id: str = "", period: Range = (None, None)
) -> dict[str, Any] | None:
    """Diagnose an event; None if there is no event with the id (and, if specified, of the customer and in the period).

    `status` is "processed" when the event counts for at least one feature that a subscription bills at its time; usage
    in a trial counts as billed. It is "failed" with the first failure, else "processing". Beside the contract's fields,
    `steps` holds the whole diagnosis.
    """
    diagnosis = look_up(event_id, now=now)
    subject = diagnosis.subject
    if subject is None or external_customer_id not in ("", subject.external_customer_id):
        return None
    start, end = period
    if (start and subject.occurred_at < start) or (end and subject.occurred_at >= end):
        return None
    context = Context(subject, now)
    event = _event(diagnosis, context.customer.customer)
    counted = [reading for reading in context.readings if context.is_counted(reading)]
    billed = [reading for reading in counted if any(map(_is_active, _matches(context, [reading.feature])))]
    answer: dict[str, Any] = {
        "event": event,
        "events": [event],
        "steps": [describe_step(step) for step in diagnosis.steps],
        "processed_events": None,
        "debug_tracker": None,
    }
    if billed:
        answer["status"] = "processed"
        answer["processed_events"] = [
            item for reading in billed for item in _processed(context, reading.feature, reading.adds)
        ]
        return answer
    features = [reading.feature for reading in counted] or _matched_features(context)
    failure = None if subject.place == Place.WAITING else _failure(context, features, diagnosis.steps, bool(counted))
    answer["status"] = "failed" if failure else "processing"
    answer["debug_tracker"] = _tracker(context, failure)
    return answer


def _matched_features(context: Context) -> list[Feature]:
    return [reading.feature for reading in context.readings if context.name.is_known and reading.passes_filter]


def _event(diagnosis: Diagnosis, customer: Customer | None) -> dict[str, Any]:
    subject = diagnosis.subject
    if subject is None:
        raise ValueError("An unknown event can't be described")
    return {
        "id": subject.event_id,
        "external_customer_id": subject.external_customer_id,
        "customer_id": customer.public_id if customer else None,
        "environment_id": None,
        "event_name": subject.event_name,
        "timestamp": subject.occurred_at.isoformat(),
        "properties": subject.parsed,
        "source": subject.source,
        "ingested_at": subject.received_at.isoformat(),
    }


def describe_step(step: DiagnosisStep) -> dict[str, Any]:
    """Describe a step of a diagnosis as the API shows it."""
    return {
        "step": step.key.value,
        "status": step.status.value,
        "reason": step.reason.value if step.reason else None,
        "message": step.sentence,
        "feature_id": step.feature_id,
        "guide": step.guide or None,
        "fix": step.fix_text or None,
        "fixes": list_fixes(step.fixes),
    }


def _failure(
    context: Context, features: Sequence[Feature], steps: Iterable[DiagnosisStep], is_counted: bool
) -> dict[str, Any] | None:
    """Return the first failure in the contract's order. A counted event only fails for not being billed."""
    failed = {step.key: step for step in reversed(list(steps)) if step.status == Status.FAIL}
    for key, point in () if is_counted else METER_FAILURES:
        if key in failed:
            return _point(point, failed[key].reason, failed[key].sentence)
    if features and (failure := _billing_failure(context, features, failed)):
        return failure
    for key, point in USAGE_FAILURES:
        if key in failed:
            return _point(point, failed[key].reason, failed[key].sentence)
    return None


def _billing_failure(
    context: Context, features: Sequence[Feature], failed: Mapping[StepKey, DiagnosisStep]
) -> dict[str, Any] | None:
    """Return why no subscription bills the features: no plan prices them, or none in force at the event's time."""
    if any(map(_is_active, _matches(context, features))):
        return None
    names = ", ".join(feature.name for feature in features)
    if not _published_prices(features):
        return _point("price_lookup", Reason.FEATURE_NOT_IN_PLAN, f"No published plan has a price for {names}.")
    step = failed.get(StepKey.SUBSCRIPTION) or failed.get(StepKey.PLAN)
    message = step.sentence if step else f"No subscription bills {names} at the event's time."
    return _point("subscription_line_item_lookup", step.reason if step else None, message)


def _point(kind: str, reason: Reason | None, message: str) -> dict[str, Any]:
    error = {"code": reason.value if reason else "failed", "message": message, "http_status_code": 404}
    return {"failure_point_type": kind, "error": error}


def _published_prices(features: Sequence[Feature]) -> list[Price]:
    """Return the features' prices in any published plan version, newest first; at most 50."""
    prices = Price.objects.filter(feature__in=features, version__state=VersionState.PUBLISHED, version__base=None)
    return list(
        prices.select_related("feature", "version__plan").prefetch_related("tiers").order_by("-pk")[:PRICES_SHOWN]
    )


def _tracker(context: Context, failure: dict[str, Any] | None) -> dict[str, Any]:
    customer = context.customer.customer
    features = _matched_features(context)
    matches = _matches(context, features)
    prices = [price for _, price in matches] or _published_prices(features)
    meters = [
        {"meter_id": feature.public_id, "event_name": feature.event_name, "meter": MeterOut(feature).data}
        for feature in features
    ]
    return {
        "customer_lookup": {
            "status": "found" if customer else "not_found",
            "customer": CustomerOut(customer).data if customer else None,
            "error": None,
        },
        "meter_matching": {
            "status": "found" if features else "not_found",
            "matched_meters": meters,
            "error": None,
        },
        "price_lookup": {
            "status": _lookup_status(features, prices),
            "matched_prices": [_price(price) for price in prices],
            "error": None,
        },
        "subscription_line_item_lookup": {
            "status": _lookup_status(prices, list(filter(_is_active, matches))),
            "matched_line_items": [_line_item(match) for match in matches],
            "error": None,
        },
        "attributed_to_customer": {
            "status": "unprocessed" if failure else "processing",
            "meter_usage": None,
            "error": None,
        },
        "failure_point": failure,
    }


def _lookup_status(previous: Sequence[Any], matches: Sequence[Any]) -> str:
    """Return a step's status. A step after one without matches isn't processed."""
    if not previous:
        return "unprocessed"
    return "found" if matches else "not_found"


type Match = tuple[SubscriptionPhase, Price]


def _matches(context: Context, features: Sequence[Feature]) -> list[Match]:
    """Pair the phases at the event's time with the prices that they charge for these features."""
    pairs = ((phase, context.price_in(phase, feature.pk)) for phase in context.phases_at for feature in features)
    return [(phase, price) for phase, price in pairs if price is not None]


def _is_active(match: Match) -> bool:
    """Return whether the phase bills usage, for nothing in a trial. A paused phase doesn't."""
    return match[0].kind != PhaseKind.PAUSED


def _price(price: Price) -> dict[str, Any]:
    meter = price.feature.public_id if price.feature else None
    return {"price_id": price.public_id, "meter_id": meter, "status": "published", "price": PriceOut(price).data}


def _line_item(match: Match) -> dict[str, Any]:
    phase, price = match
    return {
        "sub_line_item_id": f"{phase.subscription.public_id}:{price.public_id}",
        "subscription_id": phase.subscription.public_id,
        "price_id": price.public_id,
        "start_date": phase.starts_at.isoformat(),
        "end_date": phase.ends_at.isoformat() if phase.ends_at else None,
        "is_active_for_event": _is_active(match),
        "timestamp_within_range": True,
        "subscription_line_item": None,
    }


def _processed(context: Context, feature: Feature, adds: Decimal | None) -> list[dict[str, Any]]:
    """Describe a billed event: once per subscription that bills the feature."""
    base = {
        "customer_id": context.customer.customer.public_id if context.customer.customer else None,
        "meter_id": feature.public_id,
        "feature_id": feature.public_id,
        "qty_total": f"{adds:f}" if adds is not None else "1",
        "processed_at": context.subject.processed_at.isoformat() if context.subject.processed_at else None,
    }
    names = ("subscription_id", "sub_line_item_id", "price_id")
    items = [_line_item(match) for match in filter(_is_active, _matches(context, [feature]))]
    return [base | {name: item[name] for name in names} for item in items]
